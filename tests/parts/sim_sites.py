"""The sites of a simulated world: real agents, fake parts, and a network that is cut, slow or lossy."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from agent_world import FakeSealer, FakeSigner, site_file
from sim_hub import HubKilled, SimHub
from sim_loop import KeptJournal, SeededRandom, SimClock, chance

from hanse.agent.agent import Agent
from hanse.agent.parts import Identity, Parts
from hanse.drivers.fake.driver import RotatingFake, StatefulFake, StatelessFake
from hanse.drivers.fake.faults import Fault, Faults
from hanse.drivers.fake.machine import History, Machine, Part
from hanse.drivers.fake.net import Net, Reply, Request
from hanse.drivers.fake.pooler import Bouncers, FakePooler
from hanse.drivers.fake.router import FakeRouter, Proxy
from hanse.model.replica.spec import Peer
from hanse.ports import Temporary

HUB = "hub"
OUTSIDE = "outside"


def host(site: str) -> str:
    """Data address of a site."""
    return f"{site}.example"


def owner(address: str) -> str:
    """Site of a host name, or the host itself."""
    return address.removeprefix("local.").removesuffix(".example")


class Weather:
    """What the network does to messages. Turned by the scenario."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.cut: set[frozenset[str]] = set()
        self.loss_percent = 0.0
        self.late_percent = 0.0
        """Of the questions that hold clients or let them go: they come seconds later."""
        self.slow_seconds = 0.002

    def reachable(self, origin: str, to: str) -> bool:
        return frozenset((owner(origin), owner(to))) not in self.cut

    def lost(self) -> bool:
        return chance(self.random, self.loss_percent)

    def delay(self, origin: str, to: str) -> float:
        if owner(origin) == owner(to):
            return 0.0
        return self.random.uniform(0.2, 1.0) * self.slow_seconds

    async def late(self, question: str) -> None:
        if question in ("hold", "release", "switch") and chance(self.random, self.late_percent):
            await asyncio.sleep(self.random.uniform(0.0, 12.0))


class Line:
    """One site's way to the hub and to its peers."""

    def __init__(self, site: "SimSite") -> None:
        self._site = site
        self._hub = site.hub
        self._weather = site.weather

    async def instructions(self, since: int, wait_seconds: float) -> Sequence[str]:
        await self._to_hub()
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_seconds
        while True:
            news = self._hub.news[self._site.name]
            news.clear()
            found = self._hub.instructions(self._site.name, since)
            if found or loop.time() >= until:
                break
            try:
                await asyncio.wait_for(news.wait(), min(until - loop.time(), 5.0))
            except TimeoutError:
                self._need_hub()
        await self._to_hub()
        if chance(self._weather.random, 10) and found:
            found = [*self._hub.instructions(self._site.name, max(0, since - 3))]
        documents = [document for _, document in found]
        self._site.ordered += documents
        return documents

    async def observe(self, documents: Sequence[str]) -> None:
        await self._to_hub()
        try:
            for _ in range(2 if chance(self._weather.random, 10) else 1):
                self._site.said += documents
                self._hub.ingest(self._site.name, documents)
        except HubKilled:
            asyncio.ensure_future(self._hub.die())  # noqa: RUF006 - it ends by itself
            raise Temporary("hub-unreachable", "the hub died while it listened") from None
        await self._to_hub()

    async def ask(self, peer: Peer, message: Mapping[str, Any], timeout_seconds: float) -> dict[str, Any]:
        try:
            return await asyncio.wait_for(self._asked(peer, dict(message)), timeout_seconds)
        except TimeoutError:
            raise Temporary("peer-unreachable", f"{peer.site} is silent") from None

    async def _asked(self, peer: Peer, message: dict[str, Any]) -> dict[str, Any]:
        text = json.dumps(message)
        self._site.on_ask(str(message["ask"]))
        await self._weather.late(str(message["ask"]))
        await self._way(self._site.name, peer.site)
        replies = [
            self._site.neighbours[peer.site].answer(self._site.name, text)
            for _ in range(2 if chance(self._weather.random, 5) else 1)
        ]
        reply = (await asyncio.gather(*replies))[0]
        await self._way(peer.site, self._site.name)
        found: dict[str, Any] = json.loads(reply)
        return found

    async def _way(self, origin: str, to: str) -> None:
        await asyncio.sleep(self._weather.delay(origin, to))
        if not self._weather.reachable(origin, to) or self._weather.lost():
            await asyncio.sleep(1.0)
            raise Temporary("peer-unreachable", f"{to} does not answer {origin}")

    async def _to_hub(self) -> None:
        await asyncio.sleep(self._weather.delay(self._site.name, HUB))
        self._need_hub()
        if self._weather.lost():
            raise Temporary("hub-unreachable", "the message was lost")

    def _need_hub(self) -> None:
        if not self._hub.is_up or not self._weather.reachable(self._site.name, HUB):
            raise Temporary("hub-unreachable", "the hub does not answer")


