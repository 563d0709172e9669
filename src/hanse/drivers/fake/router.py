"""The fake router: gates and routes over the fakes' network. Its proxy outlives the agent."""

from dataclasses import dataclass, field, replace

from hanse.drivers.contract import Capability, GateStream, LocalRoute
from hanse.drivers.fake.faults import Faults
from hanse.drivers.fake.net import Lost, Net, Refused, Reply, Request
from hanse.ports import Clock, Permanent

WAIT_SECONDS = 60.0
"""How long a route holds a request while its upstream does not answer."""
RETRY_SECONDS = 0.05


@dataclass(slots=True)
class Proxy:
    """The process that outlives the agent: what it holds, and where it listens."""

    host: str
    certificate_pem: str
    net: Net
    streams: dict[str, GateStream] = field(default_factory=dict)
    routes: dict[str, LocalRoute] = field(default_factory=dict)
    running: dict[str, int] = field(default_factory=dict)
    """Requests under way, by stream or route."""
    cut: dict[str, int] = field(default_factory=dict)
    """Grows each time that a stream's running requests are cut off."""
    reloads: int = 0
    """Grows each time that more changes than which gate is open and where a route leads: a real proxy
    must load its configuration anew for that."""

    def shape(self) -> object:
        """What only a reload can change."""
        streams = sorted((replace(one, open=True) for one in self.streams.values()), key=lambda one: one.name)
        routes = sorted((replace(one, active=None) for one in self.routes.values()), key=lambda one: one.name)
        return streams, routes


@dataclass(frozen=True, slots=True)
class _Gate:
    """Listens at the data address for one stream."""

    proxy: Proxy
    name: str

    async def answer(self, request: Request) -> Reply:
        """Let a pinned peer through while the gate is open."""
        stream = self.proxy.streams.get(self.name)
        if stream is None or not stream.open:
            raise Refused(f"the gate {self.name} is closed")
        if request.certificate_pem not in stream.allowed_certificates_pem:
            raise Refused(f"the gate {self.name} does not know this certificate")
        running, cut = self.proxy.running, self.proxy.cut.get(self.name, 0)
        running[self.name] = running.get(self.name, 0) + 1
        try:
            reply = await self.proxy.net.ask(f"local.{self.proxy.host}", stream.upstream, request)
        finally:
            running[self.name] -= 1
        if self.proxy.cut.get(self.name, 0) != cut:
            raise Lost(f"the gate {self.name} cut the connection")
        return reply


@dataclass(frozen=True, slots=True)
class _Route:
    """Listens at a local address for one route, and waits for a working upstream."""

    proxy: Proxy
    name: str

    async def answer(self, request: Request) -> Reply:
        """Try the active upstream until it takes the request; it is sent on once only."""
        clock = self.proxy.net.clock
        until = clock.monotonic() + WAIT_SECONDS
        while True:
            route = self.proxy.routes.get(self.name)
            if route is None:
                raise Refused(f"there is no route {self.name}")
            try:
                return await self._forward(route, request)
            except Refused:
                if clock.monotonic() >= until:
                    raise
            await clock.sleep(RETRY_SECONDS)

    async def _forward(self, route: LocalRoute, request: Request) -> Reply:
        active = next((up for up in route.upstreams if up.name == route.active), None)
        if active is None:
            raise Refused(f"the route {self.name} has no upstream")
        shown = replace(request, certificate_pem=self.proxy.certificate_pem)
        running = self.proxy.running
        running[self.name] = running.get(self.name, 0) + 1
        try:
            return await self.proxy.net.ask(self.proxy.host, active.address, shown)
        finally:
            running[self.name] -= 1


class FakeRouter:
    """The contract's Router. A fresh object over the same proxy is an agent restart."""

    def __init__(self, proxy: Proxy, clock: Clock, faults: Faults | None = None) -> None:
        self.proxy = proxy
        self.faults = faults or Faults()
        self._clock = clock

    async def probe(self) -> Capability:
        """Always usable."""
        return Capability(kind="endpoint", usable=True)

    async def hold(self, streams: tuple[GateStream, ...], routes: tuple[LocalRoute, ...]) -> None:
        """Exactly these. Raises Permanent(`port-taken`) where two want one port."""
        async with self.faults.around("hold", self._clock):
            places = [(self.proxy.host, stream.port) for stream in streams]
            places += [route.listen for route in routes]
            if len(set(places)) != len(places):
                raise Permanent("port-taken", f"two streams or routes want one port at {self.proxy.host}")
            self._leave_all()
            before = self.proxy.shape()
            self.proxy.streams = {stream.name: stream for stream in streams}
            self.proxy.routes = {route.name: route for route in routes}
            self.proxy.reloads += self.proxy.shape() != before
            for stream in streams:
                self.proxy.net.listen((self.proxy.host, stream.port), _Gate(self.proxy, stream.name))
            for route in routes:
                self.proxy.net.listen(route.listen, _Route(self.proxy, route.name))

    async def switch(self, route: str, upstream: str | None) -> None:
        """New and waiting requests go elsewhere. Raises Permanent(`route-unknown`)."""
        async with self.faults.around("switch", self._clock):
            found = self.proxy.routes.get(route)
            if found is None or (upstream is not None and upstream not in {u.name for u in found.upstreams}):
                raise Permanent("route-unknown", f"the router has no route {route} to {upstream}")
            self.proxy.routes[route] = replace(found, active=upstream)

    async def drain(self, route: str, seconds: float) -> int:
        """Wait for running requests; those that wait for an upstream do not count."""
        async with self.faults.around("drain", self._clock):
            return await self._ended(route, seconds)

    async def close(self, stream: str, drain_seconds: float) -> int:
        """Refuse new connections, wait for running ones, cut off the rest."""
        async with self.faults.around("close", self._clock):
            self._set_open(stream, is_open=False)
            left = await self._ended(stream, drain_seconds)
            if left:
                self.proxy.cut[stream] = self.proxy.cut.get(stream, 0) + 1
        return left

    async def open(self, stream: str) -> None:
        """Accept connections again."""
        async with self.faults.around("open", self._clock):
            self._set_open(stream, is_open=True)

    async def stop(self) -> None:
        """The proxy ends; nothing listens any more."""
        self._leave_all()
        self.proxy.streams, self.proxy.routes = {}, {}

    async def _ended(self, name: str, seconds: float) -> int:
        until = self._clock.monotonic() + seconds
        while self.proxy.running.get(name, 0) and self._clock.monotonic() < until:
            await self._clock.sleep(min(0.05, seconds))
        return self.proxy.running.get(name, 0)

    def _set_open(self, stream: str, *, is_open: bool) -> None:
        found = self.proxy.streams.get(stream)
        if found is None:
            raise Permanent("stream-unknown", f"the router has no stream {stream}")
        self.proxy.streams[stream] = replace(found, open=is_open)

    def _leave_all(self) -> None:
        for stream in self.proxy.streams.values():
            self.proxy.net.leave((self.proxy.host, stream.port))
        for route in self.proxy.routes.values():
            self.proxy.net.leave(route.listen)
