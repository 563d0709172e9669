"""Routes for people: applications and their operations."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from hanse.api.access import Asked, TheFace
from hanse.api.replies import perform, show
from hanse.hub.commands.applications import Applied, Retiring, apply_plan, retire
from hanse.hub.commands.connections import (
    Connection,
    ConnectionRequest,
    connect,
    disconnect,
    find_connection,
)
from hanse.hub.commands.moves import Aborting, Moves, abort, move
from hanse.hub.logs.kept import Logs, logs_of
from hanse.hub.logs.live import LogsRequest, Reading, end_reading, find_reading, read_live
from hanse.hub.queries.history import History, find_operation, history_of
from hanse.hub.queries.status import ApplicationStatus, OperationStatus, all_statuses, status_of
from hanse.hub.records import MoveRequest
from hanse.model.shape import Shape

routes = APIRouter()


class ApplyRequest(Shape):
    """The plan to buy."""

    plan: str


class RetirementRequest(Shape):
    """How to end an application."""

    erase_now: bool = False
    """False: data is retained until the retrieval date of its component."""


class Applications(Shape):
    """Every application, by name."""

    applications: tuple[ApplicationStatus, ...]


@routes.get("/v1/applications", response_model=Applications)
def listed(request: Request, face: TheFace) -> Response:
    """Every application with its status."""
    return show(request, Applications(applications=all_statuses(face.hub)))


@routes.put("/v1/applications/{app}", response_model=Applied, status_code=202)
def apply(face: TheFace, asked: Asked, app: str, wanted: ApplyRequest) -> Response:
    """Buy and run a plan, or change a running application to its file."""
    return perform(face.hub, asked, lambda hub: apply_plan(hub, app, wanted.plan), 202)


@routes.get("/v1/applications/{app}", response_model=ApplicationStatus)
def status(request: Request, face: TheFace, app: str) -> Response:
    """What should be, what is, and what is under way."""
    return show(request, status_of(face.hub, app))


@routes.get("/v1/applications/{app}/history", response_model=History)
def history(
    request: Request, face: TheFace, app: str, limit: Annotated[int, Query(ge=1, le=1000)] = 200
) -> Response:
    """What happened, newest first."""
    return show(request, history_of(face.hub, app, limit))


@routes.get("/v1/operations/{operation}", response_model=OperationStatus)
def operation(request: Request, face: TheFace, operation: str) -> Response:
    """One operation."""
    return show(request, find_operation(face.hub, operation))


@routes.post("/v1/operations/{operation}/abort", response_model=Aborting, status_code=202)
def abort_operation(face: TheFace, asked: Asked, operation: str) -> Response:
    """Stop and put everything back, as long as that is possible."""
    return perform(face.hub, asked, lambda hub: abort(hub, operation), 202)


@routes.post("/v1/applications/{app}/moves", response_model=Moves, status_code=202)
def moves(face: TheFace, asked: Asked, app: str, wanted: MoveRequest) -> Response:
    """Move a component or all; a dry run (status 200) only says what would happen."""
    status = 200 if wanted.dry_run else 202
    return perform(face.hub, None if wanted.dry_run else asked, lambda hub: move(hub, app, wanted), status)


@routes.post("/v1/applications/{app}/retirement", response_model=Retiring, status_code=202)
def retirement(face: TheFace, asked: Asked, app: str, wanted: RetirementRequest) -> Response:
    """End an application; its data is retained for a while, or erased now."""
    return perform(face.hub, asked, lambda hub: retire(hub, app, erase_now=wanted.erase_now), 202)


LOGS = "/v1/applications/{app}/components/{component}/logs"


@routes.get(LOGS, response_model=Logs)
def logs(request: Request, face: TheFace, app: str, component: str) -> Response:
    """The last words of a component's failures, as its sites sent them."""
    return show(request, logs_of(face.hub, app, component))


@routes.post(LOGS, response_model=Reading, status_code=202)
def read_logs(face: TheFace, asked: Asked, app: str, component: str, wanted: LogsRequest) -> Response:
    """Ask the component's site for its last lines, sealed for the reader's key."""
    return perform(face.hub, asked, lambda hub: read_live(hub, app, component, wanted), 202)


@routes.get(LOGS + "/{reading}", response_model=Reading)
def reading_status(request: Request, face: TheFace, app: str, component: str, reading: str) -> Response:
    """The lines, once the site has told them."""
    return show(request, find_reading(face.hub, app, component, reading))


@routes.delete(LOGS + "/{reading}", response_model=Reading)
def stop_reading(face: TheFace, app: str, component: str, reading: str) -> Reading:
    """The site tells this reader no more."""
    return end_reading(face.hub, app, component, reading)


CONNECTIONS = "/v1/applications/{app}/components/{component}/connections"


@routes.post(CONNECTIONS, response_model=Connection, status_code=202)
def open_connection(
    face: TheFace, asked: Asked, app: str, component: str, wanted: ConnectionRequest
) -> Response:
    """Let a certificate in at the primary's site for a few hours."""
    return perform(face.hub, asked, lambda hub: connect(hub, app, component, wanted), 202)


@routes.get(CONNECTIONS + "/{connection}", response_model=Connection)
def connection_status(request: Request, face: TheFace, app: str, component: str, connection: str) -> Response:
    """Where to connect, once it is ready."""
    return show(request, find_connection(face.hub, app, component, connection))


@routes.delete(CONNECTIONS + "/{connection}", response_model=Connection)
def end_connection(face: TheFace, app: str, component: str, connection: str) -> Connection:
    """Take the leave back now."""
    return disconnect(face.hub, app, component, connection)
