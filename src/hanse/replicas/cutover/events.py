"""What can happen to a cut-over: values only."""

from dataclasses import dataclass

from hanse.replicas.cutover.actions import HoldStage


@dataclass(frozen=True, slots=True)
class PeerPrepared:
    """Source: the target answered `prepare` with yes."""


@dataclass(frozen=True, slots=True)
class PeerRefused:
    """Source: the target answered no. `ticket-unknown` may pass: it may not have its ticket yet."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class RoutesHeld:
    """Source: every route site holds its clients, or was waited for long enough."""


@dataclass(frozen=True, slots=True)
class GateClosed:
    """Source: no client is connected any more."""


@dataclass(frozen=True, slots=True)
class Fenced:
    """Source: the driver takes no more writes and says where it ended."""

    position: str


@dataclass(frozen=True, slots=True)
class PeerCaughtUp:
    """Source: the target holds everything up to `position`."""

    position: str


@dataclass(frozen=True, slots=True)
class RelinquishmentWritten:
    """Source: signed and durable in the journal. The point of no return."""


@dataclass(frozen=True, slots=True)
class PeerServing:
    """Source: the target has the relinquishment and has written durably that it serves."""


@dataclass(frozen=True, slots=True)
class PeerSilent:
    """The peer did not answer in time."""

    reason: str = "the peer does not answer"


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The ticket's duration is over, by this site's own monotonic clock.

    Source, target: since acceptance. Route: since the first hold.
    """


@dataclass(frozen=True, slots=True)
class AbortAsked:
    """The hub orders `abort` for this ticket."""


@dataclass(frozen=True, slots=True)
class Restarted:
    """The agent came back with nothing but its journal.

    `relinquished` (source): the relinquishment of this ticket is in it. `serving` (target): the
    decision to serve this ticket's epoch is in it, and that epoch was not given away since.
    """

    relinquished: bool = False
    serving: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """An action of this site failed."""

    reason: str


@dataclass(frozen=True, slots=True)
class PrepareAsked:
    """Target: the source asks whether all is in place; live credentials come with it."""


@dataclass(frozen=True, slots=True)
class CatchUpAsked:
    """Target: the source is fenced at `position`; do the last pass."""

    position: str


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """Target: the last pass is done and verified."""

    position: str


@dataclass(frozen=True, slots=True)
class Relinquished:
    """Target, route: a relinquishment arrived that `check_relinquishment` accepted."""

    position: str


@dataclass(frozen=True, slots=True)
class ServingWritten:
    """Target: the decision to serve the new epoch is durable in the journal."""


@dataclass(frozen=True, slots=True)
class ServingNow:
    """Target: the driver is primary and the gate is open."""


@dataclass(frozen=True, slots=True)
class RoutesSwitched:
    """Route: the switch is done. Target: every route site was told, or tried long enough; changes nothing."""


@dataclass(frozen=True, slots=True)
class HoldAsked:
    """Route: the source asks to hold clients at one stage."""

    stage: HoldStage


@dataclass(frozen=True, slots=True)
class ReleaseAsked:
    """Route: the source goes on as before; or the target says that every connector was switched."""


@dataclass(frozen=True, slots=True)
class AbortTold:
    """Target: the source says that it keeps its role."""

    reason: str


SourceEvent = (
    PeerPrepared
    | PeerRefused
    | RoutesHeld
    | GateClosed
    | Fenced
    | PeerCaughtUp
    | RelinquishmentWritten
    | PeerServing
    | PeerSilent
    | DeadlinePassed
    | AbortAsked
    | Restarted
    | Failed
)
TargetEvent = (
    PrepareAsked
    | CatchUpAsked
    | CaughtUp
    | Relinquished
    | ServingWritten
    | ServingNow
    | RoutesSwitched
    | AbortTold
    | AbortAsked
    | DeadlinePassed
    | PeerSilent
    | Restarted
    | Failed
)
RouteEvent = (
    HoldAsked
    | ReleaseAsked
    | Relinquished
    | RoutesSwitched
    | DeadlinePassed
    | AbortAsked
    | Restarted
    | Failed
)
