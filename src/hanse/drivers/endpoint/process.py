"""The proxy process of a site: a master that outlives the agent, spoken to over its own socket."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from hanse.drivers.identity import ProcessMark
from hanse.ports import Permanent, Temporary

CONFIG = "haproxy.cfg"
_SOCKET = "master.sock"
_PIDFILE = "haproxy.pid"
_MARK = "process.json"
_WORKER = re.compile(r"^(\d+)\s+worker\s", re.MULTILINE)
_RELOADS = re.compile(r"^\d+\s+master\s+(\d+) \[failed: (\d+)\]", re.MULTILINE)
_START_SECONDS = 10.0
_ANSWER_SECONDS = 5.0
_BATCH = 40
"""Commands a line: the line must fit the proxy's buffer of 16 KiB."""


class Proxy:
    """One haproxy in master-worker mode, with all its files in `directory`."""

    def __init__(self, directory: Path, executable: str) -> None:
        self._directory = directory
        self._executable = executable

    def running(self) -> ProcessMark | None:
        """The process that was started here, if it still lives."""
        return ProcessMark.load(self._directory / _MARK)

    async def check(self, name: str) -> None:
        """Raises Permanent(`route-invalid`) unless haproxy accepts this configuration file."""
        code, text = await self._run("-c", "-f", name)
        if code != 0:
            raise Permanent("route-invalid", "haproxy refuses the routes of this site.", _alerts(text))

    async def start(self) -> None:
        """Start the process; returns when it listens. Raises Permanent(`port-taken`) or Temporary."""
        (self._directory / _PIDFILE).unlink(missing_ok=True)
        code, text = await self._run(
            "-W", "-D", "-S", f"unix@{_SOCKET},mode,600", "-p", _PIDFILE, "-f", CONFIG
        )
        if code != 0:
            raise _start_failure(text)
        deadline = asyncio.get_running_loop().time() + _START_SECONDS
        while (mark := self._master()) is None or not await self._workers_or_none():
            if asyncio.get_running_loop().time() > deadline:
                raise Temporary("proxy-not-started", "haproxy did not start within 10 seconds.", 2.0)
            await asyncio.sleep(0.02)
        mark.save(self._directory / _MARK)

    async def reload(self, mark: ProcessMark) -> None:
        """Load the configuration file anew, handing over the listening sockets.

        Raises Temporary(`proxy-not-reloaded`); the old workers then go on.
        """
        before, _ = await self._reloads()
        mark.signal(signal.SIGUSR2)
        deadline = asyncio.get_running_loop().time() + _START_SECONDS
        while True:
            await asyncio.sleep(0.02)
            try:
                reloads, failed = await self._reloads()
            except Temporary:
                reloads, failed = before, 0
            if reloads > before and failed == 0 and await self._workers_or_none():
                return
            if (reloads > before and failed) or asyncio.get_running_loop().time() > deadline:
                raise Temporary(
                    "proxy-not-reloaded", "haproxy did not take the new routes; the old ones stay.", 2.0
                )

    async def workers(self) -> list[int]:
        """Pids of all workers, the current one first; older ones end with their last connection."""
        return [int(pid) for pid in _WORKER.findall(await self._ask("show proc"))]

    async def command(self, worker: int, commands: Sequence[str]) -> str:
        """Run commands in one worker; the joined answer. Raises Temporary(`proxy-silent`)."""
        batches = [commands[start : start + _BATCH] for start in range(0, len(commands), _BATCH)]
        lines = [";".join(f"@!{worker} {one}" for one in batch) for batch in batches]
        return "".join([await self._ask(line) for line in lines])

    async def stop(self) -> None:
        """End the master and its workers; nothing else is touched. No error if none runs."""
        mark = self.running()
        if mark is not None:
            workers = [one for pid in _children(mark.pid) if (one := ProcessMark.of(pid)) is not None]
            await mark.end(5.0)
            for worker in workers:
                await worker.end(2.0)
        (self._directory / _MARK).unlink(missing_ok=True)

    async def _workers_or_none(self) -> bool:
        try:
            return bool(await self.workers())
        except Temporary:
            return False

    async def _reloads(self) -> tuple[int, int]:
        found = _RELOADS.search(await self._ask("show proc"))
        if found is None:
            raise Temporary("proxy-silent", "haproxy's master does not say how it stands.", 1.0)
        return int(found.group(1)), int(found.group(2))

    def _master(self) -> ProcessMark | None:
        try:
            return ProcessMark.of(int((self._directory / _PIDFILE).read_text().split()[0]))
        except (OSError, ValueError, IndexError):
            return None

    async def _run(self, *arguments: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            self._executable,
            *arguments,
            cwd=self._directory,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            env={"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin")},
        )
        _, text = await process.communicate()
        return process.returncode or 0, text.decode(errors="replace")

    async def _ask(self, line: str) -> str:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS), self._connection() as (reader, writer):
                writer.write(line.encode() + b"\n")
                await writer.drain()
                writer.write_eof()
                return (await reader.read()).decode(errors="replace")
        except OSError as error:
            raise Temporary("proxy-silent", "haproxy's control socket does not answer.", 1.0) from error

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        with _short_path(self._directory, _SOCKET) as path:
            reader, writer = await asyncio.open_unix_connection(path, limit=2**24)
        try:
            yield reader, writer
        finally:
            writer.close()


@contextmanager
def _short_path(directory: Path, name: str) -> Iterator[str]:
    """A socket's path below the kernel's 108 bytes, however deep the directory lies."""
    handle = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{name}"
    finally:
        os.close(handle)


def _children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _alerts(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if "ALERT" in line)[-2000:]


def _start_failure(text: str) -> Exception:
    taken = re.search(r"Address already in use\) \[([^\]]+)\]", text)
    if taken:
        return Permanent(
            "port-taken", f"{taken.group(1)} is already in use by another program on this machine."
        )
    absent = re.search(r"[Cc]annot bind socket \([^)]*\) \[([^\]]+)\]", text)
    if absent:
        return Permanent("address-unusable", f"haproxy cannot listen at {absent.group(1)}.", _alerts(text))
    return Permanent("proxy-not-started", "haproxy does not start.", _alerts(text))


def find_haproxy() -> str | None:
    """Path of the haproxy program; Debian puts it where a user's PATH may not look."""
    places = [*os.environ.get("PATH", "").split(":"), "/usr/sbin", "/usr/local/sbin"]
    for place in places:
        if place and os.access(Path(place) / "haproxy", os.X_OK):
            return str(Path(place) / "haproxy")
    return None
