"""What a step says: the orders to issue and how the operation stands."""

from dataclasses import dataclass

from hanse.model.replica.operation import Operation
from hanse.model.replica.order import HoldOrder, ReachOrder, ReplicaOrder, RouteOrder, TicketOrder
from hanse.model.shape import Moment, SiteId

AnyOrder = HoldOrder | ReplicaOrder | TicketOrder | RouteOrder | ReachOrder


@dataclass(frozen=True, slots=True)
class Continue:
    """Orders were made or a phase was passed: step again when they are stored."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A site must speak first. Step again on its observation, or at `until`."""

    why: str
    until: Moment | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The walk is over and everything is as wanted."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """A person must act; stepping goes on, and so does the walk once the cause is gone or abort is asked."""

    why: str


@dataclass(frozen=True, slots=True)
class Aborted:
    """The walk is over and everything is as before it."""

    why: str


Outcome = Continue | Waiting | Done | Stuck | Aborted


@dataclass(frozen=True, slots=True)
class Step:
    """The decision. Store `operation` and issue `orders` in one guarded transaction."""

    operation: Operation
    """The operation as it is to be stored: phase, ticket, state, reason, failure, ended_at."""
    orders: tuple[tuple[SiteId, AnyOrder], ...]
    """Only orders that differ from the newest ones in the view, each for its site."""
    outcome: Outcome
