"""Connections: `hanse connect` gets a grant of its own at the primary, which expires."""

from datetime import timedelta

from pydantic import Field

from hanse.hub.context import Hub
from hanse.hub.due import close_connection
from hanse.hub.records import (
    ApplicationRecord,
    ConnectionRecord,
    DueRecord,
    OrderedRecord,
    load,
    pair_key,
    save,
)
from hanse.hub.settlement import remember_due, require_application, require_component
from hanse.hub.spec import key_of, spec_of
from hanse.hub.views import component_view, known_about
from hanse.model.replica.observation import Failure, ReplicaState
from hanse.model.replica.order import ReplicaOrder
from hanse.model.replica.spec import BucketSpec, Grant, PostgresSpec, ReplicaSpec, Stream
from hanse.model.shape import Moment, Shape, SiteId
from hanse.ports import Permanent, Transaction
from hanse.trust.keys import public_sealing_key, thumbprint_of_pem

CONNECTION_HOURS = 8


class ConnectionRequest(Shape):
    """What the CLI made for this one connection."""

    certificate_pem: str = Field(max_length=65536)
    sealing_key: str = Field(max_length=4096)


class Connection(Shape):
    """Where to connect, once the site has let this certificate in."""

    id: str
    application: str
    component: str
    kind: str
    ready: bool
    why: str = ""
    """Why it is not ready."""
    site: str
    stream: Stream | None = None
    sealed_credential: str = ""
    """JWE for the sealing key; empty for kinds without credentials."""
    bucket: str = ""
    region: str = ""
    databases: tuple[str, ...] = ()
    """Of a postgres; the credential is for the first one and is good for all."""
    expires_at: Moment
    failure: Failure | None = None


def connect(hub: Hub, name: str, component: str, request: ConnectionRequest) -> Connection:
    """Add an expiring grant to the primary's order.

    Raises Permanent(`application-unknown`, `component-unknown`, `application-not-running`,
    `key-unreadable`).
    """
    thumbprint_of_pem(request.certificate_pem)
    with hub.change() as change:
        stored = require_application(change.tx, name)
        placed = require_component(stored, component)
        key = key_of(name, component)
        primary = _primary_of(change.tx, stored.value, component)
        ordered = load(change.tx, "ordered", pair_key(f"replica/{key}", primary or ""), OrderedRecord)
        order = ordered.value.order if ordered else None
        if primary is None or not isinstance(order, ReplicaOrder):
            raise Permanent(
                "application-not-running",
                f"{name}/{component} does not serve anywhere now; nothing to connect to.",
            )
        number = change.tx.next_number("connection")
        grant = Grant(
            name=f"connect:{number}",
            access="write",
            certificate_pem=request.certificate_pem,
            sealing_key=public_sealing_key(request.sealing_key),
            expires_at=change.now + timedelta(hours=CONNECTION_HOURS),
        )
        record = ConnectionRecord(id=f"c-{number}", application=name, component=component, grant=grant)
        save(change.tx, "connection", record.id, record, expect=0)
        grants = tuple(sorted((*order.grants, grant), key=lambda each: each.name))
        change.order(primary, order.model_copy(update={"grants": grants}))
        due = DueRecord(
            what="connection",
            due=grant.expires_at or change.now,
            application=name,
            component=component,
            id=record.id,
        )
        remember_due(change, due)
        change.note("connection-opened", f"application/{name}/connection/{record.id}", component=component)
        connection = Connection(
            id=record.id,
            application=name,
            component=component,
            kind=placed.placement.kind,
            ready=False,
            why=f"{primary} was just asked to let you in",
            site=primary,
            expires_at=due.due,
        )
        change.answer(connection)
    return connection


def find_connection(hub: Hub, name: str, component: str, connection: str) -> Connection:
    """How a connection stands. Raises Permanent(`connection-unknown`, …)."""
    with hub.look() as tx:
        stored = require_application(tx, name)
        placed = require_component(stored, component)
        record = load(tx, "connection", connection, ConnectionRecord)
        if record is None or (record.value.application, record.value.component) != (name, component):
            raise unknown_connection(connection)
        known = known_about(tx, f"replica/{key_of(name, component)}")
        site = _primary_of(tx, stored.value, component) or placed.placement.site
    grant, at_site = record.value.grant, known.get(site)
    state = at_site.state(ReplicaState) if at_site else None
    failure = at_site.observed.failure if at_site and at_site.observed else None
    sealed = state.sealed_credentials.get(grant.name, "") if state else ""
    spec = spec_of(stored.value.application, component)
    answered = at_site is not None and at_site.told().is_answered
    why = _why_not(site, state if answered else None, spec, sealed)
    return Connection(
        id=connection,
        application=name,
        component=component,
        kind=placed.placement.kind,
        ready=not why,
        why=why,
        site=site,
        stream=state.clients if state else None,
        sealed_credential=sealed,
        bucket=spec.bucket if isinstance(spec, BucketSpec) else "",
        region="us-east-1" if isinstance(spec, BucketSpec) else "",
        databases=spec.databases if isinstance(spec, PostgresSpec) else (),
        expires_at=grant.expires_at or stored.value.changed_at,
        failure=failure,
    )


def disconnect(hub: Hub, name: str, component: str, connection: str) -> Connection:
    """Take the grant back now. Raises Permanent(`connection-unknown`)."""
    found = find_connection(hub, name, component, connection)
    with hub.change() as change:
        if change.tx.get("connection", connection) is None:
            raise unknown_connection(connection)
        close_connection(change, connection, asked=True)
    return found.model_copy(update={"ready": False, "why": "closed", "sealed_credential": ""})


def unknown_connection(connection: str) -> Permanent:
    """Never opened, closed, or expired."""
    return Permanent(
        "connection-unknown", f"There is no connection {connection} here, or it has ended. Connect again."
    )


def _primary_of(tx: Transaction, record: ApplicationRecord, component: str) -> SiteId | None:
    """Where the highest epoch is ordered to serve: during a move it is ahead of the settled record."""
    if record.components[component].primary is None:
        return None
    return component_view(tx, record, component).primary_site()


def _why_not(site: str, state: ReplicaState | None, spec: ReplicaSpec, sealed: str) -> str:
    if state is None:
        return f"{site} has not answered yet"
    if state.clients is None:
        return f"{site} offers no way in for clients"
    if isinstance(spec, BucketSpec | PostgresSpec) and not sealed:
        return f"{site} has not made a credential yet"
    return ""
