"""Moves: one component or all, to a site or provider, away from a provider, or back; and abort."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from hanse.hub.commands.applications import open_order, place_holds
from hanse.hub.context import Change, Hub
from hanse.hub.planning.moving import MoveRequest, Wish, replan
from hanse.hub.records import ApplicationRecord, MoveRecord, OrderRecord, Stored, load_operation, save
from hanse.hub.settlement import (
    open_drop,
    operations_under_way,
    refuse_busy,
    require_idle,
    save_application,
)
from hanse.hub.spec import key_of
from hanse.model.market.plan import Placement, Plan, PriceLine
from hanse.model.replica.operation import Operation, OperationKind
from hanse.model.shape import MicroEur, Shape, SiteId
from hanse.ports import Permanent, Temporary


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
    ways_back_ended: tuple[str, ...] = ()
    """Components that stay where they are, but lose the way back that stands at the provider to leave."""
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


@dataclass(frozen=True, slots=True)
class _Asked:
    steps: tuple[_Step, ...]
    plan: Plan
    away_from: str | None


WHAT = "be moved"
DROPS: tuple[OperationKind, ...] = ("drop",)
"""Ending a way back of one component does not keep others from moving."""


def move(hub: Hub, name: str, request: MoveRequest) -> Moves:
    """Plan the move and begin it, unless it is a dry run.

    Raises Permanent(`application-unknown`, `application-busy`, `application-not-running`,
    `component-unknown`, `site-unknown`, `provider-unknown`, `same-site`, `no-way-back`, `nothing-to-move`,
    `no-reach`, `move-impossible`, `plan-wrong`).
    """
    with hub.look() as tx:
        seen = require_idle(tx, name, WHAT, besides=DROPS)
    plan, wishes = replan(hub, seen.value, request)
    steps = tuple(_step(seen.value, wish, plan, request) for wish in wishes)
    asked = _Asked(steps, plan, request.away_from)
    moves = Moves(
        application=name,
        moves=tuple(each.move for each in steps),
        ways_back_ended=_ways_back_at(seen.value, request.away_from, steps),
        price_micro_eur_per_month=plan.price_micro_eur_per_month,
    )
    if request.dry_run:
        return moves
    with hub.change() as change:
        stored = require_idle(change.tx, name, WHAT, besides=DROPS)
        movers = {each.move.component for each in steps} | set(moves.ways_back_ended)
        dropping = operations_under_way(change.tx, name)
        refuse_busy(name, WHAT, [each for each in dropping if each.value.key.component in movers])
        if stored.version != seen.version:
            raise Temporary("conflict", f"{name} changed while the move was planned; try again.")
        moves = _begin(change, stored, asked, moves)
        change.answer(moves)
    return moves


def _ways_back_at(record: ApplicationRecord, provider: str | None, steps: Sequence[_Step]) -> tuple[str, ...]:
    """Components that stay, but whose way back stands at the provider that is left."""
    moving = {each.move.component for each in steps}
    return tuple(
        name
        for name, each in sorted(record.components.items())
        if provider is not None
        and each.way_back_site is not None
        and each.way_back_site.partition("/")[0] == provider
        and name not in moving
    )


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


def _begin(change: Change, stored: Stored[ApplicationRecord], asked: _Asked, moves: Moves) -> Moves:
    record, steps, leave = stored.value, asked.steps, asked.away_from is not None
    drops = tuple(open_drop(change, record, name) for name in moves.ways_back_ended)
    order_id = f"order-{change.tx.next_number('order')}" if steps else ""
    fresh = tuple(step.placement for step in steps if not step.move.uses_way_back)
    operations = _operations(change, record, [step.move for step in steps], leave=leave)
    order = OrderRecord(
        id=order_id,
        application=record.name,
        placements=tuple(step.placement for step in steps),
        traffic=asked.plan.traffic,
        price_micro_eur_per_month=asked.plan.price_micro_eur_per_month,
        holds=place_holds(order_id, fresh),
        operations=tuple(operation.operation for operation in operations),
        deadline=change.now + timedelta(seconds=change.hub.hold_seconds),
    )
    if steps:
        open_order(change, order, operations)
        _remember_moves(change, asked, order)
    change.note(
        "move-asked",
        f"application/{record.name}/order/{order_id}",
        moves=[f"{step.move.component}: {step.move.source} → {step.move.target}" for step in steps],
        leave=leave,
        operations=[*order.operations, *drops],
    )
    # the version grows, so that two moves planned at the same moment cannot both begin
    save_application(change, stored, record)
    return moves.model_copy(update={"order": order_id, "operations": (*order.operations, *drops)})


def _remember_moves(change: Change, asked: _Asked, order: OrderRecord) -> None:
    names = {hold.component: hold.hold for hold in order.holds}
    for step, operation in zip(asked.steps, order.operations, strict=True):
        moved = MoveRecord(
            operation=operation,
            order=order.id,
            placement=step.placement,
            hold=step.hold or names.get(step.move.component, ""),
            hold_is_new=not step.hold,
            traffic=asked.plan.traffic,
        )
        save(change.tx, "move", operation, moved, expect=0)


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
