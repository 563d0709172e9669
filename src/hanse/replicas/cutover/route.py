"""A route's part of a cut-over: send requests to the target once the relinquishment is shown."""

from dataclasses import dataclass, replace
from typing import Literal

from hanse.model.replica.order import Ticket
from hanse.replicas.cutover.actions import AnswerTooLate, RouteAction, SwitchRoute
from hanse.replicas.cutover.events import (
    AbortAsked,
    Failed,
    Relinquished,
    Restarted,
    RouteEvent,
    RoutesSwitched,
)

RoutePhase = Literal["accepted", "switching", "done", "aborted"]


@dataclass(frozen=True, slots=True)
class RouteSwitch:
    """How far a route is. A route never blocks a move: the hub's next level order heals a missed switch."""

    ticket: Ticket
    phase: RoutePhase = "accepted"
    reason: str = ""


Next = tuple[RouteSwitch, tuple[RouteAction, ...]]


def advance_route(state: RouteSwitch, event: RouteEvent) -> Next:
    """The next state and what to do. A valid relinquishment is obeyed in every phase, also after an abort."""
    switch = SwitchRoute(state.ticket.from_epoch + 1)
    match state.phase, event:
        case "done", AbortAsked():
            return state, (AnswerTooLate(),)
        case "done", _:
            return state, ()
        case _, Relinquished():
            return replace(state, phase="switching", reason=""), (switch,)
        case "switching", RoutesSwitched():
            return replace(state, phase="done"), ()
        case "switching", AbortAsked():
            return state, (AnswerTooLate(),)
        case "switching", Failed() | Restarted():
            return state, (switch,)
        case "accepted", AbortAsked():
            return replace(state, phase="aborted", reason="abort was asked for"), ()
        case "accepted", Restarted():
            return replace(state, phase="aborted", reason="the agent restarted before the switch"), ()
        case "accepted", Failed(reason):
            return replace(state, phase="aborted", reason=reason), ()
    return state, ()
