"""A route's part of a cut-over: hold clients when the source asks, switch on the shown relinquishment."""

from dataclasses import dataclass, replace
from typing import Literal

from hanse.model.replica.order import Ticket
from hanse.replicas.cutover.actions import (
    AnswerTooLate,
    HoldRoute,
    HoldStage,
    ReleaseRoute,
    RouteAction,
    SwitchRoute,
)
from hanse.replicas.cutover.events import (
    AbortAsked,
    DeadlinePassed,
    Failed,
    HoldAsked,
    ReleaseAsked,
    Relinquished,
    Restarted,
    RouteEvent,
    RoutesSwitched,
)

RoutePhase = Literal["accepted", "switching", "switched", "done", "aborted"]


@dataclass(frozen=True, slots=True)
class RouteSwitch:
    """How far a route is. A route never blocks a move: the hub's next level order heals a missed switch."""

    ticket: Ticket
    phase: RoutePhase = "accepted"
    reason: str = ""
    held: tuple[HoldStage, ...] = ()
    """Stages at which clients are held now. Not for the journal: a restarted agent lets them go."""


Next = tuple[RouteSwitch, tuple[RouteAction, ...]]


def advance_route(state: RouteSwitch, event: RouteEvent) -> Next:
    """The next state and what to do.

    A valid relinquishment is obeyed in every phase, also after an abort. Only a fresh ticket holds: once it
    was released, switched, called off or lasted its duration, a late `hold` does nothing. Held endpoints
    are let go after the switch, when the target says that every site's connectors were switched.
    """
    match state.phase, event:
        case (("accepted" | "aborted" | "switching"), Relinquished()):
            kept: tuple[HoldStage, ...] = ("endpoints",) if "endpoints" in state.held else ()
            going = replace(state, phase="switching", reason="", held=kept)
            return going, (SwitchRoute(state.ticket.from_epoch + 1),)
        case "accepted", _:
            return _fresh(state, event)
        case "switching", _:
            return _switching(state, event)
        case "switched", ReleaseAsked() | DeadlinePassed() | Restarted():
            return replace(state, phase="done", held=()), (ReleaseRoute(),)
        case (("switched" | "done"), AbortAsked()):
            return state, (AnswerTooLate(),)
    return state, ()


def _fresh(state: RouteSwitch, event: RouteEvent) -> Next:
    match event:
        case HoldAsked(stage) if stage not in state.held:
            return replace(state, held=(*state.held, stage)), (HoldRoute(stage),)
        case ReleaseAsked():
            return _over(state, "the source called it off")
        case DeadlinePassed():
            return _over(state, "the ticket's deadline passed")
        case AbortAsked():
            return _over(state, "abort was asked for")
        case Restarted():
            return _over(state, "the agent restarted before the switch")
        case Failed(reason):
            return _over(state, reason)
    return state, ()


def _over(state: RouteSwitch, reason: str) -> Next:
    return replace(state, phase="aborted", reason=reason, held=()), (ReleaseRoute(),)


def _switching(state: RouteSwitch, event: RouteEvent) -> Next:
    match event:
        case RoutesSwitched() if state.held:
            return replace(state, phase="switched"), ()
        case RoutesSwitched():
            return replace(state, phase="done"), ()
        case ReleaseAsked() | DeadlinePassed():
            return replace(state, held=()), (ReleaseRoute(),)
        case AbortAsked():
            return state, (AnswerTooLate(),)
        case Failed() | Restarted():
            return state, (SwitchRoute(state.ticket.from_epoch + 1),)
    return state, ()
