"""The hub's next decision on an operation: a pure function of what it knows and the time."""

from hanse.model.replica.operation import Operation
from hanse.model.replica.role import ReplicaRole
from hanse.model.shape import Moment
from hanse.replicas.address import ADDRESS_WALKS, begun_address, refused_address
from hanse.replicas.outcome import Aborted, AnyOrder, Continue, Done, Outcome, Step, Stuck, Waiting
from hanse.replicas.view import ComponentView, EndpointView, ReplicaView, TicketView, Told, View
from hanse.replicas.walks.deploy import DEPLOY
from hanse.replicas.walks.leave import DROP, RETIRE
from hanse.replicas.walks.move import MOVE_STATEFUL, STANDBY_WALK
from hanse.replicas.walks.move_route import MOVE_STATELESS, STANDBY_STATELESS
from hanse.replicas.walks.orders import is_stateless
from hanse.replicas.walks.stages import Case, Walk, run

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

WALKS: dict[tuple[str, bool], Walk] = {
    ("deploy", False): DEPLOY,
    ("deploy", True): DEPLOY,
    ("move", False): MOVE_STATEFUL,
    ("move", True): MOVE_STATELESS,
    ("standby", False): STANDBY_WALK,
    ("standby", True): STANDBY_STATELESS,
    ("retire", False): RETIRE,
    ("retire", True): RETIRE,
    ("drop", False): DROP,
    ("drop", True): DROP,
}
"""By kind of operation, and whether the component is without state."""


def step(operation: Operation, view: View, now: Moment) -> Step:
    """Decide what comes next for an operation whose `after` operations are all done.

    Same arguments, same step. A view that already shows the step's orders gives no orders again, so a
    step may be repeated at any time. Store `Step.operation` and issue `Step.orders` in one transaction
    that is guarded by everything the view was read from. Step again on every observation from a
    site in the view, at `Waiting.until`, and after `Continue` at once; also while `stuck`.

    `operation.abort_wanted` may be set at any time; it is obeyed until the source has relinquished
    (stateless: until the route is ordered to the target), afterwards the walk goes on and says so.
    An operation that is done or aborted gives the same end again and no orders.
    """
    if operation.state == "done":
        return Step(operation, (), Done())
    if operation.state == "aborted":
        return Step(operation, (), Aborted(operation.reason))
    if operation.phase == "waiting":
        refused = _refusal(operation, view)
        if refused:
            update = {"state": "aborted", "phase": "aborted", "reason": refused, "ended_at": now}
            return Step(operation.model_copy(update=update), (), Aborted(refused))
        operation = _begun(operation, view).model_copy(update={"started_at": now})
    return run(_walk(operation, view), Case(operation, view, now))


def _walk(operation: Operation, view: View) -> Walk:
    if operation.component_kind == "endpoint":
        return ADDRESS_WALKS[operation.kind]
    return WALKS[operation.kind, is_stateless(view.spec)]


def _refusal(operation: Operation, view: View) -> str:
    """Why the operation cannot even begin; empty if it can."""
    if operation.kind in ("retire", "drop"):
        return ""
    what = f"{operation.key.application}/{operation.key.component}"
    target = operation.target
    if target is None or target not in view.peers:
        return f"{target or 'no site'} has not joined: {what} cannot be placed there"
    if operation.component_kind == "endpoint":
        return refused_address(operation, view)
    primary = view.component.primary_site()
    if operation.kind == "deploy":
        return _refused_deploy(operation, view, what)
    if primary is None:
        return f"{what} does not run anywhere: apply it first"
    if operation.source is not None and operation.source != primary:
        return f"{what} runs at {primary}, not at {operation.source}: ask again"
    if target == primary:
        return f"{what} runs at {target} already: name another site"
    return ""


def _refused_deploy(operation: Operation, view: View, what: str) -> str:
    primary = view.component.primary_site()
    if primary is not None:
        return f"{what} runs at {primary} already: move it instead"
    order = view.replica(operation.target).order
    if order is not None and order.role is ReplicaRole.RETAINED:
        return f"{operation.target} still keeps data of {what}: retire it with --erase-now first"
    return ""


def _begun(operation: Operation, view: View) -> Operation:
    """What is looked up once: the epoch that the walk starts from, the source, the target's role before."""
    if operation.component_kind == "endpoint":
        return begun_address(operation, view)
    primary = view.component.primary_site()
    update: dict[str, object] = {"source": operation.source or primary}
    if operation.kind == "deploy" or (operation.kind == "move" and is_stateless(view.spec)):
        update["from_epoch"] = view.component.highest_epoch()
    elif operation.kind in ("move", "standby") and primary is not None:
        order = view.replica(primary).order
        update["from_epoch"] = order.epoch if order is not None else 0
    before = view.replica(operation.target).order
    if before is not None:
        update["target_before"] = before.role
    if operation.kind == "deploy":
        update["source"] = None
    return operation.model_copy(update=update)
