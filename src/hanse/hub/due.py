"""What comes due by the clock: ways back and old addresses that end, connections that expire."""

from datetime import timedelta

from hanse.hub.context import Change, Hub
from hanse.hub.records import (
    ApplicationRecord,
    ConnectionRecord,
    DueRecord,
    OrderedRecord,
    ReplyRecord,
    load,
    load_all,
)
from hanse.hub.settlement import open_address_drop, open_drop, operations_under_way, remember_due
from hanse.hub.spec import key_of
from hanse.model.replica.order import ReplicaOrder

REPLY_HOURS = 24.0
BUSY_SECONDS = 30
"""A way back whose component is busy is looked at again after so long."""


def do_due(hub: Hub, key: str) -> bool:
    """Do one thing that is due, once. True."""
    with hub.change() as change:
        stored = load(change.tx, "due", key, DueRecord)
        if stored is None:
            change.note("due-done", "due/", key=key, done=False)
            return False
        due = stored.value
        change.tx.delete("due", key, expect=stored.version)
        subject = f"application/{due.application}/component/{due.component}"
        change.note("due-done", subject, what=due.what, done=True)
        match due.what:
            case "connection":
                close_connection(change, due.id)
            case "address":
                _end_address(change, due)
            case "way-back":
                _end_way_back(change, due)
    return True


def close_connection(change: Change, connection: str, *, asked: bool = False) -> None:
    """Take the grant of a connection back everywhere it stands: it is over, or somebody asked."""
    stored = load(change.tx, "connection", connection, ConnectionRecord)
    if stored is None:
        return
    key = key_of(stored.value.application, stored.value.component)
    for ordered in load_all(change.tx, "ordered", OrderedRecord, prefix=f"replica/{key} "):
        order = ordered.value.order
        if isinstance(order, ReplicaOrder):
            left = tuple(grant for grant in order.grants if grant.name != stored.value.grant.name)
            if left != order.grants:
                change.order(ordered.value.site, order.model_copy(update={"grants": left}))
    change.tx.delete("connection", connection, expect=stored.version)
    subject = f"application/{stored.value.application}/connection/{connection}"
    change.note("connection-closed", subject, component=stored.value.component, asked=asked)


def _end_way_back(change: Change, due: DueRecord) -> None:
    """Open a drop operation, unless the way back was used or prolonged since."""
    stored = load(change.tx, "application", due.application, ApplicationRecord)
    component = stored.value.components.get(due.component) if stored else None
    if stored is None or component is None or stored.state != "running":
        return
    if component.way_back_until is None or component.way_back_until > change.now:
        return
    if not _put_off(change, due):
        open_drop(change, stored.value, due.component)


def _end_address(change: Change, due: DueRecord) -> None:
    """Open a drop operation for an old address, unless it is in use again or was prolonged since."""
    stored = load(change.tx, "application", due.application, ApplicationRecord)
    if stored is None or stored.state != "running":
        return
    kept = [each for each in stored.value.kept_addresses if each.component == due.component]
    if not any(each.placement.site == due.id and each.until <= change.now for each in kept):
        return
    if not _put_off(change, due):
        open_address_drop(change, stored.value, due.component, due.id)


def _put_off(change: Change, due: DueRecord) -> bool:
    """True where the component is busy: it is looked at again a little later."""
    busy = operations_under_way(change.tx, due.application)
    if not any(other.value.key.component == due.component for other in busy):
        return False
    later = change.now + timedelta(seconds=BUSY_SECONDS)
    remember_due(change, due.model_copy(update={"due": later}))
    return True


def forget_old_replies(hub: Hub) -> int:
    """Drop kept answers that are older than a day; returns how many."""
    with hub.change() as change:
        old = [
            stored
            for stored in load_all(change.tx, "reply", ReplyRecord)
            if change.now - stored.value.at > timedelta(hours=REPLY_HOURS)
        ]
        for stored in old:
            change.tx.delete("reply", stored.key, expect=stored.version)
        change.note("replies-dropped", "reply/", count=len(old))
    return len(old)
