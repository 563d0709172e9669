"""A route's part of a cut-over: send requests to the target once the relinquishment is shown."""

from dataclasses import dataclass
from typing import Literal

from hanse.model.replica.order import Ticket
from hanse.replicas.cutover.events import RouteAction, RouteEvent

RoutePhase = Literal["accepted", "switching", "done", "aborted"]


@dataclass(frozen=True, slots=True)
class RouteSwitch:
    """How far a route is. A route never blocks a move: the hub's next level order heals a missed switch."""

    ticket: Ticket
    phase: RoutePhase = "accepted"
    reason: str = ""


def advance_route(state: RouteSwitch, event: RouteEvent) -> tuple[RouteSwitch, tuple[RouteAction, ...]]:
    """The next state and what to do. A valid relinquishment is obeyed in every phase."""
    raise NotImplementedError
