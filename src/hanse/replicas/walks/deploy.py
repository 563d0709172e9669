"""Deploy: the first primary of a component. Also the parts that a container's move shares."""

from hanse.model.replica.order import ReplicaOrder
from hanse.model.replica.role import ReplicaRole
from hanse.model.shape import SiteId
from hanse.replicas.view import ComponentView, ReplicaView
from hanse.replicas.walks.checks import answered, first, holds, reaches, routed
from hanse.replicas.walks.orders import (
    bindings_for,
    consumer_grant,
    endpoint_grant,
    has_credentials,
    role_order,
    route_order,
    upstream_of,
    with_grants,
)
from hanse.replicas.walks.stages import SATISFIED, Case, Check, Stage, Walk


def target_of(case: Case) -> SiteId:
    """The operation's target. Raises ValueError where the hub made an operation without one."""
    if case.operation.target is None:
        raise ValueError(f"operation {case.operation.operation} ({case.operation.kind}) has no target site")
    return case.operation.target


def reaching(case: Case) -> Check:
    """The new site reaches what it uses, and its endpoint reaches it."""
    site = target_of(case)
    used = [used.primary_site() for used in case.view.uses]
    pairs = [(site, primary) for primary in used if primary is not None]
    if case.view.endpoint is not None:
        pairs.append((case.view.endpoint.site, site))
    return reaches(pairs, case)


def granting(case: Case) -> Check:
    """Every used component has a credential for this consumer at its new site."""
    site = target_of(case)
    return first(
        SATISFIED, *(_granted(used, case.operation.key.component, site, case) for used in case.view.uses)
    )


def _granted(used: ComponentView, consumer: str, site: SiteId, case: Case) -> Check:
    primary = used.primary_site()
    replica = used.replicas[primary] if primary is not None else ReplicaView()
    if primary is None or replica.order is None:
        return Check(why=f"{used.key.component}, which {consumer} uses, has no primary yet")
    check = holds(
        replica, primary, with_grants(replica.order, add=[consumer_grant(consumer, case.view.peers[site])])
    )
    if not check.satisfied:
        return check
    has = replica.state is not None and f"{consumer}@{site}" in replica.state.sealed_credentials
    if has_credentials(used) and not has:
        return Check(why=f"{primary} has not made a credential for {consumer} at {site} yet")
    return SATISFIED


def revoke(case: Case, site: SiteId) -> Check:
    """What the consumer at `site` was granted is taken back; who does not answer is not waited for."""
    name = f"{case.operation.key.component}@{site}"
    orders = []
    for used in case.view.uses:
        primary = used.primary_site()
        order = used.replicas[primary].order if primary is not None else None
        if primary is not None and order is not None and any(g.name == name for g in order.grants):
            orders.append((primary, with_grants(order, remove=[name])))
    return Check(orders=tuple(orders), why="credentials are being revoked") if orders else SATISFIED


def starting(case: Case) -> Check:
    """The target serves the new epoch."""
    site = target_of(case)
    replica = case.view.replica(site)
    return holds(replica, site, _primary_order(case, replica.order))


def _primary_order(case: Case, current: ReplicaOrder | None) -> ReplicaOrder:
    epoch = case.operation.from_epoch + 1
    if current is not None and current.role is ReplicaRole.PRIMARY and current.epoch == epoch:
        return current
    order = role_order(case, ReplicaRole.PRIMARY, epoch)
    bindings = bindings_for(case, case.operation.key.component, target_of(case))
    order = order.model_copy(update={"bindings": bindings})
    if case.view.endpoint is None:
        return order
    peers = [case.view.peers[site] for site in case.view.endpoint.sites if site in case.view.peers]
    return with_grants(order, add=[endpoint_grant(peer) for peer in peers])


def routing(case: Case) -> Check:
    """The endpoint, if there is one, sends to the new primary."""
    if case.view.endpoint is None:
        return SATISFIED
    site = target_of(case)
    active = upstream_of(case.view.component, site, case.operation.from_epoch + 1)
    if active is None:
        return Check(why=f"{site} has not said yet where {case.operation.key.component} is reached")
    return routed(case.view.endpoint, route_order(case, case.view.endpoint, active))


def undo_deploy(case: Case) -> Check:
    """No route, no replica, no credential."""
    site = target_of(case)
    checks = [SATISFIED]
    if case.view.endpoint is not None and case.view.endpoint.order is not None:
        wanted = route_order(case, case.view.endpoint, None)
        if case.view.endpoint.order != wanted:
            checks.append(routed(case.view.endpoint, wanted))
        else:
            checks.append(
                answered(case.view.endpoint.told, f"the endpoint at {case.view.endpoint.site}", case.now)
            )
    checks.append(gone(case, site))
    checks.append(revoke(case, site))
    return first(*checks)


def gone(case: Case, site: SiteId) -> Check:
    """Nothing is left at the site, or it was given its time to say so: the order stands in any case."""
    replica = case.view.replica(site)
    if replica.order is None:
        return SATISFIED
    epoch = max(case.operation.from_epoch, replica.order.epoch)
    wanted = role_order(case, ReplicaRole.ABSENT, epoch)
    check = holds(replica, site, wanted)
    if check.orders or check.satisfied:
        return check
    patience = answered(replica.told, site, case.now)
    if replica.told.is_answered and check.failure is not None and not check.failure.temporary:
        return SATISFIED
    return check if replica.told.is_answered else patience


DEPLOY = Walk(
    (
        Stage("reaching", reaching),
        Stage("granting", granting),
        Stage("starting", starting),
        Stage("routing", routing),
    ),
    undo_deploy,
)
"""Credentials first, then the replica, then the route."""
