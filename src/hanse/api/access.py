"""Who may ask: people by the admin token, sites by the key of their client certificate."""

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Header, Request
from starlette.requests import HTTPConnection

from hanse.api.notify import Notifier
from hanse.hub.context import Hub, ReplyKey
from hanse.hub.membership import joined_sites
from hanse.model.shape import digest_of
from hanse.ports import Permanent
from hanse.wire.server import client_thumbprint

KEY_MAX_CHARS = 200


@dataclass(slots=True)
class Face:
    """What the routes share: the hub, the notifier, who is known."""

    hub: Hub
    notifier: Notifier
    admin_token: str
    sites: dict[str, str] = field(default_factory=dict)
    """Thumbprint to site, of joined sites."""

    def reload_sites(self) -> None:
        """Read who is joined; after every enrolment and departure."""
        with self.hub.look() as tx:
            self.sites = {each.value.thumbprint: each.key for each in joined_sites(tx)}


def face_of(connection: HTTPConnection) -> Face:
    """The face that this application was made with."""
    found: Face = connection.app.state.face
    return found


def require_admin(request: Request, authorization: Annotated[str, Header()] = "") -> None:
    """Raises Permanent(`no-credential`, `wrong-credential`). The comparison takes the same time for all."""
    scheme, _, token = authorization.partition(" ")
    if scheme.casefold() != "bearer" or not token:
        raise Permanent("no-credential", "This request carries no token.")
    given, wanted = (
        hashlib.sha256(text.strip().encode()).digest() for text in (token, face_of(request).admin_token)
    )
    if not secrets.compare_digest(given, wanted):
        raise Permanent("wrong-credential", "The token of this request is not the hub's admin token.")


def require_site(connection: HTTPConnection) -> str:
    """The joined site whose key this client proved to hold. Raises Permanent(`wrong-site-key`)."""
    face = face_of(connection)
    thumbprint = client_thumbprint(dict(connection.scope))
    site = face.sites.get(thumbprint) if thumbprint else None
    if site is None:
        shown = f"with the key {thumbprint[:16]}…" if thumbprint else "without a certificate"
        raise Permanent("wrong-site-key", f"A client {shown} asked for what only a joined site may have.")
    face.hub.seen[site] = face.hub.clock.now()
    return site


async def reply_key(
    request: Request, idempotency_key: Annotated[str, Header(max_length=KEY_MAX_CHARS)] = ""
) -> ReplyKey | None:
    """The idempotency key of a write with the digest of what it asks; None without the header."""
    if not idempotency_key:
        return None
    asked = f"{request.method} {request.url.path}?{request.url.query}\n".encode() + await request.body()
    return ReplyKey(key=idempotency_key, request=digest_of(asked), status=200)


Asked = Annotated[ReplyKey | None, Depends(reply_key)]
TheFace = Annotated[Face, Depends(face_of)]
TheSite = Annotated[str, Depends(require_site)]
