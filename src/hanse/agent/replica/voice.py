"""What is said of a replica: its state as it is now, whatever was ordered."""

from hanse.agent.parts import Parts
from hanse.agent.post.outbox import Outbox
from hanse.agent.replica.grants import Grants
from hanse.agent.replica.memory import Memory, Replica
from hanse.agent.replica.network import Network
from hanse.drivers.contract import Report
from hanse.model.replica.instruction import Generation
from hanse.model.replica.observation import Failure, Progress, ReplicaState
from hanse.model.replica.role import ReplicaKey, ReplicaRole
from hanse.model.replica.spec import Stream
from hanse.ports import Permanent

_SHOWN = (ReplicaRole.PRIMARY, ReplicaRole.STANDBY, ReplicaRole.FENCED)
_REPORT_SECONDS = 0.5
_USED_SECONDS = 30.0


class Voice:
    """Says replicas' states to the hub, long work at most twice a second."""

    def __init__(
        self, parts: Parts, outbox: Outbox, memory: Memory, grants: Grants, network: Network
    ) -> None:
        self._parts = parts
        self._outbox = outbox
        self._memory = memory
        self._grants = grants
        self._network = network
        self._generation: dict[ReplicaKey, Generation | None] = {}
        self._progress: dict[ReplicaKey, Progress] = {}
        self._used: dict[ReplicaKey, tuple[float, int]] = {}

    def answer(self, key: ReplicaKey, generation: Generation | None) -> None:
        """From now on, what is said of a replica answers this generation."""
        self._generation[key] = generation

    def say(self, key: ReplicaKey, *, ready: bool, failure: Failure | None = None) -> None:
        """Report a replica as the journal knows it."""
        state = self.state(key, ready=ready)
        self._outbox.say(f"replica/{key}", state, self._generation.get(key), failure)

    def state(self, key: ReplicaKey, *, ready: bool) -> ReplicaState:
        """The state to report."""
        replica = self._memory.get(key)
        if replica is None:
            return ReplicaState(
                role=ReplicaRole.ABSENT, epoch=0, ready=False, progress=self._progress.get(key)
            )
        used = self._used.get(key)
        return ReplicaState(
            role=replica.role,
            epoch=replica.epoch,
            ready=ready,
            clients=self._stream(replica, "clients"),
            followers=self._stream(replica, "followers"),
            sealed_credentials=self._grants.sealed(key),
            progress=self._progress.get(key),
            position=replica.position,
            relinquishment=replica.relinquishment,
            erasure=replica.erasure,
            used_bytes=None if used is None else used[1],
        )

    def progress(self, key: ReplicaKey, progress: Progress | None) -> None:
        """How far long work is; said with the next state. None: it is over."""
        if progress is None:
            self._progress.pop(key, None)
        else:
            self._progress[key] = progress

    def used(self, key: ReplicaKey, used_bytes: int) -> None:
        """Disk in use; told on at most twice a minute."""
        now = self._parts.clock.monotonic()
        known = self._used.get(key)
        if known is None or now - known[0] >= _USED_SECONDS:
            self._used[key] = (now, used_bytes)

    def reporter(self, key: ReplicaKey) -> Report:
        """For a driver's long work on one replica."""
        last = -_REPORT_SECONDS

        def report(progress: Progress) -> None:
            nonlocal last
            now = self._parts.clock.monotonic()
            lag = self._progress.get(key)
            if lag is not None and progress.lag_bytes is None:
                progress = progress.model_copy(
                    update={"lag_bytes": lag.lag_bytes, "lag_objects": lag.lag_objects}
                )
            self.progress(key, progress)
            if now - last >= _REPORT_SECONDS:
                last = now
                self.say(key, ready=self._is_ready(key))

        return report

    def _is_ready(self, key: ReplicaKey) -> bool:
        """A later pass of a standby that has caught up does not make it less ready."""
        progress = self._progress.get(key)
        replica = self._memory.get(key)
        following = replica is not None and replica.role is ReplicaRole.STANDBY
        return following and progress is not None and progress.lag_bytes is not None

    def _stream(self, replica: Replica, use: str) -> Stream | None:
        if replica.role not in _SHOWN or not (
            replica.has_clients if use == "clients" else replica.keeps_state
        ):
            return None
        try:
            return self._network.stream(replica.key, use)
        except Permanent:
            return None
