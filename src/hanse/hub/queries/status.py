"""The status document of an application: what should be, what is, and who says so."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Literal

from hanse.hub.context import Hub
from hanse.hub.planning.parts import parts_of, price_of
from hanse.hub.queries.endpoints import EndpointStatus, endpoint_status
from hanse.hub.queries.last_move import LastMove, last_move
from hanse.hub.records import (
    ApplicationRecord,
    OrderRecord,
    SiteRecord,
    Stored,
    load,
    load_all,
    load_operation,
)
from hanse.hub.settlement import operations_under_way, part_name, require_application
from hanse.hub.spec import used_by
from hanse.hub.views import Known, known_about
from hanse.model.market.plan import PriceLine
from hanse.model.replica.observation import Failure, Progress, ReplicaState
from hanse.model.replica.operation import Operation
from hanse.model.replica.order import ReplicaOrder
from hanse.model.shape import CountryCode, Digest, MicroEur, Moment, Shape, SiteId
from hanse.ports import Transaction

RECENT_OPERATIONS = 20

_SILENT_AFTER = timedelta(seconds=60)
"""A site asks for orders at least twice a minute."""


class MandateStatus(Shape):
    """What the buyer asked for; until signing is built, nobody vouches for it."""

    digest: Digest
    signed: Literal[False] = False
    says: str = "not signed"


class ReplicaStatus(Shape):
    """A component at one site: what was ordered, and what its site said last."""

    site: SiteId
    ordered: str
    """Role."""
    role: str | None = None
    """As the site says; None until it has said anything."""
    epoch: int = 0
    ready: bool = False
    answered: bool = False
    """The site has spoken about the newest order."""
    progress: Progress | None = None
    used_bytes: int | None = None
    position: str = ""
    failure: Failure | None = None
    observed_at: Moment | None = None


class WayBack(Shape):
    """The old site still follows; going back is an ordinary move."""

    site: SiteId
    until: Moment
    price_micro_eur_per_month: MicroEur
    """As long as it stands."""


class ComponentStatus(Shape):
    """One component."""

    component: str
    kind: str
    site: SiteId | None
    """Where its primary is; None while it has none."""
    epoch: int
    offer: str
    price: tuple[PriceLine, ...]
    price_micro_eur_per_month: MicroEur
    uses: tuple[str, ...]
    replicas: tuple[ReplicaStatus, ...]
    way_back: WayBack | None = None
    encrypted_at_rest: Literal[False] = False


class OperationStatus(Shape):
    """An operation and how far it is."""

    operation: str
    application: str
    component: str
    kind: str
    state: str
    """`ordering` (its holds are being asked for), `open`, `done`, `aborted`, `stuck`."""
    phase: str
    reason: str
    source: SiteId | None
    target: SiteId | None
    ticket: str | None
    after: tuple[str, ...]
    abort_wanted: bool
    progress: Progress | None = None
    dark_ms: int | None = None
    """Of a cut-over: from closing the source to the target serving, as the sites measured it."""
    failure: Failure | None = None
    started_at: Moment
    ended_at: Moment | None = None


class OrderStatus(Shape):
    """The newest purchase."""

    order: str
    state: str
    """`holding`, `accepting`, `accepted`, `refused`."""
    reason: str


class SiteStatus(Shape):
    """A site that this application stands at."""

    site: SiteId
    country: CountryCode | None
    last_seen_at: Moment | None
    left: bool = False
    silent: bool = False
    """Not heard from for a minute: all that is said of it is as of `last_seen_at`."""


class ApplicationStatus(Shape):
    """Everything a person wants to know first."""

    application: str
    state: str
    """`ordering`, `running`, `declined`, `retiring`, `ended`."""
    reason: str
    mandate: MandateStatus
    plan: str
    order: OrderStatus | None
    price_micro_eur_per_month: MicroEur
    """Ways back not counted."""
    ways_back_micro_eur_per_month: MicroEur
    """What old places and old addresses cost beside that, as long as they stand."""
    components: tuple[ComponentStatus, ...]
    endpoints: tuple[EndpointStatus, ...]
    traffic: tuple[PriceLine, ...]
    operations: tuple[OperationStatus, ...]
    """Newest first."""
    last_move: LastMove | None = None
    sites: tuple[SiteStatus, ...]
    applied_at: Moment
    changed_at: Moment


def status_of(hub: Hub, name: str) -> ApplicationStatus:
    """The document. Raises Permanent(`application-unknown`)."""
    with hub.look() as tx:
        stored = require_application(tx, name)
        return _status(tx, stored, hub)


def all_statuses(hub: Hub) -> tuple[ApplicationStatus, ...]:
    """Of every application, by name."""
    with hub.look() as tx:
        return tuple(_status(tx, each, hub) for each in load_all(tx, "application", ApplicationRecord))


def operation_status(tx: Transaction, stored: Stored[Operation]) -> OperationStatus:
    """One operation with its progress."""
    value = stored.value
    known = known_about(tx, f"replica/{value.key}").get(value.target or value.source or "")
    replica = known.state(ReplicaState) if known and value.component_kind != "endpoint" else None
    return OperationStatus(
        application=value.key.application,
        component=part_name(value),
        state=stored.state,
        progress=replica.progress if replica and stored.state in ("open", "stuck") else None,
        dark_ms=_dark_ms(tx, value.ticket),
        **value.model_dump(
            include={
                "operation",
                "kind",
                "phase",
                "reason",
                "source",
                "target",
                "ticket",
                "after",
                "abort_wanted",
                "failure",
                "started_at",
                "ended_at",
            }
        ),
    )


def _dark_ms(tx: Transaction, ticket: str | None) -> int | None:
    if ticket is None:
        return None
    states = [
        known.observed.state for known in known_about(tx, f"ticket/{ticket}").values() if known.observed
    ]
    measured = [found for state in states if (found := getattr(state, "dark_ms", None)) is not None]
    return max(measured, default=None)


def _status(tx: Transaction, stored: Stored[ApplicationRecord], hub: Hub) -> ApplicationStatus:
    record = stored.value
    components = tuple(_component(tx, record, name) for name in sorted(record.components))
    order = load(tx, "order", record.order, OrderRecord)
    placed = (*record.components.values(), *record.endpoints.values())
    prices = [line.micro_eur_per_month for each in placed for line in each.placement.price]
    named = {replica.site for each in components for replica in each.replicas}
    named |= {each.placement.site for each in placed}
    named |= {each.placement.site for each in record.kept_addresses}
    return ApplicationStatus(
        application=record.name,
        state=stored.state,
        reason=record.reason,
        mandate=MandateStatus(digest=record.mandate_digest),
        plan=record.plan,
        order=OrderStatus(order=order.key, state=order.state, reason=order.value.reason) if order else None,
        price_micro_eur_per_month=sum(prices) + sum(line.micro_eur_per_month for line in record.traffic),
        ways_back_micro_eur_per_month=sum(
            price_of(place) for part in parts_of(record).values() for place in part.ways_back
        ),
        components=components,
        endpoints=tuple(
            endpoint_status(tx, record, name, each) for name, each in sorted(record.endpoints.items())
        ),
        traffic=record.traffic,
        operations=tuple(operation_status(tx, each) for each in _recent(tx, stored)),
        last_move=last_move(tx, record),
        sites=tuple(_sites(tx, named, hub)),
        applied_at=record.applied_at,
        changed_at=record.changed_at,
    )


def _component(tx: Transaction, record: ApplicationRecord, name: str) -> ComponentStatus:
    component = record.components[name]
    way_back = None
    if component.way_back_site and component.way_back_until:
        placed = component.way_back_placement
        way_back = WayBack(
            site=component.way_back_site,
            until=component.way_back_until,
            price_micro_eur_per_month=price_of(placed) if placed else 0,
        )
    replicas = known_about(tx, f"replica/{component.key}")
    return ComponentStatus(
        component=name,
        kind=component.placement.kind,
        site=component.primary,
        epoch=component.epoch,
        offer=component.placement.offer,
        price=component.placement.price,
        price_micro_eur_per_month=price_of(component.placement),
        uses=used_by(record.application, name),
        replicas=tuple(_replica(site, known) for site, known in replicas.items()),
        way_back=way_back,
    )


def _replica(site: str, known: Known) -> ReplicaStatus:
    order = known.ordered.order if known.ordered else None
    state, observed = known.state(ReplicaState), known.observed
    return ReplicaStatus(
        site=site,
        ordered=order.role.value if isinstance(order, ReplicaOrder) else "",
        role=state.role.value if state else None,
        epoch=state.epoch if state else 0,
        ready=bool(state and state.ready),
        answered=known.told().is_answered,
        progress=state.progress if state else None,
        used_bytes=state.used_bytes if state else None,
        position=state.position if state else "",
        failure=observed.failure if observed else None,
        observed_at=observed.at if observed else None,
    )


def _recent(tx: Transaction, stored: Stored[ApplicationRecord]) -> list[Stored[Operation]]:
    """Operations that are under way, then the last ones that spoke; newest first."""
    prefix = f"application/{stored.key}/operation/"
    names = [each.key for each in operations_under_way(tx, stored.key)]
    order = load(tx, "order", stored.value.order, OrderRecord)
    names += order.value.operations if order else ()
    names += [
        entry["subject"].removeprefix(prefix) for entry in tx.entries(prefix, limit=10 * RECENT_OPERATIONS)
    ]
    found = [load_operation(tx, name) for name in dict.fromkeys(names)]
    kept = [each for each in found if each is not None]
    kept.sort(key=lambda each: (each.value.started_at, _number(each.key)), reverse=True)
    return kept[:RECENT_OPERATIONS]


def _number(operation: str) -> int:
    digits = operation.rpartition("-")[2]
    return int(digits) if digits.isdigit() else 0


def _sites(tx: Transaction, names: Iterable[str], hub: Hub) -> Iterable[SiteStatus]:
    now = hub.clock.now()
    for name in sorted(names):
        stored = load(tx, "site", name, SiteRecord)
        if stored is None:
            continue
        statement = stored.value.statement
        moments = [each for each in (stored.value.last_observed_at, hub.seen.get(name)) if each is not None]
        last = max(moments, default=None)
        yield SiteStatus(
            site=name,
            country=statement.site.country if statement else None,
            last_seen_at=last,
            left=stored.state == "left",
            silent=last is None or now - last > _SILENT_AFTER,
        )
