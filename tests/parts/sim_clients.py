"""Clients outside: they write and read through the endpoint, and keep a log of what they were told."""

import asyncio
from dataclasses import dataclass, field
from random import Random

from sim_hub import SimHub
from sim_sites import OUTSIDE

from hanse.drivers.fake.net import Denied, Lost, Net, Refused, Reply, Request
from hanse.model.replica.observation import RouteState

PATIENCE_SECONDS = 90.0


@dataclass
class Log:
    """What one client did: every name has one writer, and its values grow."""

    acknowledged: dict[str, int] = field(default_factory=dict)
    """Name to the highest value that was acknowledged."""
    tried: dict[str, int] = field(default_factory=dict)
    """Name to the highest value that was sent."""
    errors: list[str] = field(default_factory=list)
    gap_seconds: float = 0.0
    requests: int = 0


class Client:
    """Writes and reads, one request after the other, without pause but for breath."""

    def __init__(self, name: str, hub: SimHub, net: Net, random: Random) -> None:
        self.name = name
        self.log = Log()
        self._hub = hub
        self._net = net
        self._random = random
        self._stopping = False
        self._route: RouteState | None = None

    def stop(self) -> None:
        """End after the request under way."""
        self._stopping = True

    async def run(self) -> None:
        value = 0
        while not self._stopping:
            value += 1
            name = f"{self.name}-{self._random.randrange(8)}"
            if self._random.random() < 0.6 or name not in self.log.acknowledged:
                await self._put(name, value)
            else:
                await self._get(name)
            await asyncio.sleep(self._random.uniform(0.05, 0.6))

    async def _put(self, name: str, value: int) -> None:
        self.log.tried[name] = value
        if await self._ask(Request(verb="put", name=name, data=str(value).encode())) is not None:
            self.log.acknowledged[name] = value

    async def _get(self, name: str) -> None:
        reply = await self._ask(Request(verb="get", name=name))
        if reply is None:
            return
        least, most = self.log.acknowledged[name], self.log.tried[name]
        found = int(reply.data)
        assert least <= found <= most, f"{name}: {found} was read, {least} was acknowledged, {most} sent"

    async def _ask(self, request: Request) -> Reply | None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.log.requests += 1
        route = self._route = self._hub.route() or self._route
        assert route is not None, "a running application has its endpoint"
        try:
            asked = self._net.ask(OUTSIDE, (route.address, route.port), request)
            return await asyncio.wait_for(asked, PATIENCE_SECONDS)
        except (Refused, Lost, Denied, TimeoutError) as error:
            self.log.errors.append(f"{loop.time():.2f} {request.verb} {request.name}: {error!r}")
            return None
        finally:
            self.log.gap_seconds = max(self.log.gap_seconds, loop.time() - began)
