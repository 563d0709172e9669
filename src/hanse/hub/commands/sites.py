"""Sites: invite, enrol, leave, be removed."""

import hashlib
import re
from datetime import datetime, timedelta

from pydantic import Field

from hanse.hub.context import Change, Hub
from hanse.hub.membership import require_site, spread_membership
from hanse.hub.records import (
    ApplicationRecord,
    InvitationRecord,
    OrderedRecord,
    SiteRecord,
    Stored,
    load,
    load_all,
    save,
)
from hanse.model.replica.order import ReplicaOrder
from hanse.model.replica.role import ReplicaRole
from hanse.model.shape import Moment, Shape, SiteId
from hanse.ports import Permanent
from hanse.trust.invitation import Invitation
from hanse.trust.keys import public_sealing_key, thumbprint_of_pem

INVITATION_HOURS = 24.0
_SITE = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}/[A-Za-z0-9][\w.-]{0,62}")


class Invited(Shape):
    """A token for one site, used once."""

    site: SiteId
    token: str
    expires_at: Moment


class Enrolment(Shape):
    """What a site sends to join: the token, and what others must know of its own keys."""

    token: str = Field(max_length=4096)
    """The whole token, or the secret in it."""
    site: SiteId
    self_certificate_pem: str = Field(max_length=65536)
    sealing_key: str = Field(max_length=4096)
    """X25519 public key, a JWK as JSON text."""


class Enrolled(Shape):
    """What a joined site keeps."""

    site: SiteId
    certificate_pem: str
    """By the hub's authority over the site's key: the way in, nothing more."""
    hub_certificate_pem: str
    """The hub's own: instructions are verified by this key."""
    hub_thumbprint: str
    authority_pem: str


class Certified(Shape):
    """A site's next way in."""

    site: SiteId
    certificate_pem: str


class Departed(Shape):
    """The site is no longer joined."""

    site: SiteId


def invite(hub: Hub, site: str, hours: float = INVITATION_HOURS, *, again: bool = False) -> Invited:
    """A single-use token for a site. Raises Permanent(`site-malformed`, `site-joined`).

    `again`: for a joined site whose transport certificate has ended; only its own key can use it.
    """
    if not _SITE.fullmatch(site):
        raise Permanent(
            "site-malformed", f"{site!r} is no site: write provider/site, for example `hetzner/fsn1`."
        )
    secret = hub.random.token(24)
    with hub.change() as change:
        joined = load(change.tx, "site", site, SiteRecord)
        if joined is not None and joined.state == "joined" and not again:
            raise _joined(site)
        record = InvitationRecord(site=site, expires_at=change.now + timedelta(hours=hours))
        save(change.tx, "invitation", _digest(secret), record, state="open", expect=0)
        change.note("site-invited", f"site/{site}/", expires_at=record.expires_at.isoformat())
        token = Invitation(hub.url, hub.signer.thumbprint, secret).encode()
        invited = Invited(site=site, token=token, expires_at=record.expires_at)
        change.answer(invited)
    return invited


def enrol(hub: Hub, request: Enrolment) -> Enrolled:
    """Join a site by its token.

    Raises Permanent(`token-unknown`, `token-used`, `token-expired`, `token-for-another-site`,
    `key-unreadable`, `key-in-use`, `site-joined`). The same key may repeat a lost request.
    """
    secret = Invitation.decode(request.token).secret if request.token.startswith("hanse1.") else request.token
    thumbprint = thumbprint_of_pem(request.self_certificate_pem)
    with hub.change() as change:
        invitation = load(change.tx, "invitation", _digest(secret), InvitationRecord)
        _check_invitation(invitation, request.site, thumbprint, change.now)
        if invitation is not None and invitation.state == "open":
            used = invitation.value.model_copy(update={"used_by": thumbprint})
            save(change.tx, "invitation", invitation.key, used, state="used", expect=invitation.version)
            _join(change, request, thumbprint)
        certificate = hub.authority.certify(request.site, request.self_certificate_pem, change.now)
        change.note("site-enrolled", f"site/{request.site}/", thumbprint=thumbprint)
    return Enrolled(
        site=request.site,
        certificate_pem=certificate,
        hub_certificate_pem=hub.certificate_pem,
        hub_thumbprint=hub.signer.thumbprint,
        authority_pem=hub.authority_pem,
    )


def certify(hub: Hub, site: str) -> Certified:
    """A new transport certificate over the key by which a site joined. Raises Permanent(`site-unknown`)."""
    with hub.change() as change:
        known = require_site(change.tx, site).value
        certificate = hub.authority.certify(site, known.certificate_pem, change.now)
        change.note("site-certified", f"site/{site}/", thumbprint=known.thumbprint)
    return Certified(site=site, certificate_pem=certificate)


