"""Leave: retire a component everywhere, or drop one way back."""

from datetime import timedelta

from hanse.model.replica.order import ReplicaOrder
from hanse.model.replica.role import ReplicaRole
from hanse.model.shape import SiteId
from hanse.replicas.view import EndpointView
from hanse.replicas.walks.checks import answered, first, holds
from hanse.replicas.walks.deploy import revoke
from hanse.replicas.walks.orders import is_stateless, role_order, route_order, with_grants
from hanse.replicas.walks.stages import SATISFIED, Case, Check, Stage, Walk
from hanse.replicas.walks.ticket import source_of

ABSENT, RETAINED = ReplicaRole.ABSENT, ReplicaRole.RETAINED


def left_order(case: Case, site: SiteId, *, epoch: int) -> ReplicaOrder:
    """What a replica becomes when its site is left: retained until the retrieval date, or absent now.

    The date is set once, by the first step that orders it.
    """
    current = case.view.replica(site).order
    if is_stateless(case.view.spec) or case.operation.erase_now or case.operation.retrieval_seconds == 0:
        return role_order(case, ABSENT, epoch)
    if current is not None and current.role is RETAINED:
        return current
    until = case.now + timedelta(seconds=case.operation.retrieval_seconds)
    order = role_order(case, RETAINED, epoch)
    return order.model_copy(update={"retain_until": until})


def unrouting(case: Case) -> Check:
    """The stable address goes first."""
    main = case.view.endpoint
    found = [] if main is None else [each for each in (main, *main.others) if each.order is not None]
    return first(SATISFIED, *(unrouted(case, each) for each in found))


def unrouted(case: Case, endpoint: EndpointView) -> Check:
    """The address ends; a site that does not answer is not waited for."""
    wanted = route_order(case, endpoint, None)
    if endpoint.order != wanted:
        return Check(orders=((endpoint.site, wanted),), why=f"the route at {endpoint.site} is taken away")
    return answered(endpoint.told, f"the endpoint at {endpoint.site}", case.now)


def unused(case: Case) -> Check:
    """Consumers stop first."""
    for consumer in case.view.consumers:
        if sites := consumer.live_sites():
            return Check(
                why=f"{consumer.key.component} at {sites[0]} still uses {case.operation.key.component}"
            )
    return SATISFIED


def leaving(case: Case) -> Check:
    """Every replica is retained or absent: what served is retained, what only followed is erased."""
    epoch = case.view.component.highest_epoch()
    checks = []
    for site, replica in sorted(case.view.component.replicas.items()):
        order = replica.order
        if order is None:
            continue
        if order.role is ABSENT:
            wanted = order
        elif order.role is ReplicaRole.STANDBY:
            wanted = role_order(case, ABSENT, epoch)
        else:
            wanted = left_order(case, site, epoch=epoch)
        checks.append(holds(replica, site, wanted))
    return first(SATISFIED, *checks)


def revoking(case: Case) -> Check:
    """What was granted to this component anywhere is taken back."""
    checks = [revoke(case, site) for site in sorted(case.view.component.replicas)]
    return first(SATISFIED, *checks)


def dropping(case: Case) -> Check:
    """The follower at the source ends; nothing happens if it does not follow any more."""
    site = source_of(case)
    replica = case.view.replica(site)
    if replica.order is None or replica.order.role is ReplicaRole.PRIMARY:
        return SATISFIED
    if replica.order.role is ABSENT:
        return holds(replica, site, replica.order)
    epoch = case.view.component.highest_epoch()
    return holds(replica, site, left_order(case, site, epoch=epoch))


def unfollowing(case: Case) -> Check:
    """The primary lets the dropped site follow no more."""
    site, primary = source_of(case), case.view.component.primary_site()
    if primary is None or primary == site:
        return SATISFIED
    name = f"follower@{site}"
    order = case.view.replica(primary).order
    if order is not None and any(grant.name == name for grant in order.grants):
        return Check(orders=((primary, with_grants(order, remove=[name])),), why=f"{site} may not follow")
    return revoke(case, site)


def _nothing(_: Case) -> Check:
    return SATISFIED


RETIRE = Walk(
    (
        Stage("unused", unused),
        Stage("unrouting", unrouting, undoable=False),
        Stage("leaving", leaving, undoable=False),
        Stage("revoking", revoking, undoable=False),
    ),
    _nothing,
)
DROP = Walk(
    (
        Stage("dropping", dropping, undoable=False),
        Stage("revoking", unfollowing, undoable=False),
    ),
    _nothing,
)
