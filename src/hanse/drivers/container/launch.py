"""Bringing one container up: made, plugged into its network, started, and seen to serve."""

import asyncio
import os
import re
import socket
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from hanse.drivers.container.engine import Container, Engine
from hanse.drivers.container.network import ContainerNetwork
from hanse.drivers.container.process import run
from hanse.drivers.container.program import (
    Confinement,
    Program,
    blacked_out,
    create_words,
    environment_beside,
    environment_text,
)
from hanse.drivers.contract import Report
from hanse.drivers.identity import write_file
from hanse.model.replica.observation import Progress
from hanse.ports import Permanent, Temporary

_QUIET_SECONDS = 2.0
"""A program without a port counts as started when it has run for so long."""
_LOG_LINES = 20
_NOT_EXECUTABLE = re.compile(r"failed to exec pid1: (.*)")
"""How the small init in front of every program says that there is no such program."""


@dataclass(frozen=True, slots=True)
class Launch:
    """One replica on its way up."""

    engine: Engine
    network: ContainerNetwork
    application: str
    program: Program
    confinement: Confinement

    async def up(self, container: Container | None, patience_seconds: float, report: Report) -> None:
        """From whatever there is to a container that serves.

        Raises Permanent(`container-does-not-start`) with the last lines of its log.
        """
        report(Progress(phase="starting"))
        name = self.confinement.name
        if container is not None and not container.running:
            container = await self._restartable(container)
        if container is None:
            await self._fresh_scratch()
            await self._create()
        if container is None or not container.running:
            await self._initialise()
            await self.network.attach(self.application, name, await self._pid())
            await self._step("start")
        pid = await self._pid()
        await self.network.attach(self.application, name, pid)
        report(Progress(phase="waiting for the program"))
        await self._wait(pid, patience_seconds)

    async def _restartable(self, container: Container) -> Container | None:
        """A stopped container begins anew with an empty /tmp; one in an odd state is removed."""
        if container.status in {"created", "exited", "stopped"}:
            await self._fresh_scratch()
            return container
        await self.engine.remove(self.confinement.name)
        return None

    async def _fresh_scratch(self) -> None:
        """An empty directory for the container's /tmp, owned by its root.

        Emptied in place: a container that was made keeps pointing at this very directory.
        """
        scratch = self.confinement.scratch
        scratch.mkdir(parents=True, exist_ok=True)
        await run("find", str(scratch), "-xdev", "-mindepth", "1", "-delete", timeout_seconds=120)
        os.chown(scratch, self.confinement.uid_base, self.confinement.uid_base)
        scratch.chmod(0o1777)

    async def _create(self) -> None:
        file = self.engine.secret_file(f"{self.confinement.name}.env")
        write_file(file, environment_text(self.program).encode(), mode=0o600)
        try:
            finished = await self.engine.ask(
                *create_words(self.program, self._as_podman_sees_it(), file),
                environment=environment_beside(self.program),
            )
        finally:
            file.unlink(missing_ok=True)
        if finished.code and "already in use" not in finished.complaint:
            raise self._does_not_start(f"podman cannot make it: {finished.last_line}", "")

    def _as_podman_sees_it(self) -> Confinement:
        return replace(self.confinement, scratch=self.engine.as_seen(self.confinement.scratch))

    async def _initialise(self) -> None:
        container = await self.engine.inspect(self.confinement.name)
        if container is not None and container.status != "initialized":
            await self._step("init")

    async def _step(self, word: str) -> None:
        finished = await self.engine.ask(word, self.confinement.name)
        if finished.code:
            container = await self.engine.inspect(self.confinement.name)
            log = await self._log(container) if container else ""
            raise self._does_not_start(f"podman cannot {word} it: {finished.last_line}", log)

    async def _pid(self) -> int:
        container = await self.engine.inspect(self.confinement.name)
        if container is None:
            raise self._gone()
        if not container.pid:
            await self._raise_ended(container)
        return container.pid

    async def _wait(self, pid: int, patience_seconds: float) -> None:
        """Until the port accepts, or the program without one has run for a while."""
        port = self.program.spec.port
        loop = asyncio.get_running_loop()
        began = loop.time()
        while _lives(pid):
            if port is None and loop.time() - began >= _QUIET_SECONDS:
                return
            if port is not None and await self._accepts(port):
                return
            if loop.time() - began > max(patience_seconds, _QUIET_SECONDS):
                await self._raise_deaf(port, patience_seconds)
            await asyncio.sleep(0.05)
        container = await self.engine.inspect(self.confinement.name)
        if container is None:
            raise self._gone()
        await self._raise_ended(container)

    async def _accepts(self, port: int) -> bool:
        """Bound to the gateway address: without the bridge nothing leaves this machine."""
        with socket.socket() as client, suppress(OSError, TimeoutError):
            client.setblocking(False)
            client.bind((self.confinement.gateway, 0))
            async with asyncio.timeout(1.0):
                await asyncio.get_running_loop().sock_connect(client, (self.confinement.address, port))
            return True
        return False

    async def _raise_ended(self, container: Container) -> None:
        log = await self._log(container)
        why = f"it ended with exit code {container.exit_code}"
        unknown = _NOT_EXECUTABLE.search(log)
        if unknown:
            program = self.program.command[0] if self.program.command else "the image's own program"
            why = f"{program} cannot be run in this image: {unknown.group(1)}"
        if container.out_of_memory:
            why += f", out of its {self.program.spec.size.memory_bytes // 2**20} MiB of memory"
        raise self._does_not_start(why, log)

    async def _raise_deaf(self, port: int | None, patience_seconds: float) -> None:
        container = await self.engine.inspect(self.confinement.name)
        log = await self._log(container) if container else ""
        await self.engine.ask("stop", "--time", "2", self.confinement.name)
        raise self._does_not_start(f"nothing listens on its port {port} after {patience_seconds:.0f} s", log)

    def _gone(self) -> Temporary:
        return Temporary("container-gone", f"container {self.confinement.name} was removed while it started")

    async def _log(self, container: Container) -> str:
        text = await self.engine.logs(container, _LOG_LINES)
        return blacked_out(text, self.program.secret_names, container.environment)

    def _does_not_start(self, why: str, log: str) -> Permanent:
        lines = f"; it wrote last:\n{log}\n" if log else "; it wrote nothing; "
        return Permanent(
            "container-does-not-start",
            f"component {self.program.component} does not start: {why}{lines}"
            "correct its `command`, `env`, `port` or image, and apply again",
            log,
        )


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
