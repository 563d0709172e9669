"""An endpoint's own walks: its address at another site, the old one beside it for a while, then taken away.

Both addresses send to the same primary and both follow later moves of the component, so nothing is ever
switched here: a new way in is laid, and an old one ends.
"""

from hanse.model.replica.operation import Operation
from hanse.model.replica.role import ReplicaRole
from hanse.model.shape import SiteId
from hanse.replicas.view import EndpointView, View
from hanse.replicas.walks.checks import first, holds, reaches, routed
from hanse.replicas.walks.deploy import target_of
from hanse.replicas.walks.leave import unrouted
from hanse.replicas.walks.move import leaves
from hanse.replicas.walks.orders import endpoint_grant, route_order, upstream_of, with_grants
from hanse.replicas.walks.stages import SATISFIED, Case, Check, Stage, Walk
from hanse.replicas.walks.ticket import source_of


def refused_address(operation: Operation, view: View) -> str:
    """Why an endpoint cannot move there; empty if it can. The target has joined."""
    what = f"the endpoint of {operation.key.application}/{operation.key.component}"
    endpoint = view.endpoint
    if endpoint is None:
        return f"{operation.key.component} is not exposed: it has no endpoint"
    if endpoint.site != operation.source:
        return f"{what} stands at {endpoint.site}, not at {operation.source}: ask again"
    if endpoint.site == operation.target:
        return f"{what} stands at {operation.target} already: name another site"
    if view.component.primary_site() is None:
        return f"{operation.key.component} does not run anywhere: apply it first"
    return ""


def begun_address(operation: Operation, view: View) -> Operation:
    """Whether an old address answers at the target already, which an abort then leaves as it is."""
    live = view.endpoint is not None and operation.target in view.endpoint.sites
    before = ReplicaRole.STANDBY if live else ReplicaRole.ABSENT
    return operation.model_copy(update={"target_before": before})


def _endpoint(case: Case) -> EndpointView:
    """The endpoint. Raises ValueError where the hub made an operation about none."""
    if case.view.endpoint is None:
        raise ValueError(f"operation {case.operation.operation} is about an endpoint that is not there")
    return case.view.endpoint


def reaching(case: Case) -> Check:
    """The new site reaches the component."""
    primary = case.view.component.primary_site()
    return reaches([(target_of(case), primary)] if primary is not None else [], case)


def admitting(case: Case) -> Check:
    """The primary lets the endpoint at the new site in."""
    primary = case.view.component.primary_site()
    replica = case.view.replica(primary)
    if primary is None or replica.order is None:
        return Check(why=f"{case.operation.key.component} has no primary at this moment")
    grant = endpoint_grant(case.view.peers[target_of(case)])
    return holds(replica, primary, with_grants(replica.order, add=[grant]))


def laying(case: Case) -> Check:
    """The new address answers and sends to the primary."""
    primary = case.view.component.primary_site()
    order = case.view.replica(primary).order
    if primary is None or order is None:
        return Check(why=f"{case.operation.key.component} has no primary at this moment")
    upstream = upstream_of(case.view.component, primary, order.epoch)
    if upstream is None:
        return Check(why=f"{primary} has not said yet where {case.operation.key.component} is reached")
    endpoint = _endpoint(case).at(target_of(case))
    return routed(endpoint, route_order(case, endpoint, upstream))


def ending(case: Case) -> Check:
    """The old address ends now, unless it goes on for a while beside the new one."""
    return _ended(case, source_of(case)) if leaves(case) else SATISFIED


def dropping(case: Case) -> Check:
    """An old address ends; nothing happens if the endpoint has come back to it."""
    site = source_of(case)
    return SATISFIED if _endpoint(case).site == site else _ended(case, site)


def undo(case: Case) -> Check:
    """The new address ends again, except where it answered before."""
    kept = case.operation.target_before is ReplicaRole.STANDBY
    return SATISFIED if kept else _ended(case, target_of(case))


def _ended(case: Case, site: SiteId) -> Check:
    """No address at the site, and its endpoint is let in nowhere any more."""
    endpoint = _endpoint(case).at(site)
    gone = unrouted(case, endpoint) if endpoint.order is not None else SATISFIED
    return gone if not gone.satisfied else first(SATISFIED, *_expelled(case, site))


def _expelled(case: Case, site: SiteId) -> list[Check]:
    name = f"endpoint@{site}"
    checks = []
    for place, replica in sorted(case.view.component.replicas.items()):
        order = replica.order
        if order is not None and any(grant.name == name for grant in order.grants):
            wanted = with_grants(order, remove=[name])
            checks.append(Check(orders=((place, wanted),), why=f"{place} lets {site} in no more"))
    return checks


ADDRESS_WALKS: dict[str, Walk] = {
    "move": Walk(
        (
            Stage("reaching", reaching),
            Stage("granting", admitting),
            Stage("routing", laying),
            Stage("unrouting", ending, undoable=False),
        ),
        undo,
    ),
    "drop": Walk((Stage("unrouting", dropping, undoable=False),), lambda _case: SATISFIED),
}
"""By kind of operation, for operations about endpoints."""
