"""What can happen to a cut-over, and what an agent is told to do: values only."""

from dataclasses import dataclass

DRAIN_SECONDS = 2.0
RETRY_SECONDS = 0.5


# -- events -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PeerPrepared:
    """Source: the target answered `prepare` with yes."""


@dataclass(frozen=True, slots=True)
class PeerRefused:
    """Source: the target answered no. `ticket-unknown` may pass: it may not have its ticket yet."""

    code: str
    reason: str


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
    """Source: the ticket's duration since acceptance is over (own monotonic clock)."""


@dataclass(frozen=True, slots=True)
class AbortAsked:
    """The hub orders `abort` for this ticket."""


@dataclass(frozen=True, slots=True)
class Restarted:
    """The agent came back with nothing but its journal.

    `relinquished` (source): the relinquishment of this ticket is in it. `serving` (target): the
    decision to serve is in it.
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
    """Target: every route site was told, or was tried long enough; route: the switch is done."""


@dataclass(frozen=True, slots=True)
class AbortTold:
    """Target: the source says that it keeps its role."""

    reason: str


SourceEvent = (
    PeerPrepared
    | PeerRefused
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
    | PeerSilent
    | Restarted
    | Failed
)
RouteEvent = Relinquished | RoutesSwitched | AbortAsked | Restarted | Failed


# -- actions ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AskPrepare:
    """Source → target by channel: `prepare`, with the live credentials; feed PeerPrepared, PeerRefused, PeerSilent."""

    after_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class CloseGate:
    """Source: close the clients' gate stream and let requests end for at most `drain_seconds`; feed GateClosed."""

    drain_seconds: float = DRAIN_SECONDS


@dataclass(frozen=True, slots=True)
class Fence:
    """Source: `driver.fence`; feed Fenced."""


@dataclass(frozen=True, slots=True)
class AskCatchUp:
    """Source → target by channel: `catch_up` to `position`; feed PeerCaughtUp, PeerRefused or PeerSilent."""

    position: str


@dataclass(frozen=True, slots=True)
class WriteRelinquishment:
    """Source: sign and write durably, in one journal write; feed RelinquishmentWritten, or Failed if unsure."""

    from_epoch: int
    to_epoch: int
    position: str


@dataclass(frozen=True, slots=True)
class ReadJournal:
    """Source: the write's outcome is unsure. Look whether it is in the journal; feed Restarted(relinquished=…)."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """Source → target by channel: the relinquishment; feed PeerServing, PeerSilent or PeerRefused. For ever."""

    after_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Resume:
    """Source: `driver.primary` (unfence) at the same epoch, then open the gate. Repeat until it works."""

    epoch: int


@dataclass(frozen=True, slots=True)
class TellAbort:
    """Source → target by channel: `abort`. Best effort: a target that misses it stays standby anyway."""

    reason: str


@dataclass(frozen=True, slots=True)
class AnswerTooLate:
    """Report that abort came after the point of no return."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """Target: take the live credentials, reserve ports, pause own passes; answer the source yes or no."""


@dataclass(frozen=True, slots=True)
class CatchUp:
    """Target: `driver.catch_up` to `position`; feed CaughtUp (then answer the source) or Failed (answer no)."""

    position: str


@dataclass(frozen=True, slots=True)
class WriteServing:
    """Target: write durably, in one journal write: serves `epoch`, ticket used; feed ServingWritten."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Serve:
    """Target: `driver.primary`, then open the gate. Repeat until it works; feed ServingNow."""

    epoch: int


@dataclass(frozen=True, slots=True)
class TellServing:
    """Target → source by channel, or as the answer to `hand_over`: it serves. Best effort."""


@dataclass(frozen=True, slots=True)
class SwitchRoutes:
    """Target → each route site: `switch`, with ticket and relinquishment; feed RoutesSwitched."""


@dataclass(frozen=True, slots=True)
class AskRelinquishment:
    """Target → source by channel: how does the ticket stand? Feed Relinquished, AbortTold or PeerSilent."""

    after_seconds: float = RETRY_SECONDS


@dataclass(frozen=True, slots=True)
class KeepFollowing:
    """Target: the cut-over is off; go on as the standby that the order says."""


@dataclass(frozen=True, slots=True)
class SwitchRoute:
    """Route: send requests to the target's stream for `epoch`; feed RoutesSwitched."""

    epoch: int


SourceAction = (
    AskPrepare
    | CloseGate
    | Fence
    | AskCatchUp
    | WriteRelinquishment
    | ReadJournal
    | HandOver
    | Resume
    | TellAbort
    | AnswerTooLate
)
TargetAction = (
    Prepare
    | CatchUp
    | WriteServing
    | Serve
    | TellServing
    | SwitchRoutes
    | AskRelinquishment
    | KeepFollowing
    | AnswerTooLate
)
RouteAction = SwitchRoute | AnswerTooLate
