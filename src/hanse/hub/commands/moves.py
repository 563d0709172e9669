"""Moves: one component, its endpoint or all, somewhere, away from a provider, or back; and abort."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from hanse.hub.commands.applications import open_order, place_holds
from hanse.hub.context import Change, Hub
from hanse.hub.planning.expected import Copy, Gap, copy_of, gap_of, gaps_of, used_bytes
from hanse.hub.planning.movers import ways_back_ended
from hanse.hub.planning.moving import Replanned, replan
from hanse.hub.planning.parts import Part, parts_of, price_of
from hanse.hub.planning.prefixes import NOTHING, provider_of
from hanse.hub.records import (
    ApplicationRecord,
    MoveRecord,
    MoveRequest,
    OrderRecord,
    Stored,
    load_operation,
    save,
)
from hanse.hub.settlement import (
    open_address_drop,
    open_drop,
    operations_under_way,
    part_name,
    refuse_busy,
    require_idle,
    save_application,
)
from hanse.hub.spec import key_of
from hanse.model.application.quantities import duration_words
from hanse.model.market.plan import Placement, PriceLine
from hanse.model.replica.operation import Operation, OperationKind
from hanse.model.shape import MicroEur, Shape, SiteId
from hanse.ports import Permanent, Temporary, Transaction


class Move(Shape):
    """One cut-over: a component's way, or an endpoint's."""

    component: str
    """As plans name it: `web`, or `web-endpoint`."""
    kind: str
    source: SiteId
    target: SiteId
    offer: str
    price: tuple[PriceLine, ...]
    """At the new place; and what the way back costs beside it."""
    price_before_micro_eur_per_month: MicroEur
    price_after_micro_eur_per_month: MicroEur
    price_way_back_micro_eur_per_month: MicroEur
    """What the old place costs as long as it is the way back; 0 where it is left at once."""
    traffic_before_micro_eur_per_month: MicroEur
    """Of the whole application, before this step and after it."""
    traffic_after_micro_eur_per_month: MicroEur
    copy_costs: Copy
    gap: Gap
    one_way: bool
    """True when nothing follows at the source afterwards, so that going back is a fresh copy."""
    way_back_seconds: int
    """From the end of this step. Of an endpoint: for how long its old address goes on."""
    uses_way_back: bool
    """True when the target follows already."""


class Moves(Shape):
    """What would happen, or happens: cut-overs one after the other, each prefix a legal placement."""

    application: str
    moves: tuple[Move, ...]
    ways_back_ended: tuple[str, ...] = ()
    """Parts that stay where they are, but lose what stands of them at the provider to leave."""
    price_before_micro_eur_per_month: MicroEur
    price_micro_eur_per_month: MicroEur
    """Of the whole application before and afterwards, ways back not counted."""
    ways_back_micro_eur_per_month: MicroEur
    """What all ways back cost afterwards, as long as they stand."""
    order: str = ""
    operations: tuple[str, ...] = ()
    """Empty for a dry run."""


@dataclass(frozen=True, slots=True)
class _Step:
    move: Move
    part: Part
    placement: Placement
    hold: str
    """Empty where a new hold is needed."""
    traffic: tuple[PriceLine, ...]


@dataclass(frozen=True, slots=True)
class _Asked:
    request: MoveRequest
    steps: tuple[_Step, ...]
    price_micro_eur_per_month: int


WHAT = "be moved"
DROPS: tuple[OperationKind, ...] = ("drop",)
"""Ending a way back of one component does not keep others from moving."""


def move(hub: Hub, name: str, request: MoveRequest) -> Moves:
    """Plan the move and begin it, unless it is a dry run.

    Raises Permanent(`application-unknown`, `application-busy`, `application-not-running`,
    `component-unknown`, `site-unknown`, `provider-unknown`, `country-unknown`, `same-site`, `no-way-back`,
    `nothing-to-move`, `no-reach`, `no-order`, `move-impossible`, `plan-wrong`).
    """
    with hub.look() as tx:
        seen = require_idle(tx, name, WHAT, besides=DROPS)
    found = replan(hub, seen.value, request)
    with hub.look() as tx:
        steps = tuple(_steps(tx, seen.value, found))
    moves = _moves(seen.value, request, found, steps)
    if request.dry_run:
        return moves
    asked = _Asked(request, steps, moves.price_micro_eur_per_month)
    with hub.change() as change:
        stored = require_idle(change.tx, name, WHAT, besides=DROPS)
        movers = {each.move.component for each in steps} | set(moves.ways_back_ended)
        dropping = operations_under_way(change.tx, name)
        refuse_busy(name, WHAT, [each for each in dropping if part_name(each.value) in movers])
        if stored.version != seen.version:
            raise Temporary("conflict", f"{name} changed while the move was planned; try again.")
        moves = _begin(change, stored, asked, moves)
        change.answer(moves)
    return moves


def _moves(
    record: ApplicationRecord, request: MoveRequest, found: Replanned, steps: Sequence[_Step]
) -> Moves:
    everybody = frozenset(part.name for part in found.movers)
    return Moves(
        application=record.name,
        moves=tuple(each.move for each in steps),
        ways_back_ended=ways_back_ended(found.prefixes.parts, request, found.movers),
        price_before_micro_eur_per_month=found.prefixes.price(NOTHING),
        price_micro_eur_per_month=found.prefixes.price(everybody),
        ways_back_micro_eur_per_month=found.prefixes.price_of_ways_back(everybody),
    )


def _steps(tx: Transaction, record: ApplicationRecord, found: Replanned) -> list[_Step]:
    measured, done, steps = gaps_of(tx), NOTHING, []
    for part in found.movers:
        before, done = found.prefixes.traffic(done), done | {part.name}
        traffic = found.prefixes.traffic(done)
        size = None if part.is_endpoint else used_bytes(tx, key_of(record.name, part.component), part.site)
        placement = found.prefixes.after[part.name]
        back = any(each.site == placement.site for each in part.ways_back)
        seconds = found.keeps[part.name]
        move = Move(
            component=part.name,
            kind=part.kind,
            source=part.site,
            target=placement.site,
            offer=placement.offer,
            price=(*placement.price, *_way_back_lines(part, seconds)),
            price_before_micro_eur_per_month=price_of(part.placement),
            price_after_micro_eur_per_month=price_of(placement),
            price_way_back_micro_eur_per_month=price_of(part.placement) if seconds else 0,
            traffic_before_micro_eur_per_month=sum(line.micro_eur_per_month for line in before),
            traffic_after_micro_eur_per_month=sum(line.micro_eur_per_month for line in traffic),
            copy_costs=copy_of(part, placement.site, size, found.prefixes.catalogue),
            gap=gap_of(part.kind, measured),
            one_way=seconds <= 0,
            way_back_seconds=seconds,
            uses_way_back=back,
        )
        steps.append(_Step(move, part, placement, part.way_back_hold if back else "", traffic))
    return steps


def _way_back_lines(part: Part, seconds: int) -> tuple[PriceLine, ...]:
    if seconds <= 0:
        return ()
    what = "old address" if part.is_endpoint else "way back"
    how = " + ".join(line.how for line in part.placement.price)
    line = PriceLine(
        what=f"{what} at {part.site}",
        micro_eur_per_month=price_of(part.placement),
        how=f"{how}, for {duration_words(seconds)}",
    )
    return (line,)


def _begin(change: Change, stored: Stored[ApplicationRecord], asked: _Asked, moves: Moves) -> Moves:
    record, steps = stored.value, asked.steps
    parts = parts_of(record)
    order_id = f"order-{change.tx.next_number('order')}" if steps else ""
    fresh = tuple(step.placement for step in steps if not step.move.uses_way_back)
    operations = _operations(change, record, steps, leave=asked.request.away_from is not None)
    drops = tuple(
        drop
        for name in moves.ways_back_ended
        for drop in _drops(change, record, parts[name], asked.request.away_from or "", operations)
    )
    order = OrderRecord(
        id=order_id,
        application=record.name,
        placements=tuple(step.placement for step in steps),
        traffic=steps[-1].traffic if steps else record.traffic,
        price_micro_eur_per_month=asked.price_micro_eur_per_month,
        holds=place_holds(order_id, fresh),
        operations=tuple(operation.operation for operation in operations),
        asked=asked.request,
        deadline=change.now + timedelta(seconds=change.hub.hold_seconds),
    )
    if steps:
        open_order(change, order, operations)
        _remember_moves(change, asked, order)
        record = record.model_copy(update={"move_order": order_id})
    change.note(
        "move-asked",
        f"application/{record.name}/order/{order_id}",
        asked=asked.request.model_dump(mode="json", exclude_defaults=True),
        moves=[f"{step.move.component}: {step.move.source} → {step.move.target}" for step in steps],
        leave=asked.request.away_from is not None,
        operations=[*order.operations, *drops],
    )
    # the version grows, so that two moves planned at the same moment cannot both begin
    save_application(change, stored, record)
    return moves.model_copy(update={"order": order_id, "operations": (*order.operations, *drops)})


def _drops(
    change: Change, record: ApplicationRecord, part: Part, provider: str, operations: Sequence[Operation]
) -> list[str]:
    """End what stands of a part at the provider to leave; old addresses last."""
    if not part.is_endpoint:
        return [open_drop(change, record, part.component)]
    after = tuple(each.operation for each in operations[-1:])
    sites = [each.site for each in part.ways_back if provider_of(each.site) == provider]
    return [open_address_drop(change, record, part.component, site, after=after) for site in sites]


def _remember_moves(change: Change, asked: _Asked, order: OrderRecord) -> None:
    names = {hold.component: hold.hold for hold in order.holds}
    for step, operation in zip(asked.steps, order.operations, strict=True):
        moved = MoveRecord(
            operation=operation,
            order=order.id,
            placement=step.placement,
            hold=step.hold or names.get(step.move.component, ""),
            hold_is_new=not step.hold,
            traffic=step.traffic,
        )
        save(change.tx, "move", operation, moved, expect=0)


def _operations(
    change: Change, record: ApplicationRecord, steps: Sequence[_Step], *, leave: bool
) -> tuple[Operation, ...]:
    """One after the other: every prefix is a legal placement in which everybody reaches what it needs."""
    made: list[Operation] = []
    for step in steps:
        wanted = record.application.components[step.part.component]
        operation = Operation(
            operation=f"op-{change.tx.next_number('operation')}",
            kind="move",
            key=key_of(record.name, step.part.component),
            component_kind="endpoint" if step.part.is_endpoint else wanted.kind,
            mandate=record.mandate_digest,
            after=(made[-1].operation,) if made else (),
            source=step.move.source,
            target=step.move.target,
            leave=leave and step.move.one_way,
            way_back_seconds=step.move.way_back_seconds,
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
