"""Moves: one component or all, to a site or provider, away from a provider, or back; and abort."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from hanse.hub.commands.applications import open_order, place_holds
from hanse.hub.context import Change, Hub
from hanse.hub.planning.moving import MoveRequest, Wish, replan
from hanse.hub.records import ApplicationRecord, MoveRecord, OrderRecord, Stored, load_operation, save
from hanse.hub.settlement import require_idle
from hanse.hub.spec import key_of
from hanse.model.market.plan import Placement, Plan, PriceLine
from hanse.model.replica.operation import Operation
from hanse.model.shape import MicroEur, Shape, SiteId
from hanse.ports import Permanent


class Move(Shape):
    """One component's way."""

    component: str
    source: SiteId
    target: SiteId
    offer: str
    price: tuple[PriceLine, ...]
    price_before_micro_eur_per_month: MicroEur
    price_after_micro_eur_per_month: MicroEur
    one_way: bool
    """True when nothing follows at the source afterwards, so that going back is a fresh copy."""
    way_back_seconds: int
    uses_way_back: bool
    """True when the target follows already."""


class Moves(Shape):
    """What would happen, or happens."""

    application: str
    moves: tuple[Move, ...]
    price_micro_eur_per_month: MicroEur
    """Of the whole application afterwards, ways back not counted."""
    order: str = ""
    operations: tuple[str, ...] = ()
    """Empty for a dry run."""


@dataclass(frozen=True, slots=True)
class _Step:
    move: Move
    placement: Placement
    hold: str
    """Empty where a new hold is needed."""


def move(hub: Hub, name: str, request: MoveRequest) -> Moves:
    """Plan the move and begin it, unless it is a dry run.

    Raises Permanent(`application-unknown`, `application-busy`, `application-not-running`,
    `component-unknown`, `site-unknown`, `provider-unknown`, `same-site`, `no-way-back`, `nothing-to-move`,
    `no-reach`, `move-impossible`).
    """
    with hub.look() as tx:
        seen = require_idle(tx, name, "be moved")
    plan, wishes = replan(hub, seen.value, request)
    steps = tuple(_step(seen.value, wish, plan, request) for wish in wishes)
    moves = Moves(
        application=name,
        moves=tuple(each.move for each in steps),
        price_micro_eur_per_month=plan.price_micro_eur_per_month,
    )
    if request.dry_run:
        return moves
    with hub.change() as change:
        stored = require_idle(change.tx, name, "be moved")
        if stored.version != seen.version:
            raise Permanent("application-busy", f"{name} changed while the move was planned. Ask again.")
        moves = _begin(change, stored, steps, plan, leave=request.away_from is not None)
        change.answer(moves)
    return moves


def _step(record: ApplicationRecord, wish: Wish, plan: Plan, request: MoveRequest) -> _Step:
    component = record.components[wish.component]
    placement = next(placed for placed in plan.placements if placed.component == wish.component)
    back = component.way_back_site == placement.site
    if back and component.way_back_placement is not None:
        placement = component.way_back_placement
    leave = request.away_from is not None
    way_back = 0 if leave else record.application.components[wish.component].way_back_seconds
    move = Move(
        component=wish.component,
        source=component.primary or component.placement.site,
        target=placement.site,
        offer=placement.offer,
        price=placement.price,
        price_before_micro_eur_per_month=_price(component.placement),
        price_after_micro_eur_per_month=_price(placement),
        one_way=way_back <= 0,
        way_back_seconds=way_back,
        uses_way_back=back,
    )
    return _Step(move, placement, component.way_back_hold if back else "")


def _price(placement: Placement) -> int:
    return sum(line.micro_eur_per_month for line in placement.price)


def _begin(
    change: Change, stored: Stored[ApplicationRecord], steps: Sequence[_Step], plan: Plan, *, leave: bool
) -> Moves:
    record = stored.value
    order_id = f"order-{change.tx.next_number('order')}"
    fresh = tuple(step.placement for step in steps if not step.move.uses_way_back)
    holds = place_holds(order_id, fresh)
    operations = _operations(change, record, [step.move for step in steps], leave=leave)
    order = OrderRecord(
        id=order_id,
        application=record.name,
        placements=tuple(step.placement for step in steps),
        traffic=plan.traffic,
        price_micro_eur_per_month=plan.price_micro_eur_per_month,
        holds=holds,
        operations=tuple(operation.operation for operation in operations),
        deadline=change.now + timedelta(seconds=change.hub.hold_seconds),
    )
    open_order(change, order, operations)
    names = {hold.component: hold.hold for hold in holds}
    for step, operation in zip(steps, operations, strict=True):
        moved = MoveRecord(
            operation=operation.operation,
            order=order_id,
            placement=step.placement,
            hold=step.hold or names.get(step.move.component, ""),
            hold_is_new=not step.hold,
            traffic=plan.traffic,
        )
        save(change.tx, "move", operation.operation, moved, expect=0)
    change.note(
        "move-asked",
        f"application/{record.name}/order/{order_id}",
        moves=[f"{step.move.component}: {step.move.source} → {step.move.target}" for step in steps],
        leave=leave,
        operations=list(order.operations),
    )
    # the version grows, so that two moves planned at the same moment cannot both begin
    save(change.tx, "application", record.name, stored.value, state=stored.state, expect=stored.version)
    return Moves(
        application=record.name,
        moves=tuple(step.move for step in steps),
        price_micro_eur_per_month=plan.price_micro_eur_per_month,
        order=order_id,
        operations=order.operations,
    )


def _operations(
    change: Change, record: ApplicationRecord, moves: Iterable[Move], *, leave: bool
) -> tuple[Operation, ...]:
    """One after the other: every prefix is a placement in which everybody reaches what it needs."""
    made: list[Operation] = []
    for each in moves:
        wanted = record.application.components[each.component]
        operation = Operation(
            operation=f"op-{change.tx.next_number('operation')}",
            kind="move",
            key=key_of(record.name, each.component),
            component_kind=wanted.kind,
            mandate=record.mandate_digest,
            after=(made[-1].operation,) if made else (),
            source=each.source,
            target=each.target,
            leave=leave,
            way_back_seconds=each.way_back_seconds,
            retrieval_seconds=wanted.retrieval_seconds,
            started_at=change.now,
        )
        made.append(operation)
    return tuple(made)


class Aborting(Shape):
    """The wish is noted; the operation's own status tells what became of it."""

    operation: str
    state: str


def abort(hub: Hub, name: str) -> Aborting:
    """Ask an operation to stop and put everything back; obeyed until its point of no return.

    Raises Permanent(`operation-unknown`, `operation-over`).
    """
    with hub.change() as change:
        stored = load_operation(change.tx, name)
        if stored is None:
            raise Permanent(
                "operation-unknown", f"There is no operation {name} here. `hanse status APP` lists them."
            )
        if stored.state not in ("ordering", "open", "stuck"):
            raise Permanent("operation-over", f"{name} is {stored.state} already; nothing is left to abort.")
        if stored.value.kind in ("retire", "drop"):
            raise Permanent(
                "operation-over",
                f"{name} is a {stored.value.kind}, which only goes forward; it cannot be aborted.",
            )
        value = stored.value.model_copy(update={"abort_wanted": True})
        save(change.tx, "operation", name, value, state=stored.state, expect=stored.version)
        change.note(
            "operation-abort-asked",
            f"application/{value.key.application}/operation/{name}",
            phase=value.phase,
        )
        aborting = Aborting(operation=name, state=stored.state)
        change.answer(aborting)
    return aborting
