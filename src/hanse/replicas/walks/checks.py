"""Conditions that stages share: a replica holds its role, a route is answered, sites reach each other."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from hanse.model.replica.observation import Progress
from hanse.model.replica.order import ReplicaOrder, RouteOrder
from hanse.model.replica.role import ReplicaRole
from hanse.model.shape import Moment, SiteId
from hanse.replicas.outcome import AnyOrder
from hanse.replicas.view import EndpointView, ReplicaView, Told
from hanse.replicas.walks.stages import SATISFIED, Case, Check

_TASKS = {
    ReplicaRole.PRIMARY: "serve",
    ReplicaRole.STANDBY: "stand by for",
    ReplicaRole.FENCED: "take no more writes for",
    ReplicaRole.RETAINED: "keep the data of",
    ReplicaRole.ABSENT: "erase",
}
PATIENCE_SECONDS = 30.0
"""How long a site that only helps (a route, a consumer, an undone target) is waited for."""


def holds(replica: ReplicaView, site: SiteId, wanted: ReplicaOrder) -> Check:
    """The site was ordered this, has answered it, and holds the role ready."""
    task = f"{_TASKS[wanted.role]} {wanted.key.application}/{wanted.key.component} (epoch {wanted.epoch})"
    if replica.order != wanted:
        return Check(orders=((site, wanted),), why=f"{site} is told to {task}")
    if replica.told.is_answered and replica.told.failure is not None:
        return Check(failure=replica.told.failure)
    state = replica.state
    if not replica.told.is_answered or state is None or state.role is not wanted.role:
        return Check(why=f"{site} was told to {task} and has not answered yet")
    behind = state.epoch < wanted.epoch and wanted.role is not ReplicaRole.ABSENT
    if behind or not state.ready:
        return Check(why=f"{site} was told to {task} and is not ready yet{_progress(state.progress)}")
    return SATISFIED


def _progress(progress: Progress | None) -> str:
    """The phase alone: how far it is stands beside, and a reason that counts would be news every second."""
    return f": {progress.phase}" if progress else ""


def answered(told: Told, what: str, now: Moment, patience_seconds: float = PATIENCE_SECONDS) -> Check:
    """The site has spoken about the newest order, or was given its time: who only helps never blocks."""
    if told.is_answered or told.ordered_at is None:
        return SATISFIED
    until = told.ordered_at + timedelta(seconds=patience_seconds)
    return Check(why=f"{what} has not answered yet", until=until) if now < until else SATISFIED


def routed(endpoint: EndpointView, wanted: RouteOrder) -> Check:
    """The endpoint's site was ordered this and its route stands, at the wanted epoch."""
    if endpoint.order != wanted:
        return Check(orders=((endpoint.site, wanted),), why=f"{endpoint.site} is told where to send requests")
    if endpoint.told.is_answered and endpoint.told.failure is not None:
        return Check(failure=endpoint.told.failure)
    state = endpoint.state
    epoch = wanted.upstream.epoch if wanted.upstream is not None else None
    if not endpoint.told.is_answered or state is None or not state.ready:
        return Check(why=f"the endpoint at {endpoint.site} has not switched yet")
    if epoch is not None and state.epoch < epoch:
        return Check(why=f"the endpoint at {endpoint.site} still sends to epoch {state.epoch}")
    return SATISFIED


def reaches(pairs: Iterable[tuple[SiteId, SiteId]], case: Case) -> Check:
    """Every pair (from, to) is measured as reachable; not measured after a while: try it."""
    measured = [(a, b, case.view.reach.get(f"{a}>{b}")) for a, b in sorted(set(pairs)) if a != b]
    for origin, to, good in measured:
        if good is False:
            why = f"{origin} does not reach {to}: open {to}'s data address for it, or choose another site"
            return Check(stuck=why)
    until = case.operation.started_at + timedelta(seconds=PATIENCE_SECONDS)
    for origin, to, good in measured:
        if good is None and case.now < until:
            return Check(why=f"{origin} has not measured yet whether it reaches {to}", until=until)
    return SATISFIED


def ahead(check: Check, *later: Check) -> Check:
    """A check that still waits, and what later stages can already order meanwhile."""
    if check.satisfied or check.failure is not None or check.stuck or check.undo:
        return check
    return replace(check, orders=(*check.orders, *(order for one in later for order in one.orders)))


def first(*checks: Check) -> Check:
    """The orders of all of them; else the first that is not satisfied."""
    orders: tuple[tuple[SiteId, AnyOrder], ...] = ()
    for check in checks:
        orders += check.orders
    open_checks = [check for check in checks if not check.satisfied]
    if not open_checks:
        return SATISFIED
    if orders:
        return Check(orders=orders, why=open_checks[0].why)
    failures = [check for check in open_checks if check.failure is not None or check.stuck]
    return (failures or open_checks)[0]
