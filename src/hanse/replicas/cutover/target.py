"""The target's part of a cut-over: serve on the source's signed relinquishment and on nothing else."""

from dataclasses import dataclass, replace
from typing import Literal

from hanse.model.replica.order import Ticket
from hanse.replicas.cutover.actions import (
    RETRY_SECONDS,
    AnswerTooLate,
    AskRelinquishment,
    CatchUp,
    KeepFollowing,
    Prepare,
    Refuse,
    Serve,
    SwitchRoutes,
    TargetAction,
    TellServing,
    WriteServing,
)
from hanse.replicas.cutover.events import (
    AbortAsked,
    AbortTold,
    CatchUpAsked,
    CaughtUp,
    DeadlinePassed,
    Failed,
    PeerSilent,
    PrepareAsked,
    Relinquished,
    Restarted,
    ServingNow,
    ServingWritten,
    TargetEvent,
)

TargetPhase = Literal["accepted", "prepared", "caught-up", "serving", "done", "aborted"]


@dataclass(frozen=True, slots=True)
class TargetCutOver:
    """How far the target is. Keep `phase` and `position` in the journal from `caught-up` on."""

    ticket: Ticket
    phase: TargetPhase = "accepted"
    position: str = ""
    """What the last pass verified."""
    relinquished_position: str | None = None
    """From the relinquishment in hand; None: not in hand."""
    reason: str = ""

    @property
    def to_epoch(self) -> int:
        """The epoch that the target serves afterwards."""
        return self.ticket.from_epoch + 1


Next = tuple[TargetCutOver, tuple[TargetAction, ...]]


def advance_target(state: TargetCutOver, event: TargetEvent) -> Next:
    """The next state and what to do.

    A valid relinquishment is obeyed in every phase, also after an abort: the source has decided. If the
    last pass is missing (this site lost it), it is done first; the fenced source still serves followers.
    Before it reported `caught-up` the target may call the cut-over off; afterwards only the source may.
    It is done once it serves: nothing of an old ticket may start a replica again that was handed on since.
    So `serving` in the journal counts for this ticket only, with its relinquishment in hand.
    Raises ValueError for ServingWritten without a relinquishment in hand.
    """
    if state.phase in ("serving", "done"):
        return _serving(state, event)
    if isinstance(event, Restarted) and event.serving and state.relinquished_position is not None:
        return _serve(state)
    if isinstance(event, Relinquished):
        return _obey(replace(state, phase="caught-up", relinquished_position=event.position, reason=""))
    if state.relinquished_position is not None:
        return _owing(state, event)
    match state.phase:
        case _ if isinstance(event, ServingWritten):
            raise ValueError(f"ticket {state.ticket.ticket}: serving was written without a relinquishment")
        case "caught-up":
            return _bound(state, event)
        case "aborted":
            return _off(state, event)
        case _:
            return _free(state, event)


def _free(state: TargetCutOver, event: TargetEvent) -> Next:
    """Accepted or prepared: nothing was promised to the source yet."""
    match event:
        case PrepareAsked():
            return replace(state, phase="prepared"), (Prepare(),)
        case CatchUpAsked(position) if state.phase == "prepared":
            return state, (CatchUp(position),)
        case CatchUpAsked():
            return state, (Refuse("not-prepared", "the target was not asked to prepare for this ticket"),)
        case CaughtUp(position) if state.phase == "prepared":
            return replace(state, phase="caught-up", position=position), (AskRelinquishment(),)
        case Restarted():
            return _abort(state, "the target's agent restarted before the last pass was done")
        case AbortTold(reason) | Failed(reason):
            return _abort(state, reason)
        case AbortAsked():
            return _abort(state, "abort was asked for")
        case DeadlinePassed():
            return _abort(state, "the ticket's deadline passed before the last pass was done")
        case _:
            return state, ()


def _abort(state: TargetCutOver, reason: str) -> Next:
    """Put back what was prepared. Where nothing was, this replica may long serve by a later ticket."""
    off = replace(state, phase="aborted", reason=reason)
    return off, () if state.phase == "accepted" else (KeepFollowing(),)


def _bound(state: TargetCutOver, event: TargetEvent) -> Next:
    """Caught up and said so: the source may relinquish at any moment, so only its word ends this."""
    match event:
        case AbortTold(reason):
            return _abort(state, reason)
        case CatchUpAsked(position):
            return state, (CatchUp(position),)
        case CaughtUp(position):
            return replace(state, position=position), ()
        case PeerSilent() | Failed():
            return state, (AskRelinquishment(),)
        case AbortAsked() | Restarted():
            return state, (AskRelinquishment(after_seconds=0.0),)
        case _:
            return state, ()


def _obey(state: TargetCutOver) -> Next:
    wanted = state.relinquished_position
    if wanted is None or wanted == state.position:
        return state, (WriteServing(state.to_epoch),)
    return state, (CatchUp(wanted),)


def _owing(state: TargetCutOver, event: TargetEvent) -> Next:
    """The relinquishment is in hand, and the decision to serve is not yet durable."""
    match event:
        case ServingWritten():
            return _serve(state)
        case CaughtUp(position):
            return _obey(replace(state, position=position))
        case Failed() | Restarted():
            return _obey(state)
        case AbortAsked():
            return state, (AnswerTooLate(),)
        case _:
            return state, ()


def _serve(state: TargetCutOver) -> Next:
    return replace(state, phase="serving", reason=""), (TellServing(), Serve(state.to_epoch))


def _serving(state: TargetCutOver, event: TargetEvent) -> Next:
    match event:
        case AbortAsked():
            return state, (AnswerTooLate(),)
        case Relinquished():
            return state, (TellServing(),)
        case _ if state.phase == "done":
            return state, ()
        case ServingNow():
            return replace(state, phase="done"), (SwitchRoutes(),)
        case Failed():
            return state, (Serve(state.to_epoch, after_seconds=RETRY_SECONDS),)
        case Restarted():
            return state, (TellServing(), Serve(state.to_epoch))
        case _:
            return state, ()


def _off(state: TargetCutOver, event: TargetEvent) -> Next:
    match event:
        case PrepareAsked() | CatchUpAsked():
            return state, (Refuse("ticket-aborted", state.reason),)
        case _:
            return state, ()
