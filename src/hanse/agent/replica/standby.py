"""Following a primary elsewhere: pass after pass, with the lag said after each."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from hanse.agent.parts import Parts
from hanse.agent.replica.grants import open_credential
from hanse.agent.replica.voice import Voice
from hanse.agent.waiting import first_of
from hanse.drivers.contract import Driver, Following, Pass, Report, Source
from hanse.model.replica.observation import Progress
from hanse.model.replica.order import ReplicaOrder
from hanse.model.replica.role import ReplicaKey, ReplicaRole
from hanse.ports import Temporary

READY_PASS_SECONDS = 10.0
"""A standby is ready for a cut-over when its last pass, not its first, took no longer."""
GRACE_SECONDS = 1.0
"""A pass that a cut-over finds running may still end by itself: what it brings over now need not be
brought over while clients wait."""
_PAUSE_SHORTEST = 2.0
_PAUSE_LONGEST = 15.0


@dataclass(slots=True)
class _Followed:
    source: str
    passes: int = 0
    pause: float = 0.0
    fails: bool = False
    """The last pass failed, and since then nothing has moved."""

    def next_pause(self, done: Pass) -> float:
        """At once after the first pass; soon while things change; more and more seldom while nothing does."""
        if self.passes == 1:
            return 0.0
        least = max(2 * done.seconds, _PAUSE_SHORTEST)
        self.pause = least if done.objects_moved or done.bytes_moved else max(least, 1.5 * self.pause)
        self.pause = min(self.pause, _PAUSE_LONGEST)
        return self.pause


@dataclass(frozen=True, slots=True)
class _Running:
    task: asyncio.Task[Pass]
    order: ReplicaOrder | None
    """None: the last pass of a cut-over, which no order cuts short."""


class Follower:
    """The standbys here that follow. A running pass may be cut short: the next one goes on where it was."""

    def __init__(self, parts: Parts, voice: Voice) -> None:
        self._parts = parts
        self._voice = voice
        self._followed: dict[ReplicaKey, _Followed] = {}
        self._sources: dict[ReplicaKey, Source] = {}
        self._running: dict[ReplicaKey, _Running] = {}
        self._asked: dict[ReplicaKey, ReplicaOrder | None] = {}
        """Who asked for the way while no pass ran yet: a newer order, or a cut-over (None)."""
        self._alarms: set[asyncio.Task[None]] = set()

    def source(self, order: ReplicaOrder) -> Source | None:
        """The followed primary as a driver reaches it; None while the hub has not named it.

        Raises Temporary(`follow-credential-missing`).
        """
        if order.follow is None:
            return None
        if not order.sealed_follow_credential:
            raise Temporary(
                "follow-credential-missing",
                f"{order.key} waits for the credential to read from {order.follow.peer.site}."
                " The hub passes it on as soon as that site has made it.",
                delay_seconds=5.0,
            )
        source = Source(
            stream=order.follow,
            own_certificate_file=self._parts.identity.certificate_file,
            own_key_file=self._parts.identity.key_file,
            pinned_certificate_file=self._parts.pin(order.follow.peer),
            fields=open_credential(self._parts, order.sealed_follow_credential),
        )
        self._sources[order.key] = source
        return source

    def known_source(self, key: ReplicaKey) -> Source | None:
        """The source that was last followed since the start."""
        return self._sources.get(key)

    async def follow(self, order: ReplicaOrder, driver: Driver) -> float | None:
        """One pass; seconds until the next one is due. None: nothing to follow."""
        source = self.source(order)
        if source is None or not isinstance(driver, Following):
            self._voice.say(order.key, ready=not isinstance(driver, Following))
            return None
        if self._gives_way(order):
            return 0.0
        followed = self._followed.get(order.key)
        name = f"{source.stream.peer.site} {source.stream.name}"
        if followed is None or followed.source != name:
            followed = self._followed[order.key] = _Followed(name)
            self._voice.progress(order.key, None)
        work = driver.follow(order.key, source, self._reporter(order.key, followed))
        try:
            done = await self._run(order.key, order, work)
        except Temporary:
            followed.fails = True
            raise
        followed.fails = False
        if done is None:
            return 0.0
        followed.passes += 1
        self._say(order.key, done, first=followed.passes == 1)
        return followed.next_pause(done)

    async def catch_up(self, key: ReplicaKey, driver: Following, source: Source, position: str) -> Pass:
        """The last pass of a cut-over. Raises Temporary(`pass-cut-short`) if the cut-over is called off."""
        work = driver.catch_up(key, source, position, self._voice.reporter(key))
        done = await self._run(key, None, work)
        if done is None:
            raise Temporary("pass-cut-short", f"The last pass of {key} ended before it was done.")
        return done

    def make_way(self, order: ReplicaOrder) -> None:
        """A newer order is in: a pass that does not serve it ends at once."""
        running = self._running.get(order.key)
        if running is None:
            self._asked[order.key] = order
        elif running.order is not None and not _is_same(running.order, order):
            running.task.cancel()

    def cut_short(self, key: ReplicaKey, grace_seconds: float = 0.0) -> None:
        """Whatever pass of this replica runs ends at once, or when the grace is over."""
        running = self._running.get(key)
        if running is None:
            self._asked[key] = None
        else:
            alarm = asyncio.ensure_future(self._end(running.task, grace_seconds))
            self._alarms.add(alarm)
            alarm.add_done_callback(self._alarms.discard)

    def forget(self, key: ReplicaKey) -> None:
        """The replica follows no more."""
        self._followed.pop(key, None)
        self._sources.pop(key, None)
        self._voice.progress(key, None)

    def _gives_way(self, order: ReplicaOrder) -> bool:
        """Somebody asked while this step was getting ready to follow: answered once, then it is his turn."""
        if order.key not in self._asked:
            return False
        newer = self._asked.pop(order.key)
        return newer is None or not _is_same(order, newer)

    async def _run(
        self, key: ReplicaKey, order: ReplicaOrder | None, work: Coroutine[Any, Any, Pass]
    ) -> Pass | None:
        """What the pass did; None if it was cut short. Nothing of it runs when this returns."""
        task = asyncio.ensure_future(work)
        self._running[key] = _Running(task, order)
        try:
            await asyncio.wait({task})
        finally:
            del self._running[key]
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        return None if task.cancelled() else task.result()

    async def _end(self, task: asyncio.Task[Pass], grace_seconds: float) -> None:
        if not await first_of(self._parts.clock, asyncio.wait({task}), grace_seconds):
            task.cancel()

    def _reporter(self, key: ReplicaKey, followed: _Followed) -> Report:
        """Why the last pass failed stands until something moves: to try again is no progress."""
        report = self._voice.reporter(key)

        def moved(progress: Progress) -> None:
            if progress.bytes_done or progress.objects_done:
                followed.fails = False
            if not followed.fails:
                report(progress)

        return moved

    def _say(self, key: ReplicaKey, done: Pass, *, first: bool) -> None:
        ready = not first and done.seconds <= READY_PASS_SECONDS
        progress = Progress(
            phase="seeded" if first else "following",
            bytes_done=done.bytes_total,
            bytes_total=done.bytes_total,
            objects_done=done.objects_total,
            objects_total=done.objects_total,
            lag_bytes=None if first else done.bytes_moved,
            lag_objects=None if first else done.objects_moved,
            seconds_left=None if first else done.seconds,
        )
        self._voice.progress(key, progress)
        self._voice.say(key, ready=ready)


def _is_same(held: ReplicaOrder, newer: ReplicaOrder) -> bool:
    """The pass that goes on is the one that the newer order would begin."""
    fields = ("epoch", "spec", "follow", "sealed_follow_credential")
    return newer.role is ReplicaRole.STANDBY and all(
        getattr(held, one) == getattr(newer, one) for one in fields
    )
