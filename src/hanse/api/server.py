"""The web application: routes, who may ask, how large a request may be."""

from importlib.metadata import version
from typing import Any

from fastapi import Depends, FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from hanse.api import applications, images, market, problems, sites
from hanse.api.access import Face, require_admin
from hanse.api.notify import Notifier
from hanse.hub.context import Hub

MIB = 1024 * 1024
BODY_MAX_BYTES = 2 * MIB
LARGER_BODIES = {"/v1/catalogues": 32 * MIB, "/v1/site/observations": 16 * MIB}
STREAMED = "/v1/images/"
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
    return app


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
    discarded = 0
    while discarded < DISCARD_MAX_BYTES:
        message = await receive()
        discarded += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            break
    words = f"The body of {scope['method']} {scope['path']} may have {limit:,} bytes, sent with its length."
    await problems.problem("body-too-large", words)(scope, receive, send)