def leave(hub: Hub, site: str) -> Departed:
    """A site ends its membership. Raises Permanent(`site-busy`) while anything stands there."""
    with hub.change() as change:
        stored = require_site(change.tx, site)
        work = sorted(_work_at(change, site))
        if work:
            raise Permanent(
                "site-busy",
                f"{site} still carries {', '.join(work)}, so it cannot leave. "
                "Move or retire that first: `hanse move APP --away-from PROVIDER` or `hanse retire APP`.",
            )
        _end_membership(change, stored, asked_by="site")
    return Departed(site=site)


def remove(hub: Hub, site: str) -> Departed:
    """The hub's operator ends the membership of a site that is dead or lost, so that it can be invited anew.

    The site is not asked. Raises Permanent(`site-unknown`), Permanent(`site-busy`) while anything
    but an absent replica is ordered there.
    """
    with hub.change() as change:
        stored = require_site(change.tx, site)
        work = sorted(_work_at(change, site) | _replicas_at(change, site))
        if work:
            raise Permanent(
                "site-busy",
                f"{site} still carries {', '.join(work)}, so it cannot be removed. "
                "Move or retire that first: `hanse move APP --away-from PROVIDER` or "
                "`hanse retire APP --erase-now`.",
            )
        _end_membership(change, stored, asked_by="hub")
        departed = Departed(site=site)
        change.answer(departed)
    return departed


def _end_membership(change: Change, stored: Stored[SiteRecord], *, asked_by: str) -> None:
    site = stored.key
    gone = stored.value.model_copy(update={"left_at": change.now})
    save(change.tx, "site", site, gone, state="left", expect=stored.version)
    for record in change.tx.select("observed"):
        if record.key.endswith(f" {site}"):
            change.tx.delete("observed", record.key, expect=record.version)
    change.note("site-left", f"site/{site}/", asked_by=asked_by)
    spread_membership(change)


def _check_invitation(
    invitation: Stored[InvitationRecord] | None, site: str, thumbprint: str, now: datetime
) -> None:
    if invitation is None:
        raise _token("token-unknown", "This hub never gave out this join token, so nobody joined")
    value = invitation.value
    if value.site != site:
        raise _token(
            "token-for-another-site", f"This token is for {value.site}, and the site calls itself {site}"
        )
    if invitation.state == "used" and value.used_by != thumbprint:
        raise _token("token-used", f"The token for {site} was already used by another key")
    if now > value.expires_at:
        raise _token(
            "token-expired", f"The token for {site} expired at {value.expires_at:%Y-%m-%d %H:%M} UTC"
        )


def _token(code: str, what: str) -> Permanent:
    return Permanent(code, f"{what}. Ask the hub's operator for a new one: `hanse invite PROVIDER/SITE`.")


def _joined(site: str) -> Permanent:
    return Permanent(
        "site-joined",
        f"{site} has already joined. To join it anew, let it leave first (`hanse site leave`); "
        f"if it is dead or lost: `hanse remove-site {site}`. If only its certificate has ended: "
        f"`hanse invite {site} --again`.",
    )


def _join(change: Change, request: Enrolment, thumbprint: str) -> None:
    old = load(change.tx, "site", request.site, SiteRecord)
    if old is not None and old.state == "joined":
        if old.value.thumbprint == thumbprint:
            return
        raise _joined(request.site)
    for other in load_all(change.tx, "site", SiteRecord, state="joined"):
        if other.value.thumbprint == thumbprint:
            raise Permanent(
                "key-in-use", f"The key of {request.site} is the key of {other.key}. Each site needs its own."
            )
    record = SiteRecord(
        site=request.site,
        thumbprint=thumbprint,
        certificate_pem=request.self_certificate_pem,
        sealing_key=public_sealing_key(request.sealing_key),
        joined_at=change.now,
    )
    save(change.tx, "site", request.site, record, state="joined", expect=old.version if old else 0)
    spread_membership(change)


def _work_at(change: Change, site: str) -> set[str]:
    found = set()
    for stored in load_all(change.tx, "application", ApplicationRecord):
        if stored.state in ("declined", "ended"):
            continue
        record = stored.value
        for component in (*record.components.values(), *record.endpoints.values()):
            if site in (component.placement.site, component.primary, component.way_back_site):
                found.add(f"{record.name}/{component.placement.component}")
        for kept in record.kept_addresses:
            if kept.placement.site == site:
                found.add(f"the old address of {record.name}/{kept.component}")
    return found


def _replicas_at(change: Change, site: str) -> set[str]:
    """What was ordered at a site and is not absent; data that is retained counts until its date."""
    found = set()
    for stored in load_all(change.tx, "ordered", OrderedRecord, prefix="replica/"):
        order = stored.value.order
        if stored.value.site != site or not isinstance(order, ReplicaOrder):
            continue
        until = order.retain_until
        over = order.role is ReplicaRole.RETAINED and until is not None and until < change.now
        if order.role is not ReplicaRole.ABSENT and not over:
            found.add(f"{order.key.application}/{order.key.component}")
    return found


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
