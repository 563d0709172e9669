"""A world of agents on a virtual clock: fakes for the hub, the channel, keys and parts."""

import asyncio
import base64
import copy
import hashlib
import json
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

from hanse.agent.agent import Agent
from hanse.agent.parts import Identity, Parts
from hanse.agent.place.file import SiteFile
from hanse.drivers.fake.driver import RotatingFake, StatefulFake, StatelessFake
from hanse.drivers.fake.machine import History, Machine
from hanse.drivers.fake.net import Net
from hanse.drivers.fake.pooler import Bouncers, FakePooler
from hanse.drivers.fake.router import FakeRouter, Proxy
from hanse.model.replica.instruction import Generation, Instruction
from hanse.model.replica.observation import Observation
from hanse.model.replica.order import subject_of
from hanse.model.replica.spec import Peer
from hanse.model.shape import canonical_bytes
from hanse.ports import Permanent, Temporary

START = datetime(2026, 1, 1, tzinfo=UTC)
HUB = "hub-key"
CHANNEL_SECONDS = 0.005


class _Jumping(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("the world stands still: nobody has anything to do")
        self.now += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


class VirtualClock:
    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        return START + timedelta(seconds=self.monotonic())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Counting:
    def __init__(self) -> None:
        self.count = 0

    def token(self, nbytes: int = 16) -> str:
        self.count += 1
        return hashlib.sha256(str(self.count).encode()).hexdigest()[: 2 * nbytes]


class MemoryJournal:
    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Any]] = {}
        self.counters: dict[str, int] = {}
        self.before_put: Callable[[str, str], None] = lambda _table, _key: None

    def get(self, table: str, key: str) -> Any:
        return copy.deepcopy(self.tables.get(table, {}).get(key))

    def put(self, table: str, key: str, value: Any) -> None:
        self.before_put(table, key)
        self.tables.setdefault(table, {})[key] = json.loads(json.dumps(value))

    def delete(self, table: str, key: str) -> None:
        self.tables.get(table, {}).pop(key, None)

    def items(self, table: str) -> Any:
        return [(key, copy.deepcopy(value)) for key, value in sorted(self.tables.get(table, {}).items())]

    def next_number(self, counter: str) -> int:
        self.counters[counter] = self.counters.get(counter, 0) + 1
        return self.counters[counter]


def jws(payload: bytes, kind: str, key: str) -> str:
    parts = [json.dumps([kind, key]).encode(), payload, b"signed"]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def payload_of(document: str) -> bytes:
    text = document.split(".")[1]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class FakeSigner:
    def __init__(self, key: str) -> None:
        self.thumbprint = key

    def sign(self, payload: bytes, kind: str) -> str:
        return jws(payload, kind, self.thumbprint)

    def verify(self, document: str, kind: str, certificate_pem: str) -> bytes:
        if document.split(".", maxsplit=1)[0] != jws(b"", kind, certificate_pem).split(".")[0]:
            raise Permanent("signature-wrong", "another key signed this")
        return payload_of(document)


class FakeSealer:
    def __init__(self, key: str) -> None:
        self.key = key

    def seal(self, secret: bytes, reader_key: str) -> str:
        return json.dumps([reader_key, secret.decode()])

    def open(self, sealed: str) -> bytes:
        reader, secret = json.loads(sealed)
        if reader != self.key:
            raise Permanent("sealed-for-another", "sealed for another")
        return bytes(secret.encode())


class Line:
    """Hub and channel of one site, with the ways cut or not."""

    def __init__(self, world: "World", site: str) -> None:
        self.world = world
        self.site = site

    async def instructions(self, since: int, wait_seconds: float) -> list[str]:
        self._need_hub()
        until = asyncio.get_running_loop().time() + wait_seconds
        while True:
            found = sorted(item for item in self.world.orders[self.site].values() if item[0] > since)
            if found or asyncio.get_running_loop().time() >= until:
                return [document for _, document in found]
            await asyncio.sleep(0.1)
            self._need_hub()

    async def observe(self, documents: Any) -> None:
        self._need_hub()
        for document in documents:
            seen = Observation.model_validate_json(payload_of(document))
            self.world.observed[self.site, seen.subject] = seen
            self.world.history.append(seen)

    async def ask(self, peer: Peer, message: Any, timeout_seconds: float) -> dict[str, Any]:
        agent = self.world.agents.get(peer.site)
        if agent is None or not self.world.reachable(self.site, peer.site):
            await asyncio.sleep(min(1.0, timeout_seconds))
            raise Temporary("peer-unreachable", f"{peer.site} does not answer")
        text = json.loads(json.dumps(message))
        await asyncio.sleep(CHANNEL_SECONDS)
        answering = asyncio.ensure_future(agent.answer(f"key-of-{self.site}", text))
        self.world.answering.setdefault(peer.site, []).append(answering)
        await asyncio.wait({answering}, timeout=timeout_seconds)
        if not answering.done():
            answering.cancel()
        if answering.cancelled() or not answering.done():
            raise Temporary("peer-unreachable", f"{peer.site} is silent")
        reply = answering.result()
        await asyncio.sleep(CHANNEL_SECONDS)
        if not self.world.reachable(peer.site, self.site):
            raise Temporary("peer-unreachable", f"the answer of {peer.site} was lost")
        return dict(json.loads(json.dumps(reply)))

    def _need_hub(self) -> None:
        if not self.world.hub_is_up:
            raise Temporary("hub-unreachable", "the hub is away")


