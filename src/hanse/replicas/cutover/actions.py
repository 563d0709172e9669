"""What an agent is told to do in a cut-over: values only. Each says which events it brings."""

from dataclasses import dataclass
from typing import Literal

DRAIN_SECONDS = 2.0
RETRY_SECONDS = 0.5
HOLD_SECONDS = 5.0
"""What holding may take altogether. Whoever has not answered by then is not waited for."""

HoldStage = Literal["endpoints", "connectors"]
"""First whoever asks the consumers is held, then what the consumers ask of the component."""
HOLD_STAGES: tuple[HoldStage, ...] = ("endpoints", "connectors")


@dataclass(frozen=True, slots=True)
class AskPrepare:
    """Source → target by channel: `prepare`, with the live credentials.

    Feed PeerPrepared, PeerRefused or PeerSilent.
    """

    after_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class HoldRoutes:
    """Source → route sites by channel: `hold`, one stage after the other; feed RoutesHeld.

    Only a courtesy to clients: after `seconds`, and whatever the sites answer, it goes on.
    """

    seconds: float = HOLD_SECONDS


@dataclass(frozen=True, slots=True)
class ReleaseRoutes:
    """Source → route sites by channel, once it serves again: `release`; missed holds end by themselves."""


@dataclass(frozen=True, slots=True)
class CloseGate:
    """Source: close the clients' gate, let requests end for at most `drain_seconds`; feed GateClosed."""

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
    """Source: sign and write durably, in one journal write.

    Feed RelinquishmentWritten, or Failed where it is unsure whether it was written.
    """

    from_epoch: int
    to_epoch: int
    position: str


@dataclass(frozen=True, slots=True)
class ReadJournal:
    """Source: the write's outcome is unsure. Look into the journal; feed Restarted(relinquished=…)."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """Source → target by channel: the relinquishment, for ever.

    Feed PeerServing, PeerSilent or PeerRefused.
    """

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
class Refuse:
    """Target: answer the source's request with no."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class CatchUp:
    """Target: `driver.catch_up` to `position`.

    Feed CaughtUp, then answer the source; or Failed, and answer no.
    """

    position: str


@dataclass(frozen=True, slots=True)
class WriteServing:
    """Target: write durably, in one journal write: serves `epoch`, ticket used; feed ServingWritten."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Serve:
    """Target: `driver.primary`, then open the gate; feed ServingNow or Failed."""

    epoch: int
    after_seconds: float = 0.0


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
    """Route: send requests to the target's stream for `epoch`, let the connectors go; feed RoutesSwitched."""

    epoch: int


@dataclass(frozen=True, slots=True)
class HoldRoute:
    """Route: let no new request through at one stage, and running ones end for at most `drain_seconds`."""

    stage: HoldStage
    drain_seconds: float = DRAIN_SECONDS


@dataclass(frozen=True, slots=True)
class ReleaseRoute:
    """Route: let everything through again. Repeated by the next look at the routes if it fails."""


SourceAction = (
    AskPrepare
    | HoldRoutes
    | ReleaseRoutes
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
    | Refuse
    | CatchUp
    | WriteServing
    | Serve
    | TellServing
    | SwitchRoutes
    | AskRelinquishment
    | KeepFollowing
    | AnswerTooLate
)
RouteAction = HoldRoute | ReleaseRoute | SwitchRoute | AnswerTooLate
