"""The fake pooler: fixed logins here, changing ones upstream, over the fakes' network."""

from dataclasses import dataclass, field, replace

from hanse.drivers.contract import Capability, Pool
from hanse.drivers.fake.faults import Faults
from hanse.drivers.fake.net import Lost, Net, Refused, Reply, Request, Unknown
from hanse.ports import Clock, Permanent

WAIT_SECONDS = 120.0
"""How long a client waits in a paused pool."""
LOOK_SECONDS = 0.02
LOGIN_RETRY_SECONDS = 0.1


@dataclass(slots=True)
class Bouncers:
    """The processes that outlive the agent: one for each pool."""

    host: str
    net: Net
    pools: dict[str, Pool] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    running: dict[str, int] = field(default_factory=dict)
    """Requests that are upstream now, by pool."""
    cut: dict[str, int] = field(default_factory=dict)
    """Grows each time that a pool's running requests are cut off."""


@dataclass(frozen=True, slots=True)
class _Bouncer:
    """Listens for one consumer."""

    bouncers: Bouncers
    name: str

    async def answer(self, request: Request) -> Reply:
        """With the own login only; upstream with the other one, as often as it is not known there."""
        own = self.bouncers.pools[self.name].own if self.name in self.bouncers.pools else {}
        if (own.get("user"), own.get("password")) != (request.access_key, request.secret_key):
            raise Unknown(f"{self.name} does not know this login")
        clock = self.bouncers.net.clock
        until = clock.monotonic() + WAIT_SECONDS
        while True:
            try:
                return await self._once(request)
            except Unknown:
                if clock.monotonic() > until:
                    raise
            await clock.sleep(LOGIN_RETRY_SECONDS)

    async def _once(self, request: Request) -> Reply:
        here, running = self.bouncers, self.bouncers.running
        pool = await self._unpaused()
        cut = here.cut.get(self.name, 0)
        running[self.name] = running.get(self.name, 0) + 1
        login = replace(request, access_key=pool.login["user"], secret_key=pool.login["password"])
        try:
            reply = await here.net.ask(f"local.{here.host}", pool.upstream, login)
        finally:
            running[self.name] -= 1
        if here.cut.get(self.name, 0) != cut:
            raise Lost(f"{self.name} cut the connection")
        return reply

    async def _unpaused(self) -> Pool:
        clock = self.bouncers.net.clock
        until = clock.monotonic() + WAIT_SECONDS
        while self.name in self.bouncers.paused and clock.monotonic() < until:
            await clock.sleep(LOOK_SECONDS)
        pool = self.bouncers.pools.get(self.name)
        if pool is None or self.name in self.bouncers.paused:
            raise Refused(f"{self.name} lets nothing through")
        return pool


class FakePooler:
    """The contract's Pooler. A fresh object over the same processes is an agent restart."""

    def __init__(self, bouncers: Bouncers, clock: Clock, faults: Faults | None = None) -> None:
        self.bouncers = bouncers
        self.faults = faults or Faults()
        self._clock = clock

    async def probe(self) -> Capability:
        """Always usable."""
        return Capability(kind="pooler", usable=True)

    async def hold(self, pools: tuple[Pool, ...]) -> None:
        """Exactly these; a paused one stays paused. Raises Permanent(`port-taken`)."""
        async with self.faults.around("hold_pools", self._clock):
            here = self.bouncers
            if len({pool.listen for pool in pools}) != len(pools):
                raise Permanent("port-taken", f"two pools want one port at {here.host}")
            self._leave_all()
            here.pools = {pool.name: pool for pool in pools}
            here.paused &= set(here.pools)
            for pool in pools:
                here.net.listen(pool.listen, _Bouncer(here, pool.name))

    async def pause(self, name: str, seconds: float) -> bool:
        """Wait for running requests, then cut off; clients of kind `session` are cut off at once."""
        async with self.faults.around("pause", self._clock):
            here = self.bouncers
            pool = here.pools.get(name)
            if pool is None:
                return True
            here.paused.add(name)
            until = self._clock.monotonic() + (0.0 if pool.clients == "session" else seconds)
            while here.running.get(name, 0) and self._clock.monotonic() < until:
                await self._clock.sleep(LOOK_SECONDS)
            left = here.running.get(name, 0)
            if left:
                here.cut[name] = here.cut.get(name, 0) + 1
        return not left

    async def resume(self, name: str) -> None:
        """Let requests through again."""
        async with self.faults.around("resume", self._clock):
            self.bouncers.paused.discard(name)

    async def stop(self) -> None:
        """Nothing listens any more."""
        self._leave_all()
        self.bouncers.pools = {}
        self.bouncers.paused.clear()

    def _leave_all(self) -> None:
        for pool in self.bouncers.pools.values():
            self.bouncers.net.leave(pool.listen)
