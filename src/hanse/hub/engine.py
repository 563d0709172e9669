"""The engine: load, decide, guarded apply. Nothing is remembered outside the store.

`tick` does one round over everything that is not finished; a kill at any moment loses nothing,
because the next round looks again. Deciding twice gives the same orders, and an order that is
already in force is not issued again.
"""

import logging
import threading
import time
from collections.abc import Callable

from hanse.hub.context import Change, Hub
from hanse.hub.due import do_due, forget_old_replies
from hanse.hub.purchase import decide, hold_order
from hanse.hub.records import (
    ApplicationRecord,
    DueRecord,
    OrderRecord,
    Stored,
    load,
    load_all,
    load_operation,
    save,
)
from hanse.hub.settlement import NEEDS, save_application, settle
from hanse.hub.views import known_about, view_of
from hanse.model.replica.observation import Declined, HoldState
from hanse.model.replica.operation import Operation
from hanse.ports import Transaction
from hanse.replicas.step import Aborted, Step, step

log = logging.getLogger("hanse.hub")
TICK_SECONDS = 1.0
HOUSEKEEPING_SECONDS = 3600.0
COMPLAIN_AGAIN_SECONDS = 60.0
OnFault = Callable[[str, Exception], None]


def raise_fault(_what: str, fault: Exception) -> None:
    """A fault ends the round: right for simulations and tests."""
    raise fault


def tick(hub: Hub, on_fault: OnFault = raise_fault) -> bool:
    """One round over open orders, operations and moments that are due. True if anything changed.

    `on_fault(what, exception)` is called for each part that failed; the others go on.
    """
    with hub.look() as tx:
        orders = [row.key for state in ("holding", "accepting") for row in tx.select("order", state=state)]
        operations = [row.key for state in ("open", "stuck") for row in tx.select("operation", state=state)]
        now = hub.clock.now()
        due = [stored for stored in load_all(tx, "due", DueRecord) if stored.value.due <= now]
    changed = False
    for work, keys in (
        (advance_order, orders),
        (advance_operation, operations),
        (do_due, [stored.key for stored in due]),
    ):
        for key in keys:
            try:
                changed |= work(hub, key)
            except Exception as fault:  # noqa: BLE001 - one part's fault must not stop the others
                on_fault(key, fault)
    return changed


def run_until_quiet(hub: Hub, on_fault: OnFault = raise_fault, rounds: int = 1000) -> bool:
    """Rounds until nothing changes any more. True if anything did."""
    for done in range(rounds):
        if not tick(hub, on_fault):
            return done > 0
    raise RuntimeError("the engine finds no rest: a step changes its mind in every round")


def advance_order(hub: Hub, order_id: str) -> bool:
    """Ask, confirm or release the holds of an order. True if it went on."""
    with hub.look() as tx:
        if _next_of_order(hub, tx, order_id) is None:
            return False
    with hub.change() as change:
        found = _next_of_order(hub, change.tx, order_id)
        if found is None:
            change.note("order-confirmed", f"order/{order_id}/", state="unchanged")
            return False
        stored, state, reason = found
        order = stored.value.model_copy(update={"reason": reason})
        save(change.tx, "order", order_id, order, state=state, expect=stored.version)
        kind = {"accepting": "order-confirmed", "accepted": "order-accepted"}.get(state, "order-refused")
        change.note(kind, f"application/{order.application}/order/{order_id}", reason=reason)
        if state == "accepted":
            _set_operations(change, order, "open", "")
        else:
            for hold in order.holds:
                change.order(
                    hold.site, hold_order(order, hold, "accepted" if state == "accepting" else "released")
                )
        if state == "refused":
            _refuse(change, order)
    return True


def _next_of_order(hub: Hub, tx: Transaction, order_id: str) -> tuple[Stored[OrderRecord], str, str] | None:
    stored = load(tx, "order", order_id, OrderRecord)
    if stored is None or stored.state not in ("holding", "accepting"):
        return None
    heard = {hold.hold: _heard(tx, hold.hold, hold.site) for hold in stored.value.holds}
    purchase = decide(stored.value, stored.state, heard, hub.clock.now())
    return None if purchase.state == stored.state else (stored, purchase.state, purchase.reason)


def _heard(tx: Transaction, hold: str, site: str) -> HoldState | None:
    known = known_about(tx, f"hold/{hold}").get(site)
    if known is None or not known.told().is_answered:
        return None
    if known.state(Declined) is not None:
        failure = known.observed.failure if known.observed else None
        return HoldState(state="declined", reason=failure.message if failure else "")
    return known.state(HoldState)


