"""One seed, one world: a hub, three sites, clients, moves, and faults until they stop."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from random import Random
from typing import Any

from sim_clients import Client
from sim_hub import SimHub
from sim_loop import SimClock, WatchedLoop, chance
from sim_oracle import Oracle, wiped
from sim_sites import HUB, SimSite, Weather

from hanse.drivers.fake.machine import History
from hanse.drivers.fake.net import Net

SITES = ("fiction/one", "fable/two", "legend/three")
METHODS = ("primary", "fence", "follow", "catch_up", "grant", "hold", "close", "standby", "erase", "switch")
METHODS += ("drain", "hold_pools", "pause", "resume")
STORES = ("bucket", "transaction-safe", "session")
CUT_OVER = ("prepare", "hold", "catch_up", "hand_over", "serving", "switch", "release")


@dataclass(frozen=True)
class Told:
    """What came of a run."""

    seed: int
    moves: tuple[str, ...]
    """Kind and end of each operation."""
    acknowledged: int
    errors: tuple[str, ...]
    gap_seconds: float
    virtual_seconds: float
    turns: int


class World:
    """Everything that a scenario turns."""

    def __init__(self, seed: int, loop: WatchedLoop) -> None:
        self.seed = seed
        self.random = Random(seed)  # noqa: S311 - a seed that replays, not a secret
        self.loop = loop
        self.weather = Weather(self.random)
        self.history = History()
        self._failed: list[asyncio.Task[Any]] = []
        net = Net(SimClock(), self.weather.delay, self.weather.reachable)
        self.hub = SimHub(self.random, SITES)
        self.sites = {name: SimSite(name, self.hub, self.weather, net, self.history) for name in SITES}
        for site in self.sites.values():
            site.neighbours = self.sites
            site.fallen = self._failed
        self.clients = [Client(f"client{n}", self.hub, net, self.random) for n in range(2)]
        self.oracle = Oracle(self.sites, self.history)
        self._tasks: set[asyncio.Task[Any]] = set()
        self.writing: list[asyncio.Task[Any]] = []
        loop.watch = self._watch

    def _watch(self) -> None:
        self.oracle.look()
        for task in self._failed:
            task.result()
            raise AssertionError(f"{task.get_name()} ended by itself")

    def do(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Beside everything else; its failure is the run's."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failed.append(task)

    async def begin(self) -> None:
        """Sites joined, application deployed, clients at work."""
        self.hub.join_all()
        for site in self.sites.values():
            site.start()
        self.do(self.hub.run())
        files, web, endpoint = (self.random.choice(SITES) for _ in range(3))
        self.hub.apply(STORES[self.seed % 3], files, web, endpoint)
        await self.until(lambda: self.hub.application()[0] == "running", 120)
        self.writing = [self.do(client.run()) for client in self.clients]

    async def until(self, fact: Callable[[], bool], seconds: float) -> None:
        """Raises AssertionError with what is under way."""
        end = self.loop.time() + seconds
        while not fact():
            if self.loop.time() > end:
                left = [f"{o.kind} {o.key.component} {o.phase}: {o.reason}" for o in self.hub.under_way()]
                raise AssertionError(f"not within {seconds} s; under way: {left}")
            await asyncio.sleep(0.25)

    async def end(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for site in self.sites.values():
            await site.kill()
        while left := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)


def aim(world: World) -> None:
    """While a cut-over goes on, every durable step of it may be the moment at which something breaks."""
    percent = world.random.choice([0, 10, 30])

    def strike(table: str) -> None:
        if table != "ticket" or not chance(world.random, percent):
            return
        if chance(world.random, 50):
            site = world.sites[world.random.choice(SITES)]
            seconds = world.random.uniform(0.05, 3.0)
            world.do(soon(world, lambda: site.bounce(seconds)))
        else:
            pair = world.random.sample(SITES, 2)
            seconds = world.random.uniform(0.5, 10)
            world.do(soon(world, lambda: cut(world, pair, seconds)))

    for site in world.sites.values():
        site.journal.on_put = strike
        site.on_ask = lambda question: strike("ticket") if question in CUT_OVER else None


async def soon(world: World, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """A message's way from now."""
    await asyncio.sleep(world.random.uniform(0, 2 * world.weather.slow_seconds))
    await work()


