"""Applications: apply a plan, that is: hold, order, run; and change what can be changed while it runs."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from hanse.hub.commands.changes import change_running
from hanse.hub.context import Change, Hub
from hanse.hub.planning.moving import why_not_stay
from hanse.hub.purchase import hold_order
from hanse.hub.records import (
    ApplicationRecord,
    ComponentRecord,
    HoldRecord,
    OrderRecord,
    PlanRecord,
    Stored,
    load,
    save,
)
from hanse.hub.settlement import (
    begin_retirement,
    operations_under_way,
    require_application,
    require_quiet,
    save_application,
)
from hanse.hub.spec import key_of, spec_of, used_by
from hanse.model.application.file import Application
from hanse.model.market.plan import NoSolution, Placement, Plan
from hanse.model.replica.operation import Operation
from hanse.model.replica.order import HoldLine
from hanse.model.replica.spec import ContainerSpec
from hanse.model.shape import Shape
from hanse.ports import Permanent, Transaction

ENDPOINT_SUFFIX = "-endpoint"
PLAN_HOURS = 24.0
"""An older plan is refused: prices and capacity were read too long ago."""
GONE = ("declined", "ended")
"""States of an application that is not there any more; its name may be used again."""


class Applied(Shape):
    """The order and the operations that carry a plan out."""

    application: str
    order: str
    operations: tuple[str, ...]
    """Empty where nothing had to be done."""
    changed: tuple[str, ...] = ()
    """For a running application: what changed, in words."""


def apply_plan(hub: Hub, name: str, plan_id: str) -> Applied:
    """Buy and run a plan, or change a running application to its file.

    Raises Permanent(`plan-unknown`, `plan-of-another`, `plan-too-old`, `plan-without-solution`,
    `plan-not-bookable`, `image-missing`, `application-busy`, `change-refused`).
    """
    objection = _objection(hub, name, plan_id)
    with hub.change() as change:
        old = load(change.tx, "application", name, ApplicationRecord)
        if old is not None and old.state not in GONE and old.value.plan == plan_id:
            return _again(change.tx, old.value)
        plan = _usable_plan(change, name, plan_id)
        if old is None or old.state in GONE:
            applied = _begin(change, plan, old)
        elif old.state == "running":
            words = change_running(change, old, plan, objection)
            applied = Applied(application=name, order=old.value.order, operations=(), changed=words)
        else:
            raise Permanent(
                "application-busy",
                f"{name} is {old.state} at the moment. Wait until that is over (`hanse status {name}`), "
                "then apply again.",
            )
        change.answer(applied)
    return applied


def _objection(hub: Hub, name: str, plan_id: str) -> str:
    """Why a running application may not stay where it is under the plan's mandate; empty if it may."""
    with hub.look() as tx:
        plan = load(tx, "plan", plan_id, PlanRecord)
        running = load(tx, "application", name, ApplicationRecord)
    if plan is None or running is None or running.state != "running" or running.value.plan == plan_id:
        return ""
    return why_not_stay(hub, running.value, plan.value.mandate)


class Retiring(Shape):
    """The operations that end an application."""

    application: str
    operations: tuple[str, ...]


def retire(hub: Hub, name: str, *, erase_now: bool = False) -> Retiring:
    """End an application: data is retained until the retrieval date, or erased now.

    Asking again, or asking to erase what is retained, is allowed. Raises Permanent(`application-unknown`,
    `application-busy`).
    """
    with hub.change() as change:
        stored = require_application(change.tx, name)
        busy = operations_under_way(change.tx, name)
        if stored.state == "retiring" and busy and not erase_now:
            operations = tuple(each.key for each in busy)
        elif stored.state == "declined" or (stored.state == "ended" and not erase_now):
            operations = ()
        else:
            stored = require_quiet(change.tx, name, "be retired")
            value = stored.value.model_copy(update={"reason": ""})
            stored = save_application(change, stored, value, "retiring")
            operations = begin_retirement(change, stored, erase_now=erase_now)
            change.note(
                "retirement-asked", f"application/{name}/", erase_now=erase_now, operations=operations
            )
        if not operations:
            change.note("retirement-asked", f"application/{name}/", erase_now=erase_now, operations=[])
        retiring = Retiring(application=name, operations=operations)
        change.answer(retiring)
    return retiring


def _usable_plan(change: Change, name: str, plan_id: str) -> PlanRecord:
    stored = load(change.tx, "plan", plan_id, PlanRecord)
    if stored is None:
        raise Permanent("plan-unknown", f"There is no plan {plan_id} here. Make one: `hanse plan FILE`.")
    record = stored.value
    if record.application.name != name:
        raise Permanent(
            "plan-of-another", f"{plan_id} is a plan for {record.application.name}, not for {name}."
        )
    if change.now - record.made_at > timedelta(hours=PLAN_HOURS):
        raise Permanent(
            "plan-too-old", f"{plan_id} was made at {record.made_at:%Y-%m-%d %H:%M} UTC. Plan again."
        )
    if isinstance(record.plan, NoSolution):
        raise Permanent(
            "plan-without-solution",
            f"No bookable offers satisfy {name}, so there is nothing to buy. `hanse plan` says why.",
        )
    _require_bookable(record.plan)
    _require_images(change.tx, record.application)
    return record


