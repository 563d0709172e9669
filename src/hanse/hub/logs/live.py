"""Live logs: a site is asked for the last lines of a component, and seals them for the one who reads."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from pydantic import Field

from hanse.hub.context import Hub
from hanse.hub.records import ApplicationRecord, OrderedRecord, Stored, load, pair_key
from hanse.hub.settlement import require_application, require_component
from hanse.hub.spec import key_of
from hanse.hub.views import Known, component_view, known_about
from hanse.model.replica.observation import Failure, LogsState
from hanse.model.replica.order import LogReader, LogsOrder
from hanse.model.replica.role import ReplicaKey
from hanse.model.shape import Moment, Shape, SiteId
from hanse.ports import Permanent, Transaction
from hanse.trust.keys import public_sealing_key

ONCE_SECONDS = 60
FOLLOW_SECONDS = 3600
"""Whoever reads on asks again."""
READERS_MAX = 16
GONE = ("declined", "ended")
"""States of an application of which nothing runs."""


class LogsRequest(Shape):
    """Who wants to read what."""

    sealing_key: str = Field(max_length=4096)
    """X25519 public key of the reader, a JWK as JSON text."""
    lines: int = Field(default=100, ge=1, le=10_000)
    follows: bool = False
    """Told anew whenever there is something new, for an hour."""


class Reading(Shape):
    """How a reading stands. Only the reader's key opens `sealed`."""

    id: str
    application: str
    component: str
    site: SiteId
    ready: bool
    sealed: str = ""
    """JWE over the last lines, at most 48 KiB of UTF-8."""
    moved: bool = False
    """The component is served elsewhere by now: ask again."""
    why: str = ""
    """Why it is not ready."""
    expires_at: Moment
    failure: Failure | None = None


def read_live(hub: Hub, name: str, component: str, request: LogsRequest) -> Reading:
    """Ask the site where the component is served, or should be.

    Raises Permanent(`application-unknown`, `component-unknown`, `application-not-running`,
    `too-many-readers`, `key-unreadable`).
    """
    with hub.change() as change:
        stored = require_application(change.tx, name)
        require_component(stored, component)
        if stored.state in GONE:
            raise Permanent("application-not-running", why_gone(stored))
        key, site = key_of(name, component), _site_of(change.tx, stored.value, component)
        readers = _readers(_ordered(change.tx, key, site), change.now)
        if len(readers) >= READERS_MAX:
            raise Permanent(
                "too-many-readers",
                f"{READERS_MAX} readers follow {name}/{component} already. End one of them, then try again.",
            )
        seconds = FOLLOW_SECONDS if request.follows else ONCE_SECONDS
        reader = LogReader(
            reader=f"reading-{change.tx.next_number('reading')}",
            sealing_key=public_sealing_key(request.sealing_key),
            lines=request.lines,
            follows=request.follows,
            expires_at=change.now + timedelta(seconds=seconds),
        )
        change.order(site, LogsOrder(key=key, readers=(*readers, reader)))
        change.note("logs-asked", f"application/{name}/", component=component, site=site, lines=request.lines)
        reading = Reading(
            id=reader.reader,
            application=name,
            component=component,
            site=site,
            ready=False,
            why=f"{site} was just asked",
            expires_at=reader.expires_at,
        )
        change.answer(reading)
    return reading


def find_reading(hub: Hub, name: str, component: str, reading: str) -> Reading:
    """What the site has told this reader. Raises Permanent(`reading-unknown`, …)."""
    with hub.look() as tx:
        stored = require_application(tx, name)
        require_component(stored, component)
        site, reader, known = _find(tx, key_of(name, component), reading)
        current = _site_of(tx, stored.value, component)
    state = known.state(LogsState)
    sealed = state.sealed.get(reading, "") if state else ""
    failure = known.observed.failure if known.observed and known.told().is_answered else None
    return Reading(
        id=reading,
        application=name,
        component=component,
        site=site,
        ready=bool(sealed),
        sealed=sealed,
        moved=current != site or stored.state in GONE,
        why="" if sealed else f"{site} has not answered yet",
        expires_at=reader.expires_at,
        failure=failure,
    )


def end_reading(hub: Hub, name: str, component: str, reading: str) -> Reading:
    """The site tells this reader no more. Raises Permanent(`reading-unknown`, …)."""
    found = find_reading(hub, name, component, reading)
    key = key_of(name, component)
    with hub.change() as change:
        others = _readers(_ordered(change.tx, key, found.site), change.now, without=reading)
        change.order(found.site, LogsOrder(key=key, readers=others))
        change.note("logs-ended", f"application/{name}/", component=component, site=found.site)
    return found.model_copy(update={"ready": False, "sealed": "", "why": "ended"})


def why_gone(stored: Stored[ApplicationRecord]) -> str:
    """Why nothing of an application runs that was declined, or has ended."""
    if stored.state == "declined":
        return f"{stored.key} was not bought, so nothing of it runs: {stored.value.reason}"
    return f"{stored.key} has ended, so nothing of it runs, and what its programs wrote went with them."


def _site_of(tx: Transaction, record: ApplicationRecord, component: str) -> SiteId:
    """Where the highest epoch is ordered to serve; before that, where it was bought."""
    placed = record.components[component]
    return component_view(tx, record, component).primary_site() or placed.primary or placed.placement.site


def _ordered(tx: Transaction, key: ReplicaKey, site: str) -> LogsOrder | None:
    stored = load(tx, "ordered", pair_key(f"logs/{key}", site), OrderedRecord)
    order = stored.value.order if stored else None
    return order if isinstance(order, LogsOrder) else None


def _readers(order: LogsOrder | None, now: datetime, without: str = "") -> tuple[LogReader, ...]:
    readers: Iterable[LogReader] = order.readers if order else ()
    return tuple(each for each in readers if each.expires_at > now and each.reader != without)


def _find(tx: Transaction, key: ReplicaKey, reading: str) -> tuple[SiteId, LogReader, Known]:
    for site, known in known_about(tx, f"logs/{key}").items():
        order = known.ordered.order if known.ordered else None
        for reader in order.readers if isinstance(order, LogsOrder) else ():
            if reader.reader == reading:
                return site, reader, known
    raise Permanent("reading-unknown", f"Nobody reads as {reading} here, or not any more. Ask again.")
