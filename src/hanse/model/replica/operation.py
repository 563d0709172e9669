"""Operations: walks over the table of replica roles, one per component."""

from typing import Literal

from hanse.model.replica.observation import Failure
from hanse.model.replica.role import ReplicaKey, ReplicaRole
from hanse.model.shape import Digest, Moment, Shape, SiteId

OperationKind = Literal["deploy", "move", "standby", "retire", "drop"]
"""`drop` ends a way back: the follower at `source` becomes retained or absent."""


class Operation(Shape):
    """One walk. `phase` and `ticket` are the only memory; all else is looked up each time."""

    operation: str
    kind: OperationKind
    key: ReplicaKey
    component_kind: Literal["container", "bucket", "postgres", "fake", "endpoint"]
    """`endpoint`: the walk is about the address of the component in `key`, not about its replicas."""
    mandate: Digest
    after: tuple[str, ...] = ()
    """Operations that must be done first."""
    source: SiteId | None = None
    target: SiteId | None = None
    from_epoch: int = 0
    ticket: str | None = None
    target_before: ReplicaRole = ReplicaRole.ABSENT
    """What the target was when the walk began; an abort restores it."""
    leave: bool = False
    """No way back: the source is retained or erased at once (`--away-from`, retire)."""
    erase_now: bool = False
    way_back_seconds: int = 0
    retrieval_seconds: int = 0
    abort_wanted: bool = False
    state: Literal["open", "done", "aborted", "stuck"] = "open"
    phase: str = "waiting"
    reason: str = ""
    """Why it waits or is stuck, in words."""
    failure: Failure | None = None
    started_at: Moment
    """When it was asked for; once it has begun: when it began."""
    ended_at: Moment | None = None
    deadline: Moment | None = None
