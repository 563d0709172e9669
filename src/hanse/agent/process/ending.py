"""Ending what runs at a site, on purpose: the agent's parts, and what is said about each."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from hanse.agent.parts import Parts
from hanse.agent.replica.claims import sign_erasure
from hanse.agent.replica.memory import Memory, Replica
from hanse.drivers.contract import Driver
from hanse.model.replica.role import ReplicaKey, ReplicaRole
from hanse.ports import Permanent, Temporary


@runtime_checkable
class Disposable(Protocol):
    """A driver with more to clear away than its replicas."""

    async def dispose(self) -> None:
        """Remove everything of the driver at this site."""
        ...


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of one thing."""

    what: str
    done: str
    is_ended: bool = True


def placed(parts: Parts) -> list[str]:
    """What still stands at this site, in words."""
    replicas = [
        f"{replica.key} ({replica.spec.kind}, {replica.role})"
        for replica in Memory(parts.journal).all()
        if replica.role is not ReplicaRole.ABSENT
    ]
    routes = [name for name, _ in parts.journal.items("route") if name.startswith("endpoint:")]
    return replicas + routes


async def end_parts(parts: Parts, *, erase: bool) -> list[Ended]:
    """Stop every part, the poolers and the proxy; the agent must not run. Data stays unless `erase`.

    Roles stay in the journal: a later `hanse site run` takes up what was only stopped.
    """
    ended = []
    for replica in Memory(parts.journal).all():
        driver = parts.drivers.get(replica.spec.kind)
        if driver is not None:
            ended += await _end_replica(parts, replica, driver, erase=erase)
    if erase:
        ended += [item for driver in parts.drivers.values() for item in await _dispose(driver)]
    poolers = await _end_way(parts.pooler.stop, "poolers")
    if not poolers.is_ended or parts.journal.items("pool"):
        ended.append(poolers)
    ended.append(await _end_way(parts.router.stop, "proxy"))
    return ended


async def _end_replica(parts: Parts, replica: Replica, driver: Driver, *, erase: bool) -> list[Ended]:
    what = f"{replica.key} ({replica.spec.kind})"
    try:
        held = await driver.look(replica.key)
        if held.role is ReplicaRole.ABSENT:
            return []
        if erase:
            _give_up(parts, replica)
            erased_bytes = await driver.erase(replica.key)
            _erased(parts, replica.key, erased_bytes)
            return [Ended(what, f"stopped and erased, {erased_bytes} bytes")]
        await driver.retain(replica.key)
        return [Ended(what, "stopped, its data is kept")]
    except (Temporary, Permanent) as error:
        return [Ended(what, error.message, is_ended=False)]


def _give_up(parts: Parts, replica: Replica) -> None:
    """Durable before anything is erased: what is empty must never be served as if it were not."""
    Memory(parts.journal).save(
        replica.model_copy(
            update={
                "role": ReplicaRole.ABSENT,
                "given_away": max(replica.given_away, replica.served),
                "clients": None,
                "followers": None,
            }
        )
    )


def _erased(parts: Parts, key: ReplicaKey, erased_bytes: int) -> None:
    memory = Memory(parts.journal)
    replica = memory.get(key)
    if replica is not None:
        erasure = sign_erasure(parts, key, erased_bytes)
        memory.save(replica.model_copy(update={"erasure": erasure, "position": ""}))


async def _dispose(driver: Driver) -> list[Ended]:
    if not isinstance(driver, Disposable):
        return []
    try:
        await driver.dispose()
    except (Temporary, Permanent) as error:
        return [Ended(f"driver {driver.kind}", error.message, is_ended=False)]
    return []


async def _end_way(stop: Callable[[], Awaitable[None]], what: str) -> Ended:
    try:
        await stop()
    except (Temporary, Permanent) as error:
        return Ended(what, error.message, is_ended=False)
    return Ended(what, "stopped")
