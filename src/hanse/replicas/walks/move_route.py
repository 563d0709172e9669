"""Move of a component without state: start it at the target, switch the route, end it at the source."""

from hanse.model.replica.order import ReplicaOrder
from hanse.model.replica.role import ReplicaRole
from hanse.model.replica.spec import Upstream
from hanse.replicas.view import EndpointView
from hanse.replicas.walks.checks import answered, first, holds, routed
from hanse.replicas.walks.deploy import gone, granting, reaching, revoke, starting, target_of
from hanse.replicas.walks.move import leaves
from hanse.replicas.walks.orders import role_order, route_order, upstream_of
from hanse.replicas.walks.stages import SATISFIED, Case, Check, Stage, Walk
from hanse.replicas.walks.ticket import source_of


def _target_upstream(case: Case) -> Upstream | None:
    return upstream_of(case.view.component, target_of(case), case.operation.from_epoch + 1)


def preparing(case: Case) -> Check:
    """The endpoint knows the target as second upstream, so that the switch needs no new configuration."""
    endpoint, target = case.view.endpoint, _target_upstream(case)
    if endpoint is None or endpoint.order is None:
        return SATISFIED
    if target is None:
        return Check(why=f"{case.operation.target} has not said yet where it is reached")
    main = routed(endpoint, route_order(case, endpoint, endpoint.order.upstream, target))
    return first(main, *(_old(case, old, None, target) for old in endpoint.old))


def _old(case: Case, old: EndpointView, active: Upstream | None, prepared: Upstream | None) -> Check:
    """An address that the endpoint had before goes along; a site that is silent is not waited for."""
    current = old.order.upstream if old.order is not None else None
    wanted = route_order(case, old, active or current, prepared)
    if old.order != wanted:
        return Check(orders=((old.site, wanted),), why=f"the old address at {old.site} goes along")
    return answered(old.told, f"the old address at {old.site}", case.now)


def switching(case: Case) -> Check:
    """New requests go to the target; the source is kept as second upstream until it has ended."""
    endpoint, target = case.view.endpoint, _target_upstream(case)
    if endpoint is None:
        return SATISFIED
    if target is None:
        return Check(why=f"{case.operation.target} has not said yet where it is reached")
    order = case.view.replica(case.operation.source).order
    source = upstream_of(case.view.component, source_of(case), order.epoch if order is not None else 0)
    main = routed(endpoint, route_order(case, endpoint, target, source))
    return first(main, *(_old(case, old, target, source) for old in endpoint.old))


def draining(case: Case) -> Check:
    """The source ends its running requests and is stopped (way back) or erased."""
    source = source_of(case)
    replica = case.view.replica(source)
    return holds(replica, source, _ended(case, replica.order))


def _ended(case: Case, order: ReplicaOrder | None) -> ReplicaOrder:
    epoch = case.operation.from_epoch + 1
    if leaves(case) or order is None:
        return role_order(case, ReplicaRole.ABSENT, epoch)
    return order.model_copy(update={"role": ReplicaRole.STANDBY, "epoch": epoch})


def tidying(case: Case) -> Check:
    """The route forgets the source, and so does whatever the component uses."""
    checks = [SATISFIED]
    endpoint, target = case.view.endpoint, _target_upstream(case)
    if endpoint is not None and target is not None:
        wanted = route_order(case, endpoint, target)
        changed = endpoint.order != wanted
        checks.append(
            Check(orders=((endpoint.site, wanted),), why="the route forgets the source")
            if changed
            else answered(endpoint.told, f"the endpoint at {endpoint.site}", case.now)
        )
        checks += [_old(case, old, target, None) for old in endpoint.old]
    if leaves(case):
        checks.append(revoke(case, source_of(case)))
    return first(*checks)


def undo(case: Case) -> Check:
    """The route never sent to the target: take it off the route, then end it there."""
    checks = [SATISFIED]
    endpoint = case.view.endpoint
    if endpoint is not None and endpoint.order is not None:
        wanted = route_order(case, endpoint, endpoint.order.upstream)
        if endpoint.order != wanted:
            return Check(orders=((endpoint.site, wanted),), why="the route forgets the target")
        checks.append(answered(endpoint.told, f"the endpoint at {endpoint.site}", case.now))
        checks += [_old(case, old, None, None) for old in endpoint.old]
    target = target_of(case)
    if case.operation.target_before is ReplicaRole.STANDBY:
        order = case.view.replica(target).order
        if order is not None and order.role is ReplicaRole.PRIMARY:
            rested = order.model_copy(update={"role": ReplicaRole.STANDBY})
            return Check(orders=((target, rested),), why=f"{target} is a standby again")
    else:
        checks += [gone(case, target), revoke(case, target)]
    return first(*checks)


MOVE_STATELESS = Walk(
    (
        Stage("reaching", reaching),
        Stage("granting", granting),
        Stage("starting", starting),
        Stage("preparing", preparing),
        Stage("switching", switching, undoable=False),
        Stage("draining", draining, undoable=False),
        Stage("tidying", tidying, undoable=False),
    ),
    undo,
)


def ready_standby(case: Case) -> Check:
    """A standby without state: everything in place, stopped."""
    site = target_of(case)
    wanted = role_order(case, ReplicaRole.STANDBY, case.operation.from_epoch)
    return holds(case.view.replica(site), site, wanted)


def undo_standby(case: Case) -> Check:
    """Nothing is left at the target."""
    return gone(case, target_of(case))


STANDBY_STATELESS = Walk((Stage("following", ready_standby),), undo_standby)
