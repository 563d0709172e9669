"""The hub's next decision on an operation: a pure function of what it knows and the time."""

from hanse.model.replica.operation import Operation
from hanse.model.shape import Moment
from hanse.replicas.view import ComponentView, EndpointView, ReplicaView, TicketView, Told, View
from hanse.replicas.walks.outcome import Aborted, AnyOrder, Continue, Done, Outcome, Step, Stuck, Waiting

__all__ = [
    "Aborted",
    "AnyOrder",
    "ComponentView",
    "Continue",
    "Done",
    "EndpointView",
    "Outcome",
    "ReplicaView",
    "Step",
    "Stuck",
    "TicketView",
    "Told",
    "View",
    "Waiting",
    "step",
]


def step(operation: Operation, view: View, now: Moment) -> Step:
    """Decide what comes next for an operation whose `after` operations are all done.

    Same arguments, same step. A view that already shows the step's orders gives no orders again, so a
    step may be repeated at any time. Store `Step.operation` and issue `Step.orders` in one transaction
    that is guarded by everything the view was read from. Step again on every observation from a
    site in the view, at `Waiting.until`, and after `Continue` at once; also while `stuck`.

    `operation.abort_wanted` may be set at any time; it is obeyed until the source has relinquished
    (stateless: until the route is ordered to the target), afterwards the walk goes on and says so.
    """
    raise NotImplementedError