class SimSite:
    """What outlives an agent, and the agent while it lives."""

    def __init__(self, name: str, hub: SimHub, weather: Weather, net: Net, history: History) -> None:
        self.name = name
        self.hub = hub
        self.weather = weather
        self.neighbours: dict[str, SimSite] = {}
        self.journal = KeptJournal()
        self.machine = Machine(name, host(name), net, history, work_seconds=0.001, program=web_program)
        self.proxy = Proxy(host(name), f"key-of-{name}", net)
        self.bouncers = Bouncers(host(name), net)
        self.on_ask: Callable[[str], None] = lambda _question: None
        self.clock = SimClock(offset=weather.random.uniform(0, 1e6))
        self.faults = Faults(delay_seconds={"*": 0.01, "look": 0.0})
        self.fallen: list[asyncio.Task[None]] = []
        """Agents that ended by themselves: none in a good world."""
        self.said: list[str] = []
        self.ordered: list[str] = []
        self._file = site_file(name)
        self._random = SeededRandom(name)
        self._agent: Agent | None = None
        self._process: asyncio.Task[None] | None = None
        self._answering: set[asyncio.Task[Any]] = set()

    def peer(self) -> Peer:
        key = f"key-of-{self.name}"
        return Peer(
            site=self.name,
            thumbprint=key,
            certificate_pem=key,
            sealing_key=f"seal-of-{self.name}",
            address=host(self.name),
            channel_port=7199,
        )

    def start(self) -> None:
        me = f"key-of-{self.name}"
        parts = Parts(
            identity=Identity(self.peer(), "hub-key", me, me),
            clock=self.clock,
            random=self._random,
            journal=self.journal,
            carrier=Line(self),
            signer=FakeSigner(me),
            sealer=FakeSealer(f"seal-of-{self.name}"),
            router=FakeRouter(self.proxy, self.clock, self.faults),
            pooler=FakePooler(self.bouncers, self.clock, self.faults),
            drivers={
                "bucket": StatefulFake(
                    self.machine, self.clock, self.faults, kind="bucket", token=self._random.token
                ),
                "postgres": RotatingFake(
                    self.machine, self.clock, self.faults, kind="postgres", token=self._random.token
                ),
                "container": StatelessFake(self.machine, self.clock, self.faults, kind="container"),
            },
            site_file=lambda: self._file,
            pin=lambda peer: peer.certificate_pem,
        )
        self._agent = Agent(parts)
        self._process = asyncio.ensure_future(self._agent.run())
        self._process.add_done_callback(self._ended)

    async def kill(self) -> None:
        """The agent's process is gone at whatever it was doing; journal, parts and proxy stay."""
        tasks = [*self._answering] + ([self._process] if self._process is not None else [])
        self._agent, self._process = None, None
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception) and not isinstance(ended, Temporary):
                raise ended

    async def bounce(self, seconds: float) -> None:
        """Die and come back."""
        await self.kill()
        await asyncio.sleep(seconds)
        if self._process is None:
            self.start()

    async def answer(self, origin: str, text: str) -> str:
        """A peer's question, if an agent is there to answer it."""
        if self._agent is None:
            raise Temporary("peer-unreachable", f"nobody answers at {self.name}")
        task = asyncio.ensure_future(self._agent.answer(f"key-of-{origin}", json.loads(text)))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)
        try:
            return json.dumps(await asyncio.shield(task))
        except asyncio.CancelledError:
            if not task.cancelled():
                raise
            raise Temporary("peer-unreachable", f"{self.name} died while it answered") from None

    def _ended(self, process: asyncio.Task[None]) -> None:
        """An agent never ends by itself."""
        if process is self._process:
            self.fallen.append(process)

    def trouble(self, method: str, when: str) -> None:
        """The next call of a driver's method fails for a while."""
        error = Temporary("trouble", f"{method} failed at {self.name}", delay_seconds=0.5)
        self.faults.fail_next(method, Fault(error, "before" if when == "before" else "after"))


async def web_program(part: Part, request: Request) -> Reply:
    """web: whatever is asked of it, it asks its store, by the address and credential it was given."""
    given = part.environment
    is_pooled = "files.host" in given
    address, port = (
        (given["files.host"], given["files.port"])
        if is_pooled
        else given["files.endpoint"].removeprefix("http://").rsplit(":", 1)
    )
    asked = Request(
        verb=request.verb,
        name=request.name,
        data=request.data,
        access_key=given["files.user" if is_pooled else "files.access_key"],
        secret_key=given["files.password" if is_pooled else "files.secret_key"],
    )
    return await part.machine.net.ask(part.machine.local_host(), (address, int(port)), asked)
