"""The site's proxy: gate streams in, local routes out, switched in milliseconds without a reload."""

import asyncio
import json
import os
import pwd
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from cryptography import x509

from hanse.drivers.contract import Capability, GateStream, LocalRoute
from hanse.drivers.endpoint.commands import (
    COUNT_RUNNING,
    LIST_SESSIONS,
    close_command,
    count_sessions,
    counted,
    cut_commands,
    cut_sessions,
    open_commands,
    route_commands,
)
from hanse.drivers.endpoint.config import Rendered, Setting, render
from hanse.drivers.endpoint.held import FILE, Held, replace_file
from hanse.drivers.endpoint.process import CONFIG, Proxy, find_haproxy
from hanse.drivers.endpoint.waiting import LEAVE
from hanse.drivers.identity import ProcessMark, write_file
from hanse.ports import Permanent, Temporary

_LOADED = "loaded.json"
_FREED_SECONDS = 3.0
_OWN = ("own.pem", "own.crt", CONFIG, FILE, _LOADED, "process.json", "haproxy.pid", "master.sock")


class HaproxyRouter:
    """`drivers.contract.Router` on one haproxy process per site.

    `directory` is the router's alone (created, mode 0700). Gate streams listen at `address`, which
    is the IP address in the site's own certificate unless it is given (a site behind NAT). A request
    waits at most `hold_seconds` for an upstream.
    """

    def __init__(
        self,
        site: str,
        directory: Path,
        own_certificate_file: Path,
        own_key_file: Path,
        *,
        address: str | None = None,
        hold_seconds: int = 60,
    ) -> None:
        self._site = site
        self._directory = directory
        self._certificate_file = own_certificate_file
        self._key_file = own_key_file
        self._address = address
        self._hold_seconds = hold_seconds
        self._proxy = Proxy(directory, find_haproxy() or "haproxy")
        self._lock = asyncio.Lock()
        self._draining: set[str] = set()

    async def probe(self) -> Capability:
        """What this machine can do. Changes nothing."""
        missing = () if find_haproxy() else ("haproxy: apt-get install haproxy",)
        open_to_others = () if os.geteuid() == 0 else ("haproxy runs as the agent's own user",)
        return Capability("endpoint", not missing, missing, open_to_others)

    async def hold(self, streams: tuple[GateStream, ...], routes: tuple[LocalRoute, ...]) -> None:
        """Exactly these from now on, without breaking connections that go on.

        Raises Permanent(`route-invalid`, `port-taken`, `address-unusable`, `part-missing`); nothing
        was changed then.
        """
        if find_haproxy() is None:
            raise Permanent(
                "part-missing",
                "haproxy is not installed on this machine. Install it: apt-get install haproxy",
            )
        held = Held(streams, routes)
        async with self._lock:
            rendered = self._render(held)
            mark = self._proxy.running()
            if mark is None or self._loaded(mark) != rendered.shape:
                await self._load(held, rendered, mark)
            else:
                self._write(held, rendered)
            await self._apply(held)

    async def switch(self, route: str, upstream: str | None) -> None:
        """Send new requests of a route elsewhere, at once; waiting ones follow. No reload.

        Raises Permanent(`route-unknown`, `route-invalid`).
        """
        async with self._lock:
            held, changed = self._held().with_active(route, upstream)
            self._write(held, self._render(held))
            await self._tell(route_commands(changed))

    async def drain(self, route: str, seconds: float) -> int:
        """Wait for the requests that an upstream has; return how many it still has after so many seconds.

        Cuts nobody off. No error for an unknown route.
        """
        return await self._ended(lambda: self.running(route), seconds)

    async def close(self, stream: str, drain_seconds: float) -> int:
        """Refuse new connections, let running requests finish; return how many were cut off."""
        self._draining.add(stream)
        try:
            async with self._lock:
                self._set_open(stream, is_open=False)
                await self._tell([close_command(stream)])
            await self._ended(lambda: self.sessions(stream), drain_seconds)
        finally:
            self._draining.discard(stream)
        async with self._lock:
            if self._held().stream(stream).open:
                return 0
            cut = await self.sessions(stream)
            await self._cut(stream)
            return cut

    async def open(self, stream: str) -> None:
        """Accept connections again."""
        async with self._lock:
            self._set_open(stream, is_open=True)
            await self._tell(open_commands(stream))

    async def stop(self) -> None:
        """End the proxy process of this site."""
        async with self._lock:
            await self._proxy.stop()

    async def sessions(self, name: str) -> int:
        """Connections of a stream or route that are open now, older workers' ones included."""
        return await self._count(name, count_sessions(name))

    async def running(self, route: str) -> int:
        """Requests of a route that an upstream has and did not end yet, older workers' ones included."""
        return await self._count(route, COUNT_RUNNING)

    async def _count(self, name: str, question: str) -> int:
        total = 0
        for worker in await self._workers():
            with suppress(Temporary):
                total += counted(name, await self._proxy.command(worker, [question]))
        return total

    async def _ended(self, count: Callable[[], Awaitable[int]], seconds: float) -> int:
        """Wait until there is none; how many there still are after so many seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        left = await count()
        while left and loop.time() < deadline:
            await asyncio.sleep(0.01)
            left = await count()
        return left

    def _set_open(self, stream: str, *, is_open: bool) -> None:
        held = self._held().with_stream(stream, is_open=is_open)
        self._write(held, self._render(held))

    async def _apply(self, held: Held) -> None:
        """Bring the running process from whatever it does to `held`; every command may be repeated."""
        commands = [command for route in held.routes for command in route_commands(route)]
        for stream in held.streams:
            commands += open_commands(stream.name) if stream.open else [close_command(stream.name)]
        await self._tell(commands)
        for stream in held.streams:
            if not stream.open and stream.name not in self._draining:
                await self._cut(stream.name)

    async def _tell(self, commands: list[str]) -> None:
        """The newest worker does this; older ones, with their last connections, leave all to it."""
        newest, *older = await self._workers()
        if commands and "No such" in await self._proxy.command(newest, commands):
            raise Temporary("proxy-out-of-step", "haproxy does not know all routes of this site.", 0.5)
        for worker in older:
            with suppress(Temporary):
                await self._proxy.command(worker, [LEAVE])

    async def _cut(self, stream: str) -> None:
        """End the connections of a stream, in whichever worker they are."""
        newest, *older = await self._workers()
        await self._proxy.command(newest, cut_commands(stream))
        for worker in older:
            with suppress(Temporary):
                listing = await self._proxy.command(worker, [LIST_SESSIONS])
                await self._proxy.command(worker, cut_sessions(stream, listing))

    async def _workers(self) -> list[int]:
        """Never empty: the newest first."""
        found = await self._proxy.workers() if self._proxy.running() is not None else []
        if not found:
            raise Temporary("proxy-not-running", "The proxy of this site does not run.", 1.0)
        return found

    async def _load(self, held: Held, rendered: Rendered, mark: ProcessMark | None) -> None:
        if mark is None:
            await self._check_freed_ports(held)
        else:
            self._check_ports(held, self._held())
        self._write_files(rendered)
        draft = f"{CONFIG}.draft"
        write_file(self._directory / draft, rendered.text.encode())
        try:
            await self._proxy.check(draft)
        finally:
            (self._directory / draft).unlink(missing_ok=True)
        self._write(held, rendered)
        if mark is None:
            await self._proxy.start()
            mark = self._proxy.running()
        else:
            await self._proxy.reload(mark)
        if mark is not None:
            loaded = {"shape": rendered.shape, "pid": mark.pid, "start_ticks": mark.start_ticks}
            write_file(self._directory / _LOADED, json.dumps(loaded).encode())
        self._sweep(rendered)

    def _loaded(self, mark: ProcessMark) -> str | None:
        try:
            loaded = json.loads((self._directory / _LOADED).read_text())
        except (OSError, ValueError):
            return None
        same = (loaded.get("pid"), loaded.get("start_ticks")) == (mark.pid, mark.start_ticks)
        return str(loaded.get("shape")) if same else None

    def _write(self, held: Held, rendered: Rendered) -> None:
        held.save(self._directory)
        replace_file(self._directory / CONFIG, rendered.text.encode())

    def _write_files(self, rendered: Rendered) -> None:
        certificate = self._certificate_file.read_bytes()
        own = {"own.crt": certificate, "own.pem": certificate + b"\n" + self._key_file.read_bytes()}
        for name, data in {**rendered.files, **own}.items():
            replace_file(self._directory / name, data)

    def _sweep(self, rendered: Rendered) -> None:
        """Take away certificates that nothing names any more."""
        for path in self._directory.iterdir():
            if path.name not in rendered.files and path.name not in _OWN:
                path.unlink(missing_ok=True)

    def _held(self) -> Held:
        return Held.load(self._directory)

    def _render(self, held: Held) -> Rendered:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        threads = min(4, os.cpu_count() or 1)
        mark = str(self._directory.absolute())
        setting = Setting(self._gate_address(), threads, _user_lines(), mark, self._hold_seconds)
        return render(held.streams, held.routes, setting)

    def _gate_address(self) -> str:
        if self._address is None:
            certificate = x509.load_pem_x509_certificate(self._certificate_file.read_bytes())
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            self._address = str(next(iter(names.get_values_for_type(x509.IPAddress)), "127.0.0.1"))
        return self._address

    async def _check_freed_ports(self, held: Held) -> None:
        """The workers of a proxy that was killed end a moment after their master."""
        was_here = (self._directory / _LOADED).exists()
        deadline = asyncio.get_running_loop().time() + (_FREED_SECONDS if was_here else 0.0)
        while True:
            try:
                return self._check_ports(held, Held())
            except Permanent:
                if asyncio.get_running_loop().time() >= deadline:
                    raise
                await asyncio.sleep(0.05)

    def _check_ports(self, held: Held, before: Held) -> None:
        """Name a port that another program has, before anything changes."""
        known = set(self._listens(before))
        for address, port, name in self._listens(held):
            if (address, port, name) not in known and (address, port) not in {one[:2] for one in known}:
                _check_bind(address, port, name)

    def _listens(self, held: Held) -> list[tuple[str, int, str]]:
        gate = self._gate_address()
        return [(gate, one.port, one.name) for one in held.streams] + [
            (*one.listen, one.name) for one in held.routes
        ]


def _check_bind(address: str, port: int, name: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            code = "port-taken" if error.errno == 98 else "address-unusable"
            raise Permanent(
                code,
                f"{name} cannot listen at {address} port {port}: {error.strerror}. "
                "Free it or give this site other ports; nothing was changed.",
            ) from error


def _user_lines() -> str:
    if os.geteuid() != 0:
        return ""
    try:
        pwd.getpwnam("haproxy")
    except KeyError:
        return ""
    return "  user haproxy\n  group haproxy\n"
