"""Following a primary elsewhere: pass after pass, with the lag said after each."""

from dataclasses import dataclass

from hanse.agent.parts import Parts
from hanse.agent.replica.grants import open_credential
from hanse.agent.replica.voice import Voice
from hanse.drivers.contract import Driver, Following, Pass, Source
from hanse.model.replica.observation import Progress
from hanse.model.replica.order import ReplicaOrder
from hanse.model.replica.role import ReplicaKey
from hanse.ports import Temporary

READY_PASS_SECONDS = 10.0
"""A standby is ready for a cut-over when its last pass, not its first, took no longer."""
_PAUSE_SHORTEST = 2.0
_PAUSE_LONGEST = 15.0


@dataclass(slots=True)
class _Followed:
    source: str
    passes: int = 0
    pause: float = 0.0

    def next_pause(self, done: Pass) -> float:
        """At once after the first pass; soon while things change; more and more seldom while nothing does."""
        if self.passes == 1:
            return 0.0
        least = max(2 * done.seconds, _PAUSE_SHORTEST)
        self.pause = least if done.objects_moved or done.bytes_moved else max(least, 1.5 * self.pause)
        self.pause = min(self.pause, _PAUSE_LONGEST)
        return self.pause


class Follower:
    """The standbys here that follow."""

    def __init__(self, parts: Parts, voice: Voice) -> None:
        self._parts = parts
        self._voice = voice
        self._followed: dict[ReplicaKey, _Followed] = {}
        self._sources: dict[ReplicaKey, Source] = {}

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
        followed = self._followed.get(order.key)
        name = f"{source.stream.peer.site} {source.stream.name}"
        if followed is None or followed.source != name:
            followed = self._followed[order.key] = _Followed(name)
            self._voice.progress(order.key, None)
        done = await driver.follow(order.key, source, self._voice.reporter(order.key))
        followed.passes += 1
        self._say(order.key, done, first=followed.passes == 1)
        return followed.next_pause(done)

    def forget(self, key: ReplicaKey) -> None:
        """The replica follows no more."""
        self._followed.pop(key, None)
        self._sources.pop(key, None)
        self._voice.progress(key, None)

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
