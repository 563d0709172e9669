"""The source's part of a cut-over. It alone decides, and its one durable write is the decision."""

from dataclasses import dataclass, replace
from typing import Literal

from hanse.model.replica.order import Ticket
from hanse.replicas.cutover.actions import (
    RETRY_SECONDS,
    AnswerTooLate,
    AskCatchUp,
    AskPrepare,
    CloseGate,
    Fence,
    HandOver,
    HoldRoutes,
    ReadJournal,
    ReleaseRoutes,
    Resume,
    SourceAction,
    TellAbort,
    WriteRelinquishment,
)
from hanse.replicas.cutover.events import (
    AbortAsked,
    DeadlinePassed,
    Failed,
    Fenced,
    GateClosed,
    PeerCaughtUp,
    PeerPrepared,
    PeerRefused,
    PeerServing,
    PeerSilent,
    RelinquishmentWritten,
    Restarted,
    RoutesHeld,
    SourceEvent,
)

SourcePhase = Literal[
    "accepted", "prepared", "held", "closed", "fenced", "caught-up", "relinquished", "done", "aborted"
]


@dataclass(frozen=True, slots=True)
class SourceCutOver:
    """How far the source is. Before `relinquished` nothing of this needs to survive a restart."""

    ticket: Ticket
    phase: SourcePhase = "accepted"
    position: str = ""
    reason: str = ""
    """Why it was aborted, in words."""


Next = tuple[SourceCutOver, tuple[SourceAction, ...]]


def begin_source() -> tuple[SourceAction, ...]:
    """First actions after admission. Write the ticket as used in the journal before doing them."""
    return (AskPrepare(),)


def advance_source(state: SourceCutOver, event: SourceEvent) -> Next:
    """The next state and what to do. Do the actions in order, feed what they bring, one event at a time.

    Before `relinquished` every error, silence, deadline and restart aborts: Resume at the same epoch, except
    that routes which do not hold their clients are gone on without. Between
    WriteRelinquishment and its outcome everything else is put aside: that write alone decides. After
    it nothing resumes, and HandOver is repeated for ever. Late answers of a phase that is over
    are ignored. Raises ValueError for RelinquishmentWritten where none was asked for.
    """
    if isinstance(event, Restarted) and event.relinquished and state.phase != "done":
        return replace(state, phase="relinquished", reason=""), (HandOver(),)
    match state.phase:
        case "caught-up":
            return _deciding(state, event)
        case "relinquished" | "done":
            return _decided(state, event)
        case _ if isinstance(event, RelinquishmentWritten):
            raise ValueError(f"ticket {state.ticket.ticket}: a relinquishment was written in {state.phase}")
        case "aborted":
            return state, _after_abort(state, event)
        case _:
            return _forward(state, event) or _before(state, event)


def _forward(state: SourceCutOver, event: SourceEvent) -> Next | None:
    """The straight way; None for any other event."""
    match state.phase, event:
        case "accepted", PeerPrepared():
            return replace(state, phase="prepared"), (HoldRoutes(),)
        case "prepared", RoutesHeld():
            return replace(state, phase="held"), (CloseGate(),)
        case "held", GateClosed():
            return replace(state, phase="closed"), (Fence(),)
        case "closed", Fenced(position):
            return replace(state, phase="fenced", position=position), (AskCatchUp(position),)
        case "fenced", PeerCaughtUp(position) if position == state.position:
            epoch = state.ticket.from_epoch
            return replace(state, phase="caught-up"), (WriteRelinquishment(epoch, epoch + 1, position),)
    return None


def _before(state: SourceCutOver, event: SourceEvent) -> Next:
    match event:
        case PeerRefused(code="ticket-unknown") if state.phase == "accepted":
            return state, (AskPrepare(after_seconds=RETRY_SECONDS),)
        case PeerCaughtUp(position) if state.phase == "fenced":
            return _abort(state, f"the target stands at {position}, not at {state.position}")
        case PeerPrepared() | RoutesHeld() | GateClosed() | Fenced() | PeerCaughtUp():
            return state, ()
        case _:
            return _abort(state, _reason(event))


def _abort(state: SourceCutOver, reason: str) -> Next:
    """Serve on, then let clients come; where the target was not even prepared, nobody was held."""
    release = () if state.phase == "accepted" else (ReleaseRoutes(),)
    return replace(state, phase="aborted", reason=reason), (
        Resume(state.ticket.from_epoch),
        *release,
        TellAbort(reason),
    )


def _reason(event: SourceEvent) -> str:
    match event:
        case PeerRefused(_, reason) | PeerSilent(reason) | Failed(reason):
            return reason
        case DeadlinePassed():
            return "the ticket's deadline passed"
        case AbortAsked():
            return "abort was asked for"
        case Restarted():
            return "the source's agent restarted before it had relinquished"
        case _:
            return "the target says that it serves, but nothing was relinquished"


def _deciding(state: SourceCutOver, event: SourceEvent) -> Next:
    """The write is under way: only its outcome counts."""
    match event:
        case RelinquishmentWritten():
            return replace(state, phase="relinquished"), (HandOver(),)
        case Failed():
            return state, (ReadJournal(),)
        case Restarted():
            return _abort(state, _reason(event))
        case _:
            return state, ()


def _decided(state: SourceCutOver, event: SourceEvent) -> Next:
    match event:
        case AbortAsked():
            return state, (AnswerTooLate(),)
        case _ if state.phase == "done":
            return state, ()
        case PeerServing():
            return replace(state, phase="done"), ()
        case PeerSilent() | PeerRefused() | Failed():
            return state, (HandOver(after_seconds=RETRY_SECONDS),)
        case Restarted():
            return state, (HandOver(),)
        case _:
            return state, ()


def _after_abort(state: SourceCutOver, event: SourceEvent) -> tuple[SourceAction, ...]:
    """What was under way when it was called off still ends: put its effect back."""
    match event:
        case RoutesHeld():
            return (ReleaseRoutes(),)
        case GateClosed() | Fenced() | Failed() | Restarted():
            return (Resume(state.ticket.from_epoch),)
        case PeerPrepared() | PeerCaughtUp():
            return (TellAbort(state.reason),)
        case _:
            return ()
