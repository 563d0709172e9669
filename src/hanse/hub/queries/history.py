"""What happened, from the ledger, newest first."""

from typing import Any

from hanse.hub.context import Hub
from hanse.hub.queries.status import OperationStatus, operation_status
from hanse.hub.records import load_operation
from hanse.hub.settlement import require_application, require_component
from hanse.hub.views import known_about
from hanse.model.shape import Moment, Shape, SiteId
from hanse.ports import Permanent

HISTORY_MAX = 1000
NO_PIECES = "No site reports a failure. Sites send a program's last lines only when it fails."


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


class LogPiece(Shape):
    """What a site sent of a component's own words with a failure."""

    site: SiteId
    at: Moment
    code: str
    message: str
    text: str
    """Last lines; sites send them only with a failure."""


class Logs(Shape):
    """Pieces, newest first."""

    application: str
    component: str
    pieces: tuple[LogPiece, ...]
    says: str


def logs_of(hub: Hub, name: str, component: str) -> Logs:
    """The last words of a component. Raises Permanent(`application-unknown`, `component-unknown`)."""
    with hub.look() as tx:
        placed = require_component(require_application(tx, name), component)
        known = known_about(tx, f"replica/{placed.key}")
    spoken = [each.observed for each in known.values() if each.observed and each.observed.failure]
    pieces = [
        LogPiece(
            site=each.site,
            at=each.at,
            code=each.failure.code,
            message=each.failure.message,
            text=each.failure.detail,
        )
        for each in sorted(spoken, key=lambda each: each.at, reverse=True)
        if each.failure is not None
    ]
    says = "" if pieces else NO_PIECES
    return Logs(application=name, component=component, pieces=tuple(pieces), says=says)


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
