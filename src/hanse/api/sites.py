"""Routes for sites: join, pull instructions, push observations, fetch images, leave."""

import asyncio
import contextlib
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response, WebSocket
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from pydantic import Field
from starlette.websockets import WebSocketDisconnect

from hanse.api.access import Face, TheFace, TheSite, face_of, require_site
from hanse.hub.commands.images import find_image, image_file
from hanse.hub.commands.observations import Ingested, ingest
from hanse.hub.commands.sites import Certified, Departed, Enrolled, Enrolment, certify, enrol, leave
from hanse.model.shape import Shape
from hanse.ports import Permanent

routes = APIRouter()
WAIT_MAX_SECONDS = 30.0
INSTRUCTIONS_MAX = 100


class Documents(Shape):
    """Signed documents as they are: compact JWS."""

    documents: tuple[str, ...] = Field(max_length=1000)


@routes.post("/v1/enrolments")
def enrolments(face: TheFace, request: Enrolment) -> Enrolled:
    """Join with a token. The only route without any other credential."""
    enrolled = enrol(face.hub, request)
    face.reload_sites()
    return enrolled


@routes.get("/v1/site/instructions")
async def instructions(
    face: TheFace,
    site: TheSite,
    since: Annotated[int, Query(ge=0)] = 0,
    wait: Annotated[float, Query(ge=0)] = 0,
) -> Documents:
    """Instructions with serial > `since`, oldest first; waits up to 30 s for one. Holds no thread."""
    loop = asyncio.get_running_loop()
    end = loop.time() + min(wait, WAIT_MAX_SECONDS)
    with face.notifier.listen(site) as event:
        while True:
            event.clear()
            found = await run_in_threadpool(_instructions, face, site, since)
            left = end - loop.time()
            if found.documents or left <= 0 or face.notifier.closing:
                return found
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), left)


def _instructions(face: Face, site: str, since: int) -> Documents:
    with face.hub.look() as tx:
        found = tx.instructions(site, since, limit=INSTRUCTIONS_MAX)
    return Documents(documents=tuple(document for _, document in found))


@routes.post("/v1/site/observations")
def observations(face: TheFace, site: TheSite, batch: Documents) -> Ingested:
    """Signed observations. A wrong one is refused alone; an old one does no harm."""
    return ingest(face.hub, site, batch.documents)


@routes.websocket("/v1/site/wake")
async def wake(socket: WebSocket) -> None:
    """Says `wake` whenever there may be new instructions, and nothing else."""
    face = face_of(socket)
    try:
        site = require_site(socket)
    except Permanent:
        await socket.close(code=4401)
        return
    with face.notifier.listen(site) as event, contextlib.suppress(WebSocketDisconnect, RuntimeError):
        await socket.accept()
        gone = asyncio.create_task(_until_gone(socket))
        try:
            await _keep_waking(face, socket, event, gone)
        finally:
            gone.cancel()
        await socket.close(code=1001)


async def _keep_waking(face: Face, socket: WebSocket, event: asyncio.Event, gone: asyncio.Task[None]) -> None:
    while not gone.done() and not face.notifier.closing:
        woken = asyncio.create_task(event.wait())
        await asyncio.wait({woken, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not event.is_set():
            woken.cancel()
            return
        event.clear()
        await socket.send_text("wake")


async def _until_gone(socket: WebSocket) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass


@routes.get("/v1/site/images/{digest}", response_class=FileResponse, dependencies=[Depends(require_site)])
def site_image(face: TheFace, digest: str) -> Response:
    """The bytes of an image."""
    find_image(face.hub, digest)
    return FileResponse(image_file(face.hub, digest), media_type="application/octet-stream")


@routes.post("/v1/site/certificate")
def certificate(face: TheFace, site: TheSite) -> Certified:
    """The next transport certificate, by the present one."""
    return certify(face.hub, site)


@routes.post("/v1/site/departure")
def departure(face: TheFace, site: TheSite) -> Departed:
    """Leave. Refused while anything still stands at the site."""
    departed = leave(face.hub, site)
    face.reload_sites()
    return departed