class World:
    """Sites a/1, b/1, …: each with a journal, a machine and a proxy that outlive its agent."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.net = Net(self.clock)
        self.acknowledged = History()
        self.orders: dict[str, dict[str, tuple[int, str]]] = {}
        self.observed: dict[tuple[str, str], Observation] = {}
        self.history: list[Observation] = []
        self.agents: dict[str, Agent] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.answering: dict[str, list[asyncio.Task[Any]]] = {}
        self.journals: dict[str, MemoryJournal] = {}
        self.machines: dict[str, Machine] = {}
        self.proxies: dict[str, Proxy] = {}
        self.bouncers: dict[str, Bouncers] = {}
        self.drivers: dict[str, dict[str, Any]] = {}
        self.site_files: dict[str, SiteFile] = {}
        self.cut: set[tuple[str, str]] = set()
        self.hub_is_up = True
        self.serial = 0

    def reachable(self, origin: str, to: str) -> bool:
        return (origin, to) not in self.cut

    def peer(self, site: str) -> Peer:
        return Peer(
            site=site,
            thumbprint=f"key-of-{site}",
            certificate_pem=f"key-of-{site}",
            sealing_key=f"seal-of-{site}",
            address=f"{site}.example",
            channel_port=7199,
        )

    def add(self, site: str) -> None:
        host = f"{site}.example"
        self.orders[site] = {}
        self.journals[site] = MemoryJournal()
        self.machines[site] = Machine(site, host, self.net, self.acknowledged)
        self.proxies[site] = Proxy(host, f"key-of-{site}", self.net)
        self.bouncers[site] = Bouncers(host, self.net)
        self.site_files[site] = site_file(site)

    def start(self, site: str) -> Agent:
        drivers = {
            "bucket": StatefulFake(self.machines[site], self.clock, kind="bucket"),
            "postgres": RotatingFake(self.machines[site], self.clock, kind="postgres"),
            "container": StatelessFake(self.machines[site], self.clock, kind="container"),
        }
        self.drivers[site] = drivers
        me = f"key-of-{site}"
        agent = Agent(
            Parts(
                identity=Identity(self.peer(site), HUB, me, me),
                clock=self.clock,
                random=Counting(),
                journal=self.journals[site],
                carrier=Line(self, site),
                signer=FakeSigner(me),
                sealer=FakeSealer(f"seal-of-{site}"),
                router=FakeRouter(self.proxies[site], self.clock),
                pooler=FakePooler(self.bouncers[site], self.clock),
                drivers=drivers,
                site_file=lambda: self.site_files[site],
                pin=lambda peer: peer.certificate_pem,
            )
        )
        self.agents[site] = agent
        self.tasks[site] = asyncio.ensure_future(agent.run())
        return agent

    async def kill(self, site: str) -> None:
        """The agent's process is gone; journal, parts and proxy stay."""
        self.agents.pop(site, None)
        tasks = [self.tasks.pop(site), *self.answering.pop(site, [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def stop(self) -> None:
        for site in list(self.tasks):
            await self.kill(site)

    def order(self, site: str, order: Any, generation: int | None = None) -> str:
        self.serial += 1
        instruction = Instruction(
            site=site,
            serial=self.serial,
            subject=subject_of(order),
            generation=Generation(number=self.serial if generation is None else generation),
            issued_at=self.clock.now(),
            order=order,
        )
        document = jws(canonical_bytes(instruction), "hanse-instruction", HUB)
        self.orders[site][instruction.subject] = (self.serial, document)
        return instruction.subject

    async def until(self, fact: Callable[[], Any], seconds: float = 120.0) -> Any:
        end = asyncio.get_running_loop().time() + seconds
        while not (found := fact()):
            if asyncio.get_running_loop().time() > end:
                raise AssertionError(f"not within {seconds} s")
            await asyncio.sleep(0.05)
        return found

    def said(self, site: str, subject: str) -> Any:
        seen = self.observed.get((site, subject))
        return None if seen is None else seen.state

    async def ready(self, site: str, subject: str, role: str) -> Any:
        def fact() -> Any:
            state = self.said(site, subject)
            return state if state is not None and state.role == role and state.ready else None

        return await self.until(fact)


def site_file(site: str, **more: Any) -> SiteFile:
    provider = site.partition("/")[0]
    base: dict[str, Any] = {
        "provider": {"id": provider, "name": provider.title(), "country": "NO"},
        "site": {"id": site, "city": "Oslo", "country": "NO", "latitude": 59.9, "longitude": 10.7},
        "data": {"address": f"{site}.example", "channel_port": 7199, "stream_ports": "7200-7299"},
        "endpoint": {"address": f"{site}.example", "ports": "8000-8099", "eur_per_month": 1},
        "local": {"address": f"local.{site}.example", "ports": "9000-9099"},
        "offers": [
            {
                "kind": "vm",
                "name": "small",
                "vcpu": 1,
                "memory_gib": 1,
                "price_eur_per_hour": 0.01,
                "units": 2,
            },
            {"kind": "bucket", "name": "s3", "price_eur_per_gib_month": 0.02},
        ],
    }
    return SiteFile.model_validate({**base, **more})


def play(scenario: Callable[[World], Coroutine[Any, Any, Any]]) -> Any:
    """Run a scenario in a fresh world on virtual time."""

    async def whole() -> Any:
        world = World()
        try:
            return await scenario(world)
        finally:
            await world.stop()

    loop = VirtualLoop()
    try:
        return loop.run_until_complete(whole())
    finally:
        loop.close()