def _set_operations(change: Change, order: OrderRecord, state: str, reason: str) -> None:
    for name in order.operations:
        operation = load_operation(change.tx, name)
        if operation is None or operation.state != "ordering":
            continue
        value = operation.value
        if state == "aborted":
            value = value.model_copy(
                update={"state": "aborted", "phase": "aborted", "reason": reason, "ended_at": change.now}
            )
        save(change.tx, "operation", name, value, state=state, expect=operation.version)


def _refuse(change: Change, order: OrderRecord) -> None:
    _set_operations(change, order, "aborted", order.reason)
    application = load(change.tx, "application", order.application, ApplicationRecord)
    if application is not None and application.value.order == order.id and application.state == "ordering":
        value = application.value.model_copy(update={"reason": order.reason})
        save_application(change, application, value, "declined")


def advance_operation(hub: Hub, operation_id: str) -> bool:
    """One step of one operation, if there is one to do. True if anything was stored."""
    with hub.look() as tx:
        if _next_step(hub, tx, operation_id) is None:
            return False
    with hub.change() as change:
        found = _next_step(hub, change.tx, operation_id)
        if found is None:
            change.note("operation-advanced", f"operation/{operation_id}/", phase="unchanged")
            return False
        stored, decided = found
        operation = decided.operation
        save(change.tx, "operation", operation_id, operation, state=operation.state, expect=stored.version)
        for site, order in decided.orders:
            change.order(site, order)
        _note_step(change, stored.value, operation)
        if operation.state in ("done", "aborted"):
            settle(change, operation)
    return True


def _next_step(hub: Hub, tx: Transaction, operation_id: str) -> tuple[Stored[Operation], Step] | None:
    """The step that would change something; None where there is nothing to do."""
    stored = load_operation(tx, operation_id)
    if stored is None or stored.state not in ("open", "stuck"):
        return None
    ready, lost = _after(tx, stored.value)
    unwanted = stored.value.abort_wanted and not ready
    if lost or unwanted:
        reason = f"{NEEDS}{lost}, which was aborted; not begun" if lost else "abort was asked for; not begun"
        update = {"state": "aborted", "phase": "aborted", "reason": reason, "ended_at": hub.clock.now()}
        return stored, Step(stored.value.model_copy(update=update), (), Aborted(reason))
    application = load(tx, "application", stored.value.key.application, ApplicationRecord)
    if not ready or application is None:
        return None
    decided = step(stored.value, view_of(tx, application.value, stored.value), hub.clock.now())
    return None if decided.operation == stored.value and not decided.orders else (stored, decided)


def _after(tx: Transaction, operation: Operation) -> tuple[bool, str]:
    """Whether everything that goes before is done; and which of it was aborted."""
    ready = True
    for name in operation.after:
        before = load_operation(tx, name)
        if before is not None and before.state == "aborted":
            return False, name
        ready = ready and before is not None and before.state == "done"
    return ready, ""


def _note_step(change: Change, before: Operation, after: Operation) -> None:
    key = after.key
    change.note(
        "operation-advanced",
        f"application/{key.application}/operation/{after.operation}",
        kind=after.kind,
        component=key.component,
        source=after.source,
        target=after.target,
        before=before.phase,
        phase=after.phase,
        state=after.state,
        reason=after.reason,
    )


class EngineThread(threading.Thread):
    """Runs the engine whenever the bell rings, and every second."""

    def __init__(self, hub: Hub, bell: threading.Event) -> None:
        super().__init__(name="hanse-engine", daemon=True)
        self._hub = hub
        self._bell = bell
        self._ending = False
        self._complained: dict[str, float] = {}

    def run(self) -> None:
        """Until `end`."""
        housekeeping = 0.0
        while not self._ending:
            self._bell.wait(TICK_SECONDS)
            self._bell.clear()
            try:
                run_until_quiet(self._hub, self._complain)
                if time.monotonic() >= housekeeping:
                    housekeeping = time.monotonic() + HOUSEKEEPING_SECONDS
                    forget_old_replies(self._hub)
            except Exception as fault:  # noqa: BLE001 - the hub goes on; the next round looks again
                self._complain("engine", fault)

    def end(self) -> None:
        """Finish the round that runs."""
        self._ending = True
        self._bell.set()
        self.join(timeout=10)

    def _complain(self, what: str, fault: Exception) -> None:
        text, now = f"{what}: {fault!r}", time.monotonic()
        if now - self._complained.get(text, -COMPLAIN_AGAIN_SECONDS) >= COMPLAIN_AGAIN_SECONDS:
            self._complained[text] = now
            log.error("the engine met a fault and goes on: %s", what, exc_info=fault)
