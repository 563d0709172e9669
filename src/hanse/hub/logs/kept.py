"""What sites sent of a component's own words with a failure: all that is left once nothing of it runs."""

from collections.abc import Iterator

from hanse.hub.context import Hub
from hanse.hub.logs.live import GONE, why_gone
from hanse.hub.records import ApplicationRecord, Stored, load_all
from hanse.hub.settlement import require_application, require_component
from hanse.hub.spec import key_of
from hanse.hub.views import known_about
from hanse.model.replica.operation import Operation
from hanse.model.shape import Moment, Shape, SiteId
from hanse.ports import Transaction

NO_PIECES = "No site reports a failure."


class LogPiece(Shape):
    """A failure of a component, with what its program wrote last."""

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
    live: bool
    """False: nothing of the application runs, so no site can be asked."""
    pieces: tuple[LogPiece, ...]
    says: str


def logs_of(hub: Hub, name: str, component: str) -> Logs:
    """The last words of a component. Raises Permanent(`application-unknown`, `component-unknown`)."""
    with hub.look() as tx:
        stored = require_application(tx, name)
        require_component(stored, component)
        live = stored.state not in GONE
        pieces = list(_reported(tx, name, component) if live else _remembered(tx, stored, component))
    pieces.sort(key=lambda each: each.at, reverse=True)
    says = ("" if pieces else NO_PIECES) if live else why_gone(stored)
    return Logs(application=name, component=component, live=live, pieces=tuple(pieces), says=says)


def _reported(tx: Transaction, name: str, component: str) -> Iterator[LogPiece]:
    """Failures that stand now."""
    for known in known_about(tx, f"replica/{key_of(name, component)}").values():
        seen = known.observed
        if seen is not None and seen.failure is not None:
            failure = seen.failure
            yield LogPiece(
                site=seen.site, at=seen.at, code=failure.code, message=failure.message, text=failure.detail
            )


def _remembered(tx: Transaction, stored: Stored[ApplicationRecord], component: str) -> Iterator[LogPiece]:
    """Failures that ended operations of this purchase; the newest operation of a site speaks for it."""
    for found in load_all(tx, "operation", Operation):
        operation, failure = found.value, found.value.failure
        site = operation.target or operation.source
        ours = (
            operation.key == key_of(stored.key, component) and operation.started_at >= stored.value.applied_at
        )
        if ours and failure is not None and site is not None:
            at = operation.ended_at or operation.started_at
            yield LogPiece(site=site, at=at, code=failure.code, message=failure.message, text=failure.detail)