def _require_bookable(plan: Plan) -> None:
    listed = sorted({placed.site for placed in plan.placements if not placed.bookable})
    if listed:
        raise Permanent(
            "plan-not-bookable",
            f"This plan uses offers of {', '.join(listed)} that are only listed: no joined site sells them. "
            "Plan without --market.",
        )


def _require_images(tx: Transaction, application: Application) -> None:
    for component in application.components:
        spec = spec_of(application, component)
        if isinstance(spec, ContainerSpec) and tx.get("image", spec.image) is None:
            raise Permanent(
                "image-missing",
                f"The image of {component}, {spec.image}, is not in the hub. Push it first: "
                "`hanse image push FILE`.",
            )


def _again(tx: Transaction, record: ApplicationRecord) -> Applied:
    order = load(tx, "order", record.order, OrderRecord)
    operations = order.value.operations if order else ()
    return Applied(application=record.name, order=record.order, operations=operations)


def _begin(change: Change, plan: PlanRecord, old: Stored[ApplicationRecord] | None) -> Applied:
    assert isinstance(plan.plan, Plan)  # noqa: S101 - checked by `_usable_plan`
    order_id = f"order-{change.tx.next_number('order')}"
    holds = place_holds(order_id, plan.plan.placements)
    operations = _deploy_operations(change, plan)
    order = OrderRecord(
        id=order_id,
        application=plan.application.name,
        placements=plan.plan.placements,
        traffic=plan.plan.traffic,
        price_micro_eur_per_month=plan.plan.price_micro_eur_per_month,
        holds=holds,
        operations=tuple(operation.operation for operation in operations),
        deadline=change.now + timedelta(seconds=change.hub.hold_seconds),
    )
    open_order(change, order, operations)
    record = _application(plan, order, change.now)
    name = record.name
    save(change.tx, "application", name, record, state="ordering", expect=old.version if old else 0)
    change.note(
        "application-applied",
        f"application/{name}/",
        plan=plan.id,
        order=order.id,
        mandate=record.mandate_digest,
        price_micro_eur_per_month=order.price_micro_eur_per_month,
        placements={placed.component: placed.site for placed in order.placements},
    )
    return Applied(application=name, order=order.id, operations=order.operations)


def open_order(change: Change, order: OrderRecord, operations: Sequence[Operation]) -> None:
    """Store an order and its waiting operations, and ask the sites to hold. No hold: accepted at once."""
    state = "holding" if order.holds else "accepted"
    save(change.tx, "order", order.id, order, state=state, expect=0)
    for operation in operations:
        begins = "open" if state == "accepted" else "ordering"
        save(change.tx, "operation", operation.operation, operation, state=begins, expect=0)
    for hold in order.holds:
        change.order(hold.site, hold_order(order, hold, "held"))


def place_holds(order_id: str, placements: Sequence[Placement]) -> tuple[HoldRecord, ...]:
    """One hold a placement, so that each can be given back alone. Endpoints that cost nothing need none."""
    return tuple(
        HoldRecord(
            hold=f"{order_id}-{placed.component}",
            component=placed.component,
            site=placed.site,
            lines=_hold_lines(placed),
        )
        for placed in placements
        if _hold_lines(placed)
    )


def _hold_lines(placed: Placement) -> tuple[HoldLine, ...]:
    """The offer, and the volume beside it; each at the price that the plan found."""
    offers = [offer for offer in (placed.offer, placed.volume) if offer]
    return tuple(
        HoldLine(offer=offer, units=1, price_micro_eur_per_month=line.micro_eur_per_month)
        for offer, line in zip(offers, placed.price, strict=False)
    )


def _deploy_operations(change: Change, plan: PlanRecord) -> tuple[Operation, ...]:
    """One a component; whoever is used begins first."""
    assert isinstance(plan.plan, Plan)  # noqa: S101 - checked by `_usable_plan`
    application = plan.application
    sites = {placed.component: placed.site for placed in plan.plan.placements}
    names = {
        component: f"op-{change.tx.next_number('operation')}" for component in sorted(application.components)
    }
    return tuple(
        Operation(
            operation=names[component],
            kind="deploy",
            key=key_of(application.name, component),
            component_kind=application.components[component].kind,
            mandate=plan.plan.mandate,
            after=tuple(names[used] for used in used_by(application, component)),
            target=sites[component],
            way_back_seconds=application.components[component].way_back_seconds,
            retrieval_seconds=application.components[component].retrieval_seconds,
            started_at=change.now,
        )
        for component in names
    )


def _application(plan: PlanRecord, order: OrderRecord, now: datetime) -> ApplicationRecord:
    holds = {hold.component: hold.hold for hold in order.holds}
    components: dict[str, ComponentRecord] = {}
    endpoints: dict[str, ComponentRecord] = {}
    for placed in order.placements:
        exposed = placed.component.removesuffix(ENDPOINT_SUFFIX) if placed.kind == "endpoint" else ""
        component = exposed or placed.component
        record = ComponentRecord(
            key=key_of(order.application, component),
            placement=placed,
            hold=holds.get(placed.component, ""),
        )
        (endpoints if exposed else components)[component] = record
    return ApplicationRecord(
        name=order.application,
        file=plan.file,
        application=plan.application,
        mandate=plan.mandate,
        mandate_digest=plan.plan.mandate,
        plan=plan.id,
        order=order.id,
        components=components,
        endpoints=endpoints,
        traffic=order.traffic,
        applied_at=now,
        changed_at=now,
    )