async def trouble(world: World, seconds: float) -> None:
    """Faults, one after the other, for so long; whatever was cut is healed at the end."""
    random, weather = world.random, world.weather
    end = world.loop.time() + seconds
    weather.loss_percent = random.choice([0, 0, 5, 20])
    weather.slow_seconds = random.choice([0.002, 0.02, 0.5])
    weather.late_percent = random.choice([0, 20, 60])
    world.hub.store.kill_percent = random.choice([0, 0.5, 2])
    aim(world)
    while world.loop.time() < end:
        await asyncio.sleep(random.uniform(0.05, 2.0))
        site = world.sites[random.choice(SITES)]
        match random.randrange(6):
            case 0:
                world.do(cut(world, random.sample([*SITES, HUB], 2), random.uniform(0.5, 20)))
            case 1 | 2:
                world.do(site.bounce(random.uniform(0.05, 3.0)))
            case 3:
                world.do(world.hub.die())
            case 4:
                site.trouble(random.choice(METHODS), random.choice(["before", "after"]))
            case 5:
                web = "shop/web/0/live"
                if web in site.machine.parts and chance(random, 50):
                    site.machine.kill(web)
    for site in world.sites.values():
        site.journal.on_put = lambda _table: None
        site.on_ask = lambda _question: None
    weather.late_percent = 0.0
    weather.loss_percent, weather.slow_seconds, world.hub.store.kill_percent = 0.0, 0.002, 0.0


async def cut(world: World, pair: list[str], seconds: float) -> None:
    """Nothing passes between two of them for a while."""
    way = frozenset(pair)
    world.weather.cut.add(way)
    await asyncio.sleep(seconds)
    world.weather.cut.discard(way)


async def one_move(world: World, *, faults: bool) -> str:
    """A move of something to somewhere, perhaps aborted; returns how it ended."""
    random = world.random
    component = random.choice(["files", "files", "web"])
    record = world.hub.application()[1].components[component]
    target = random.choice([site for site in SITES if site != record.primary])
    way_back = random.choice([0, 15, 3600])
    retrieval = random.choice([0, 3600])
    name = world.hub.move(component, target, way_back_seconds=way_back, retrieval_seconds=retrieval)
    if faults:
        trouble_ended = world.do(trouble(world, random.uniform(3, 25)))
        if chance(random, 35):
            await asyncio.sleep(random.uniform(0, 12))
            world.hub.abort(name)
        await trouble_ended
    await world.until(lambda: not world.hub.under_way(), 400)
    ended = world.hub.operation(name)
    return f"{component} {ended.state}" + (f" ({ended.reason})" if ended.reason else "")


def held_at(site: SimSite) -> set[str]:
    """Whose clients are kept waiting."""
    held = {route.name for route in site.proxy.routes.values() if route.active is None}
    return held | site.bouncers.paused


async def scenario(world: World, *, faults: bool) -> Told:
    """Deploy, some moves, retire; the oracle's last word."""
    await world.begin()
    moves = [await one_move(world, faults=faults) for _ in range(world.random.randint(1, 3))]
    await asyncio.sleep(5.0)
    await world.until(lambda: not any(held_at(site) for site in world.sites.values()), 70)
    for client in world.clients:
        client.stop()
    await asyncio.gather(*world.writing)
    record = world.hub.application()[1].components["files"]
    logs = [client.log for client in world.clients]
    world.oracle.every_acknowledged_write_is_there(logs, record.primary or "")
    world.oracle.tenures_are_no_more_than(record.epoch)
    erase_now = chance(world.random, 50)
    world.hub.retire(erase_now=erase_now)
    await world.until(lambda: world.hub.application()[0] == "ended", 400)
    world.oracle.nothing_is_used_twice()
    wiped(world.sites.values(), retained=not erase_now)
    return Told(
        seed=world.seed,
        moves=tuple(moves),
        acknowledged=sum(len(log.acknowledged) for log in logs),
        errors=tuple(error for log in logs for error in log.errors),
        gap_seconds=max(log.gap_seconds for log in logs),
        virtual_seconds=world.loop.time(),
        turns=world.loop.turns,
    )


def play(seed: int, *, faults: bool = True) -> Told:
    """One run. Raises whatever breaks it."""
    loop = WatchedLoop()

    async def make() -> World:
        return World(seed, loop)

    try:
        world = loop.run_until_complete(make())
        try:
            return loop.run_until_complete(scenario(world, faults=faults))
        finally:
            loop.watch = lambda: None
            loop.run_until_complete(world.end())
    finally:
        loop.close()
