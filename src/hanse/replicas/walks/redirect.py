"""Routes of a component with state: prepared before the ticket, redirected after it, put back by an abort."""

from hanse.model.replica.spec import Upstream
from hanse.model.shape import Moment, SiteId
from hanse.replicas.outcome import AnyOrder
from hanse.replicas.view import Told
from hanse.replicas.walks.checks import answered, first
from hanse.replicas.walks.deploy import target_of
from hanse.replicas.walks.orders import route_order, upstream_of, with_upstreams
from hanse.replicas.walks.stages import SATISFIED, Case, Check


def preparing(case: Case) -> Check:
    """Connectors and endpoint know the target as second upstream; who is silent is not waited for."""
    target = upstream_of(case.view.component, target_of(case), case.operation.from_epoch + 1)
    if target is None:
        return Check(why=f"{case.operation.target} has not said yet where clients will find it")
    return _all(case, active=None, prepared=target)


def redirecting(case: Case) -> Check:
    """The level orders say what the ticket did: everybody sends to the target."""
    target = upstream_of(case.view.component, target_of(case), case.operation.from_epoch + 1)
    if target is None:
        return Check(why=f"{case.operation.target} has not said yet where clients find it")
    unsealed = [name for name in _readers(case) if not _sealed(case, name)]
    if case.view.component.kind == "postgres" and unsealed:
        return Check(why=f"{case.operation.target} has not made a new credential for {unsealed[0]} yet")
    return _all(case, active=target, prepared=None)


def _readers(case: Case) -> tuple[str, ...]:
    """Names of the grants of every consumer that runs."""
    return tuple(
        f"{consumer.key.component}@{site}"
        for consumer in case.view.consumers
        for site in consumer.live_sites()
    )


def forgetting(case: Case) -> Check:
    """The target is no second upstream any more."""
    return _all(case, active=None, prepared=None)


def _all(case: Case, *, active: Upstream | None, prepared: Upstream | None) -> Check:
    checks = [SATISFIED]
    for consumer in case.view.consumers:
        for site in consumer.live_sites():
            replica = consumer.replicas[site]
            order = replica.order
            if order is None:
                continue
            wanted = with_upstreams(
                order,
                case.operation.key.component,
                active=active,
                prepared=prepared,
                credential=_sealed(case, f"{consumer.key.component}@{site}") if active is not None else "",
            )
            checks.append(_told(site, wanted if wanted != order else None, replica.told, case.now))
    main = case.view.endpoint
    for endpoint in (main, *main.old) if main is not None else ():
        if endpoint.order is None or endpoint.order.upstream is None:
            continue
        route = route_order(case, endpoint, active or endpoint.order.upstream, prepared)
        checks.append(
            _told(endpoint.site, route if route != endpoint.order else None, endpoint.told, case.now)
        )
    return first(*checks)


def _sealed(case: Case, reader: str) -> str:
    """The reader's credential as the target sealed it: handed over, or made anew there."""
    state = case.view.replica(case.operation.target).state
    return state.sealed_credentials.get(reader, "") if state is not None else ""


def _told(site: SiteId, changed: AnyOrder | None, told: Told, now: Moment) -> Check:
    if changed is not None:
        return Check(orders=((site, changed),), why=f"{site} is told about the second place")
    return answered(told, site, now)
