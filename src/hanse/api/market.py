"""Routes for people: the hub itself, the market, catalogues, plans, invitations."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from hanse.api.access import Asked, TheFace
from hanse.api.replies import perform, show
from hanse.hub.commands.catalogue import CatalogueFiles, Imported, import_catalogue
from hanse.hub.commands.plans import Planned, make_plan
from hanse.hub.commands.sites import INVITATION_HOURS, Departed, Invited, invite, remove
from hanse.hub.queries.health import HubStatus, hub_status
from hanse.hub.queries.offers import (
    PAGE_MAX,
    Filter,
    OfferPage,
    ProviderPage,
    SitePage,
    list_offers,
    list_providers,
    list_sites,
)
from hanse.model.shape import Shape

routes = APIRouter()


class PlanRequest(Shape):
    """An application file to plan."""

    file: str
    """The text of the file."""
    market: bool = False
    """Over listed offers too; such a plan cannot be applied."""


class InvitationRequest(Shape):
    """A site to invite."""

    site: str
    hours: float = Field(default=INVITATION_HOURS, gt=0, le=24 * 30)
    again: bool = False
    """For a joined site whose certificate has ended; only its own key can use the token."""


def read_filter(
    kind: str = "",
    country: str = "",
    where: str = "",
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    cursor: str = "",
) -> Filter:
    """The query of a list."""
    return Filter(kind=kind, country=country, where=where, limit=limit, cursor=cursor)


Wanted = Annotated[Filter, Depends(read_filter)]


@routes.get("/v1/hub", response_model=HubStatus)
def hub(face: TheFace) -> HubStatus:
    """How the hub itself is."""
    return hub_status(face.hub)


@routes.get("/v1/providers", response_model=ProviderPage)
def providers(request: Request, face: TheFace, wanted: Wanted) -> Response:
    """Providers by id."""
    return show(request, list_providers(face.hub, wanted))


@routes.get("/v1/sites", response_model=SitePage)
def sites(request: Request, face: TheFace, wanted: Wanted) -> Response:
    """Sites by id; `where=joined` for those that have joined."""
    return show(request, list_sites(face.hub, wanted))


@routes.get("/v1/offers", response_model=OfferPage)
def offers(request: Request, face: TheFace, wanted: Wanted) -> Response:
    """Offers by id."""
    return show(request, list_offers(face.hub, wanted))


@routes.post("/v1/catalogues", response_model=Imported)
def catalogues(face: TheFace, asked: Asked, files: CatalogueFiles) -> Response:
    """Replace the listed market; refused whole if any row is wrong."""
    return perform(face.hub, asked, lambda hub: import_catalogue(hub, files))


@routes.post("/v1/plans", response_model=Planned)
def plans(face: TheFace, asked: Asked, wanted: PlanRequest) -> Response:
    """Plan an application. Buys nothing."""
    return perform(face.hub, asked, lambda hub: make_plan(hub, wanted.file, market=wanted.market))


@routes.post("/v1/invitations", response_model=Invited)
def invitations(face: TheFace, asked: Asked, wanted: InvitationRequest) -> Response:
    """A single-use token for one site."""
    return perform(face.hub, asked, lambda hub: invite(hub, wanted.site, wanted.hours, again=wanted.again))


@routes.delete("/v1/sites/{provider}/{site}", response_model=Departed)
def remove_site(face: TheFace, asked: Asked, provider: str, site: str) -> Response:
    """End the membership of a dead or lost site. Refused while anything is ordered there."""
    removed = perform(face.hub, asked, lambda hub: remove(hub, f"{provider}/{site}"))
    face.reload_sites()
    return removed
