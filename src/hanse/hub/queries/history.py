"""What happened, from the ledger, newest first."""

from typing import Any

from hanse.hub.context import Hub
from hanse.hub.queries.status import OperationStatus, operation_status
from hanse.hub.records import load_operation
from hanse.model.shape import Moment, Shape
from hanse.ports import Permanent

HISTORY_MAX = 1000


class HistoryEntry(Shape):
    """One ledger entry."""

    id: int
    at: Moment
    kind: str
    subject: str
    payload: dict[str, Any]


class History(Shape):
    """Entries of one application, newest first."""

    application: str
    entries: tuple[HistoryEntry, ...]


def history_of(hub: Hub, name: str, limit: int = 200) -> History:
    """Entries about an application, also one that ended. Raises Permanent(`application-unknown`)."""
    with hub.look() as tx:
        found = tx.entries(f"application/{name}/", limit=min(limit, HISTORY_MAX))
    if not found:
        raise Permanent("application-unknown", f"Nothing ever happened to an application {name} here.")
    return History(application=name, entries=tuple(HistoryEntry.model_validate(entry) for entry in found))


def find_operation(hub: Hub, name: str) -> OperationStatus:
    """One operation. Raises Permanent(`operation-unknown`)."""
    with hub.look() as tx:
        stored = load_operation(tx, name)
        if stored is None:
            raise Permanent(
                "operation-unknown", f"There is no operation {name} here. `hanse status APP` lists them."
            )
        return operation_status(tx, stored)
