"""Holding one replica's role: look, do one step, report. Everything may be done again."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from hanse.agent.parts import Parts
from hanse.agent.replica.bindings import Bindings
from hanse.agent.replica.claims import sign_erasure
from hanse.agent.replica.grants import Grants
from hanse.agent.replica.memory import Memory, Replica
from hanse.agent.replica.network import Network
from hanse.agent.replica.pools import Pools
from hanse.agent.replica.standby import Follower
from hanse.agent.replica.voice import Voice
from hanse.drivers.contract import Driver, Following
from hanse.model.replica.instruction import Instruction
from hanse.model.replica.observation import Progress
from hanse.model.replica.order import ReplicaOrder
from hanse.model.replica.role import ReplicaKey, ReplicaRole
from hanse.model.replica.spec import ReplicaSpec
from hanse.ports import Permanent, Temporary
from hanse.replicas.level import Hold, Refused, judge

LOOK_SECONDS = 5.0
"""How often a serving part is looked at."""
DRAIN_SECONDS = 10.0
"""How long running requests may take when a component without state is stopped."""


@dataclass(frozen=True, slots=True)
class Task:
    """One replica, the order in force for it, and what that comes to."""

    order: ReplicaOrder
    hold: Hold
    driver: Driver
    replica: Replica

    @property
    def key(self) -> ReplicaKey:
        """Whose replica."""
        return self.order.key

    @property
    def is_ordered(self) -> bool:
        """False while the order is older than what happened here."""
        return self.hold.role is self.order.role and self.hold.epoch == self.order.epoch


@dataclass(frozen=True, slots=True)
class Rooms:
    """What holding a role needs."""

    parts: Parts
    memory: Memory
    grants: Grants
    network: Network
    pools: Pools
    bindings: Bindings
    follower: Follower
    voice: Voice


class Roles:
    """Every replica at this site. `lock` keeps orders and cut-overs from one another's replica."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._applied: dict[ReplicaKey, tuple[object, ...]] = {}
        self._locks: defaultdict[ReplicaKey, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._steps = {
            ReplicaRole.PRIMARY: self._primary,
            ReplicaRole.STANDBY: self._standby,
            ReplicaRole.FENCED: self._fenced,
            ReplicaRole.RETAINED: self._retained,
            ReplicaRole.ABSENT: self._absent,
        }

    def lock(self, key: ReplicaKey) -> asyncio.Lock:
        """Whoever holds it may change the replica."""
        return self._locks[key]

    def driver(self, spec: ReplicaSpec) -> Driver:
        """Raises Permanent(`kind-not-here`)."""
        driver = self._rooms.parts.drivers.get(spec.kind)
        if driver is None:
            raise Permanent(
                "kind-not-here",
                f"This site has no driver for a {spec.kind}. `hanse doctor` says what it can run.",
            )
        return driver

    async def hold(self, instruction: Instruction) -> float | None:
        """One step towards the order; seconds until the next look, None for not before a new order."""
        order = instruction.order
        if not isinstance(order, ReplicaOrder):
            raise TypeError(f"{instruction.subject} is no replica's order")
        async with self.lock(order.key):
            self._rooms.voice.answer(order.key, instruction.generation)
            task = self._task(order)
            return await self._steps[task.hold.role](task)

    def make_way(self, instruction: Instruction) -> None:
        """A newer order is in: a pass of a follower ends for it; nothing else is ever cut short."""
        if isinstance(instruction.order, ReplicaOrder):
            self._rooms.follower.make_way(instruction.order)

    async def serve(self, replica: Replica, environment: dict[str, str], *, at_once: bool = False) -> Replica:
        """Let a replica that is primary by right serve, and open its gate. Needs `lock`.

        `at_once`: clients wait, and the data was there a moment ago: nothing is looked at or told first.
        """
        rooms = self._rooms
        driver = self.driver(replica.spec)
        reporter = _silent if at_once else rooms.voice.reporter(replica.key)
        if not at_once:
            await _require_data(replica, driver)
        served = await driver.primary(replica.key, replica.spec, environment, reporter)
        followers = served.followers
        if followers is None and isinstance(driver, Following):
            followers = await driver.serve_followers(replica.key)
        if (replica.clients, replica.followers) != (served.clients, followers):
            replica = rooms.memory.save(
                replica.model_copy(update={"clients": served.clients, "followers": followers})
            )
        await rooms.grants.enforce(replica.key, driver, again=True)
        await rooms.network.open(replica.key)
        self._applied[replica.key] = (replica.spec, replica.epoch, environment)
        return replica

    def forget(self, key: ReplicaKey) -> None:
        """What was applied to a replica is not sure any more: do it again at the next look."""
        self._applied.pop(key, None)

    def _task(self, order: ReplicaOrder) -> Task:
        memory = self._rooms.memory
        replica = memory.get(order.key) or Replica(key=order.key, spec=order.spec)
        wanted = replica.model_copy(update={"spec": order.spec})
        verdict = judge(
            order,
            memory.standing(order.key),
            stateful=wanted.keeps_state,
            relinquished_to_us=memory.given_to_us(order.key)[0],
        )
        if isinstance(verdict, Refused):
            raise Permanent(verdict.code, verdict.message)
        return Task(order, verdict, self.driver(order.spec), replica)

    async def _primary(self, task: Task) -> float | None:
        rooms = self._rooms
        rooms.follower.forget(task.key)
        replica = self._become(task, ReplicaRole.PRIMARY)
        expiry: datetime | None = None
        if task.is_ordered:
            expiry = rooms.grants.settle(replica, task.order.grants, task.driver)
        environment = await rooms.bindings.environment(task.order, task.driver)
        held = await task.driver.look(task.key)
        applied = (replica.spec, replica.epoch, environment)
        if self._applied.get(task.key) != applied or not held.alive or held.role is not ReplicaRole.PRIMARY:
            await self.serve(replica, environment)
        else:
            await rooms.grants.enforce(task.key, task.driver)
            await rooms.network.hold()
        rooms.voice.used(task.key, held.used_bytes)
        rooms.voice.progress(task.key, None)
        rooms.voice.say(task.key, ready=True)
        return self._until(expiry)

    async def _standby(self, task: Task) -> float | None:
        rooms = self._rooms
        await self._stop_serving(task)
        replica = self._become(task, ReplicaRole.STANDBY)
        rooms.voice.say(task.key, ready=False) if self._applied.get(task.key) is None else None
        applied = (replica.spec, "standby")
        held = await task.driver.look(task.key)
        if self._applied.get(task.key) != applied or held.role is not ReplicaRole.STANDBY or not held.alive:
            await task.driver.standby(task.key, replica.spec, rooms.voice.reporter(task.key))
            self._applied[task.key] = applied
        await rooms.bindings.drop(task.key)
        await rooms.network.hold()
        rooms.voice.used(task.key, held.used_bytes)
        if not task.is_ordered:
            rooms.voice.say(task.key, ready=False)
            return None
        pause = await rooms.follower.follow(task.order, task.driver)
        return LOOK_SECONDS if pause is None else pause

    async def _fenced(self, task: Task) -> float | None:
        rooms = self._rooms
        rooms.follower.forget(task.key)
        held = await task.driver.look(task.key)
        is_fenced = held.role is ReplicaRole.FENCED and held.alive
        if not (is_fenced and task.replica.role is ReplicaRole.FENCED and task.replica.position):
            await rooms.network.close(task.key, DRAIN_SECONDS)
            position = await task.driver.fence(task.key)
            self._applied.pop(task.key, None)
            replica = self._become(task, ReplicaRole.FENCED)
            rooms.memory.save(replica.model_copy(update={"position": position}))
        await rooms.network.hold()
        rooms.voice.say(task.key, ready=True)
        return None

    async def _retained(self, task: Task) -> float | None:
        until = task.order.retain_until
        if until is not None and until <= self._rooms.parts.clock.now():
            return await self._absent(task)
        await self._stop_serving(task)
        self._become(task, ReplicaRole.RETAINED)
        await task.driver.retain(task.key)
        await self._withdraw(task)
        self._rooms.voice.say(task.key, ready=True)
        return self._until(until) if until is not None else None

    async def _absent(self, task: Task) -> float | None:
        rooms = self._rooms
        held = await task.driver.look(task.key)
        if (
            task.replica.role is ReplicaRole.ABSENT
            and task.replica.erasure
            and held.role is ReplicaRole.ABSENT
        ):
            rooms.voice.say(task.key, ready=True)
            return None
        await self._stop_serving(task)
        replica = self._become(task, ReplicaRole.ABSENT)
        erased_bytes = await task.driver.erase(task.key)
        await self._withdraw(task)
        rooms.network.addresses.give_back(str(task.key))
        erasure = sign_erasure(rooms.parts, task.key, erased_bytes)
        rooms.memory.save(
            replica.model_copy(
                update={"erasure": erasure, "clients": None, "followers": None, "position": ""}
            )
        )
        rooms.voice.say(task.key, ready=True)
        return None

    async def _stop_serving(self, task: Task) -> None:
        """Let running requests end, and take no write any more, before the role is given up."""
        if task.replica.role is not ReplicaRole.PRIMARY:
            return
        await self._rooms.network.close(task.key, DRAIN_SECONDS)
        if task.replica.keeps_state:
            await task.driver.fence(task.key)

    async def _withdraw(self, task: Task) -> None:
        rooms = self._rooms
        self._applied.pop(task.key, None)
        rooms.follower.forget(task.key)
        rooms.grants.forget(task.key)
        await rooms.bindings.drop(task.key)
        await rooms.network.hold()

    def _become(self, task: Task, role: ReplicaRole) -> Replica:
        """The durable decision, before anything is done for it."""
        replica = task.replica
        changed: dict[str, object] = {"role": role, "spec": task.order.spec, "epoch": task.hold.epoch}
        if role is ReplicaRole.PRIMARY:
            changed |= {"served": max(replica.served, task.hold.epoch), "relinquishment": "", "position": ""}
        if role in {ReplicaRole.RETAINED, ReplicaRole.ABSENT}:
            changed |= {"given_away": max(replica.given_away, replica.served)}
        if role is not ReplicaRole.ABSENT:
            changed |= {"erasure": ""}
        wanted = replica.model_copy(update=changed)
        return wanted if wanted == replica else self._rooms.memory.save(wanted)

    def _until(self, moment: datetime | None) -> float:
        """Seconds to the next look, sooner if something falls due before."""
        if moment is None:
            return LOOK_SECONDS
        left = (moment - self._rooms.parts.clock.now()).total_seconds()
        return min(LOOK_SECONDS, max(left, 0.0) + 0.001)


def _silent(progress: Progress) -> None:
    """Nobody listens."""


async def _require_data(replica: Replica, driver: Driver) -> None:
    """What was served and is empty now is not begun anew: its followers would throw their copies away."""
    if not replica.keeps_state or replica.clients is None:
        return
    held = await driver.look(replica.key)
    if held.role is ReplicaRole.ABSENT:
        raise Temporary(
            "data-missing",
            f"The data of {replica.key} is not on this site's disk any more, so it is not served."
            " Is a disk not mounted, or was its directory moved? Put it back, and it goes on by itself."
            " Standbys elsewhere keep what they have copied.",
            delay_seconds=5.0,
        )
