"""What an operation that has ended means for its application: placements, holds, way back, state."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta

from hanse.hub.context import Change
from hanse.hub.planning.parts import endpoint_name
from hanse.hub.records import (
    ApplicationRecord,
    ComponentRecord,
    DueRecord,
    KeptAddress,
    MoveRecord,
    OrderedRecord,
    Stored,
    load,
    load_all,
    pair_key,
    save,
)
from hanse.hub.spec import key_of
from hanse.hub.views import component_view
from hanse.model.replica.operation import Operation, OperationKind
from hanse.model.replica.order import HoldOrder
from hanse.ports import Permanent, Transaction

UNDER_WAY = ("ordering", "open", "stuck")
"""Store states of operations that have not ended."""
NEEDS = "needs "
"""How the reason begins of an operation that was not begun, because one before it was aborted."""


def operations_under_way(tx: Transaction, application: str) -> Sequence[Stored[Operation]]:
    """Operations of an application that have not ended."""
    found = [stored for state in UNDER_WAY for stored in load_all(tx, "operation", Operation, state=state)]
    return [stored for stored in found if stored.value.key.application == application]


def require_application(tx: Transaction, name: str) -> Stored[ApplicationRecord]:
    """The application. Raises Permanent(`application-unknown`)."""
    stored = load(tx, "application", name, ApplicationRecord)
    if stored is None:
        raise Permanent(
            "application-unknown", f"There is no application {name} here. `hanse status` lists what there is."
        )
    return stored


def require_component(stored: Stored[ApplicationRecord], component: str) -> ComponentRecord:
    """The component of a live application. Raises Permanent(`component-unknown`)."""
    placed = stored.value.components.get(component)
    if placed is None:
        known = ", ".join(sorted(stored.value.components))
        raise Permanent("component-unknown", f"{stored.key} has no component {component}; it has {known}.")
    return placed


def require_quiet(
    tx: Transaction, name: str, what: str, *, besides: Collection[OperationKind] = ()
) -> Stored[ApplicationRecord]:
    """The application with nothing under way `besides` some kinds. Raises Permanent(`application-busy`)."""
    stored = require_application(tx, name)
    refuse_busy(
        name, what, [each for each in operations_under_way(tx, name) if each.value.kind not in besides]
    )
    return stored


def part_name(operation: Operation) -> str:
    """What the operation is about, as plans name it: a component, or its endpoint."""
    component = operation.key.component
    return endpoint_name(component) if operation.component_kind == "endpoint" else component


def refuse_busy(name: str, what: str, busy: Sequence[Stored[Operation]]) -> None:
    """Raises Permanent(`application-busy`) if there are any."""
    if not busy:
        return
    others = ", ".join(f"{other.value.kind} {part_name(other.value)} ({other.key})" for other in busy)
    raise Permanent(
        "application-busy",
        f"{name} cannot {what} now: {others} is not finished. See `hanse status {name}`; "
        "wait, or abort it with `hanse abort OPERATION`.",
    )


def require_idle(
    tx: Transaction, name: str, what: str, *, besides: Collection[OperationKind] = ()
) -> Stored[ApplicationRecord]:
    """The running application with nothing under way. Raises Permanent(`application-not-running`, …)."""
    stored = require_quiet(tx, name, what, besides=besides)
    if stored.state != "running":
        why = f" ({stored.value.reason})" if stored.value.reason else ""
        raise Permanent("application-not-running", f"{name} is {stored.state}{why}, so it cannot {what}.")
    return stored


def save_application(
    change: Change, stored: Stored[ApplicationRecord], value: ApplicationRecord, state: str = ""
) -> Stored[ApplicationRecord]:
    """Write an application back; the state stays unless one is named."""
    now_in = state or stored.state
    value = value.model_copy(update={"changed_at": change.now})
    save(change.tx, "application", stored.key, value, state=now_in, expect=stored.version)
    return Stored(stored.key, value, stored.version + 1, now_in)


def release_hold(change: Change, hold: str, site: str) -> None:
    """Give capacity back. Nothing happens for an empty name or a hold that was released before."""
    ordered = load(change.tx, "ordered", pair_key(f"hold/{hold}", site), OrderedRecord) if hold else None
    if ordered is not None and isinstance(ordered.value.order, HoldOrder):
        change.order(site, ordered.value.order.model_copy(update={"wanted": "released"}))


def settle(change: Change, operation: Operation) -> None:
    """Carry the end of an operation (`done` or `aborted`) into its application."""
    stored = require_application(change.tx, operation.key.application)
    done = operation.state == "done"
    if operation.component_kind == "endpoint":
        if done:
            _address_settled(change, stored, operation)
        return
    match operation.kind:
        case "deploy":
            _deployed(change, stored, operation) if done else _deploy_aborted(change, stored, operation)
        case "move":
            _moved(change, stored, operation) if done else _move_aborted(change, operation)
        case "drop" if done:
            _dropped(change, stored, operation)
        case "retire" if done:
            _retired(change, stored, operation)
        case _:
            pass


def _with_component(record: ApplicationRecord, name: str, component: ComponentRecord) -> ApplicationRecord:
    return record.model_copy(update={"components": {**record.components, name: component}})


def _component_of(record: ApplicationRecord, operation: Operation) -> tuple[str, ComponentRecord]:
    name = operation.key.component
    return name, record.components[name]


def _highest_epoch(change: Change, record: ApplicationRecord, component: str) -> int:
    return component_view(change.tx, record, component).highest_epoch()


def _deployed(change: Change, stored: Stored[ApplicationRecord], operation: Operation) -> None:
    name, component = _component_of(stored.value, operation)
    epoch = _highest_epoch(change, stored.value, name)
    now = component.model_copy(update={"primary": operation.target, "epoch": epoch})
    last = not _others_under_way(change, operation)
    state = "running" if last and stored.state == "ordering" else stored.state
    stored = save_application(change, stored, _with_component(stored.value, name, now), state)
    if last and stored.state == "retiring":
        begin_retirement(change, stored, erase_now=True)


def _others_under_way(change: Change, operation: Operation) -> Sequence[Stored[Operation]]:
    found = operations_under_way(change.tx, operation.key.application)
    return [other for other in found if other.key != operation.operation]


def _deploy_aborted(change: Change, stored: Stored[ApplicationRecord], operation: Operation) -> None:
    """One component of a purchase will not run, so nothing of it shall: all or nothing."""
    others = _others_under_way(change, operation)
    if stored.state == "ordering":
        why = f": {operation.reason}" if operation.reason else ""
        reason = f"deploying {operation.key.component} was aborted{why}"
        value = stored.value.model_copy(update={"reason": reason})
        stored = save_application(change, stored, value, "retiring")
        for other in others:
            wanted = other.value.model_copy(update={"abort_wanted": True})
            save(change.tx, "operation", other.key, wanted, state=other.state, expect=other.version)
    if not others:
        begin_retirement(change, stored, erase_now=True)


def begin_retirement(
    change: Change, stored: Stored[ApplicationRecord], *, erase_now: bool
) -> tuple[str, ...]:
    """Open a retire operation for each component; consumers end first. Returns their ids."""
    record = stored.value
    names = {component: f"op-{change.tx.next_number('operation')}" for component in sorted(record.components)}
    for component, name in names.items():
        wanted = record.application.components[component]
        consumers = _consumers(record, component)
        operation = Operation(
            operation=name,
            kind="retire",
            key=key_of(record.name, component),
            component_kind=wanted.kind,
            mandate=record.mandate_digest,
            after=tuple(names[consumer] for consumer in consumers if consumer in names),
            source=record.components[component].primary or record.components[component].placement.site,
            leave=True,
            erase_now=erase_now,
            retrieval_seconds=wanted.retrieval_seconds,
            started_at=change.now,
        )
        save(change.tx, "operation", name, operation, state="open", expect=0)
    return tuple(names.values())


def _consumers(record: ApplicationRecord, component: str) -> tuple[str, ...]:
    from_file = record.application.components
    return tuple(
        name
        for name in sorted(from_file)
        if any(use.component == component for use in getattr(from_file[name], "uses", ()))
    )


def _moved(change: Change, stored: Stored[ApplicationRecord], operation: Operation) -> None:
    name, component = _component_of(stored.value, operation)
    move = _move_record(change, operation)
    update: dict[str, object] = {
        "primary": operation.target,
        "epoch": _highest_epoch(change, stored.value, name),
        "placement": move.placement,
        "hold": move.hold,
        "way_back_site": None,
        "way_back_until": None,
        "way_back_placement": None,
        "way_back_hold": "",
        "grants": (),
    }
    if component.way_back_site not in (None, operation.target):
        _end_older_way_back(change, stored.value, name)
    if operation.leave or operation.way_back_seconds <= 0:
        release_hold(change, component.hold, component.placement.site)
    else:
        until = change.now + timedelta(seconds=operation.way_back_seconds)
        update |= {
            "way_back_site": operation.source,
            "way_back_until": until,
            "way_back_placement": component.placement,
            "way_back_hold": component.hold,
        }
        due = DueRecord(what="way-back", due=until, application=stored.key, component=name)
        remember_due(change, due)
    value = _with_component(stored.value, name, component.model_copy(update=update))
    save_application(change, stored, _with_traffic(value, move))


def _move_record(change: Change, operation: Operation) -> MoveRecord:
    move = load(change.tx, "move", operation.operation, MoveRecord)
    if move is None:
        raise Permanent("move-unknown", f"{operation.operation} has no record of what it moves.")
    return move.value


def _with_traffic(record: ApplicationRecord, move: MoveRecord) -> ApplicationRecord:
    return record if move.traffic is None else record.model_copy(update={"traffic": move.traffic})


def _end_older_way_back(change: Change, record: ApplicationRecord, component: str) -> None:
    """A component keeps one way back: the newest."""
    placed = record.components[component]
    release_hold(change, placed.way_back_hold, placed.way_back_site or "")
    open_drop(change, record, component)


def open_drop(change: Change, record: ApplicationRecord, component: str) -> str:
    """An operation that ends the way back of a component; returns its id."""
    wanted, placed = record.application.components[component], record.components[component]
    operation = Operation(
        operation=f"op-{change.tx.next_number('operation')}",
        kind="drop",
        key=key_of(record.name, component),
        component_kind=wanted.kind,
        mandate=record.mandate_digest,
        source=placed.way_back_site,
        retrieval_seconds=wanted.retrieval_seconds,
        started_at=change.now,
    )
    save(change.tx, "operation", operation.operation, operation, state="open", expect=0)
    return operation.operation


def _address_settled(change: Change, stored: Stored[ApplicationRecord], operation: Operation) -> None:
    """An endpoint stands elsewhere, or an old address of it has ended."""
    record, component = stored.value, operation.key.component
    gone = operation.source if operation.kind == "drop" else operation.target
    kept = [
        each for each in record.kept_addresses if (each.component, each.placement.site) != (component, gone)
    ]
    if operation.kind == "move":
        endpoint, move = record.endpoints[component], _move_record(change, operation)
        if operation.way_back_seconds > 0:
            until = change.now + timedelta(seconds=operation.way_back_seconds)
            kept.append(KeptAddress(component=component, placement=endpoint.placement, until=until))
            due = DueRecord(
                what="address",
                due=until,
                application=record.name,
                component=component,
                id=endpoint.placement.site,
            )
            remember_due(change, due)
        moved = endpoint.model_copy(update={"placement": move.placement})
        record = record.model_copy(update={"endpoints": {**record.endpoints, component: moved}})
        record = _with_traffic(record, move)
    save_application(change, stored, record.model_copy(update={"kept_addresses": tuple(kept)}))


def open_address_drop(
    change: Change, record: ApplicationRecord, component: str, site: str, *, after: tuple[str, ...] = ()
) -> str:
    """An operation that ends an old address of a component's endpoint; returns its id."""
    operation = Operation(
        operation=f"op-{change.tx.next_number('operation')}",
        kind="drop",
        key=key_of(record.name, component),
        component_kind="endpoint",
        mandate=record.mandate_digest,
        after=after,
        source=site,
        started_at=change.now,
    )
    save(change.tx, "operation", operation.operation, operation, state="open", expect=0)
    return operation.operation


