"""Routes for people: applications and their operations."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from hanse.api.access import Asked, TheFace
from hanse.api.replies import perform, show
from hanse.hub.commands.applications import Applied, apply_plan
from hanse.hub.queries.history import History, find_operation, history_of
from hanse.hub.queries.status import ApplicationStatus, OperationStatus, all_statuses, status_of
from hanse.model.shape import Shape

routes = APIRouter()


class ApplyRequest(Shape):
    """The plan to buy."""

    plan: str


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
