"""The web application: routes, who may ask, how large a request may be."""

from importlib.metadata import version
from typing import Any

from fastapi import Depends, FastAPI, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from hanse.api import applications, images, market, problems, sites
from hanse.api.access import Face, require_admin, require_site
from hanse.api.notify import Notifier
from hanse.hub.context import Hub
from hanse.ports import Permanent

MIB = 1024 * 1024
BODY_MAX_BYTES = 2 * MIB
LARGER_BODIES = {"/v1/catalogues": 32 * MIB, "/v1/site/observations": 16 * MIB}
STREAMED = "/v1/images/"
OPEN = ("/v1/enrolments",)
"""Routes whose credential lies in the body: the token to join with."""
OF_SITES = "/v1/site/"
"""Routes for joined sites, by client certificate; all others want the admin token."""
DISCARD_MAX_BYTES = 128 * MIB
"""A body that is too large is read and thrown away up to here, so that the client hears why."""


def make_api(hub: Hub, admin_token: str, notifier: Notifier) -> FastAPI:
    """The hub's HTTP face. `hub.wake` must reach `notifier.wake`."""

    app = FastAPI(
        title="Hanse hub",
        version=version("hanse"),
        description="One cloud from many independent providers. Errors are problem documents (RFC 9457).",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.face = Face(hub=hub, notifier=notifier, admin_token=admin_token)
    app.state.face.reload_sites()
    problems.install(app)
    admin = [Depends(require_admin)]
    for routes in (applications.routes, market.routes, images.routes):
        app.include_router(routes, dependencies=admin)
    app.include_router(sites.routes)

    @app.get("/openapi.json", include_in_schema=False, dependencies=admin)
    def openapi() -> dict[str, Any]:
        return app.openapi()

    app.add_middleware(BodyLimit)
    app.add_middleware(Credentials)
    return app


class Credentials:
    """Asks who it is by the header or the certificate, before anything of a body is kept."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The routes ask again; this is so that strangers cannot fill the hub's memory."""
        if scope["type"] == "http" and scope["path"] not in OPEN:
            try:
                _require_credential(Request(scope))
            except Permanent as failure:
                await _discard(receive, BODY_MAX_BYTES)
                await problems.problem(failure.code, failure.message)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _require_credential(request: Request) -> None:
    if request.url.path.startswith(OF_SITES):
        require_site(request)
    else:
        require_admin(request, request.headers.get("authorization", ""))


class BodyLimit:
    """Refuses bodies that no request needs, before anything reads them whole."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what comes; images have their own limit and are streamed."""
        if scope["type"] != "http" or scope["path"].startswith(STREAMED):
            await self._app(scope, receive, send)
            return
        limit = LARGER_BODIES.get(scope["path"], BODY_MAX_BYTES)
        headers = dict(scope["headers"])
        announced = headers.get(b"content-length", b"0")
        if not announced.isdigit() or int(announced) > limit or b"transfer-encoding" in headers:
            await _refuse(scope, receive, send, limit)
            return
        await self._app(scope, receive, send)


async def _refuse(scope: Scope, receive: Receive, send: Send, limit: int) -> None:
    await _discard(receive, DISCARD_MAX_BYTES)
    words = f"The body of {scope['method']} {scope['path']} may have {limit:,} bytes, sent with its length."
    await problems.problem("body-too-large", words)(scope, receive, send)


async def _discard(receive: Receive, most: int) -> None:
    """Read and throw away, so that the client hears the answer before the line is cut."""
    discarded = 0
    while discarded < most:
        message = await receive()
        discarded += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            break