def remember_due(change: Change, due: DueRecord) -> None:
    """Wake the engine for this at its moment."""
    key = f"{due.due.isoformat()} {due.application} {due.component} {due.what} {due.id}"
    if change.tx.get("due", key) is None:
        save(change.tx, "due", key, due, expect=0)


def _move_aborted(change: Change, operation: Operation) -> None:
    move = load(change.tx, "move", operation.operation, MoveRecord)
    if move is not None and move.value.hold_is_new:
        release_hold(change, move.value.hold, move.value.placement.site)


def _dropped(change: Change, stored: Stored[ApplicationRecord], operation: Operation) -> None:
    name, component = _component_of(stored.value, operation)
    if component.way_back_site != operation.source:
        return
    release_hold(change, component.way_back_hold, component.way_back_site or "")
    update = {
        "way_back_site": None,
        "way_back_until": None,
        "way_back_placement": None,
        "way_back_hold": "",
    }
    now = component.model_copy(update=update)
    save_application(change, stored, _with_component(stored.value, name, now))


def _retired(change: Change, stored: Stored[ApplicationRecord], operation: Operation) -> None:
    name, component = _component_of(stored.value, operation)
    release_hold(change, component.hold, component.placement.site)
    release_hold(change, component.way_back_hold, component.way_back_site or "")
    gone = {"primary": None, "way_back_site": None, "way_back_hold": "", "hold": "", "grants": ()}
    now = component.model_copy(update=gone)
    stored = save_application(change, stored, _with_component(stored.value, name, now))
    if not _others_under_way(change, operation):
        _end(change, stored)


def _end(change: Change, stored: Stored[ApplicationRecord]) -> None:
    stored = replace(stored, value=stored.value.model_copy(update={"kept_addresses": ()}))
    for component in (*stored.value.components.values(), *stored.value.endpoints.values()):
        release_hold(change, component.hold, component.placement.site)
    ended = "declined" if stored.value.reason else "ended"
    save_application(change, stored, stored.value, ended)
    change.note("application-ended", f"application/{stored.key}/", reason=stored.value.reason)
