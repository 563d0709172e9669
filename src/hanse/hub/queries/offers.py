"""Providers, sites and offers, in pages that stay right while the market changes."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from hanse.hub.context import Hub
from hanse.hub.planning.market import current_catalogue
from hanse.hub.records import SiteRecord, load_all
from hanse.matching.query import (
    Noun,
    Query,
    QueryMistake,
    parse_where,
    select_offers,
    select_providers,
    select_sites,
)
from hanse.model.market.offer import Catalogue, Offer, Provider, Site
from hanse.model.shape import MicroEur, Moment, Shape, SiteId
from hanse.ports import Permanent

PAGE_MAX = 1000


@dataclass(frozen=True, slots=True)
class Filter:
    """What to list. `where` is a condition as in `matching.query`."""

    kind: str = ""
    country: str = ""
    where: str = ""
    limit: int = 100
    """Rows; 1 to PAGE_MAX."""
    cursor: str = ""


class Page(Shape):
    """A page; pass `next` as `cursor` for the following one."""

    catalogue_version: str
    total: int
    """Rows that the filter leaves, over all pages."""
    next: str | None = None


class ProviderPage(Page):
    """Providers by id."""

    providers: tuple[Provider, ...]


class ListedSite(Site):
    """A site, and whether it has joined this hub."""

    joined: bool
    runs: tuple[str, ...] = ()
    endpoint_micro_eur_per_month: MicroEur | None = None
    last_seen_at: Moment | None = None
    thumbprint: str = ""
    not_enforced: tuple[str, ...] = ()
    data_address: str = ""


class SitePage(Page):
    """Sites by id."""

    sites: tuple[ListedSite, ...]


class OfferPage(Page):
    """Offers by id."""

    offers: tuple[Offer, ...]
    countries: dict[SiteId, str]
    """Country of each site on the page."""


RowT = TypeVar("RowT")


def list_providers(hub: Hub, wanted: Filter) -> ProviderPage:
    """`kind`: of an offer that they sell. Raises Permanent(`query-unreadable`, `cursor-unknown`)."""
    catalogue = current_catalogue(hub)
    rows = select_providers(catalogue, _query(wanted, "providers"))
    page, following = _page(rows, lambda each: each.provider, wanted)
    return ProviderPage(
        catalogue_version=catalogue.version, total=len(rows), next=following, providers=tuple(page)
    )


def list_sites(hub: Hub, wanted: Filter) -> SitePage:
    """`kind`: of the site. Raises Permanent(`query-unreadable`, `cursor-unknown`)."""
    catalogue = current_catalogue(hub)
    with hub.look() as tx:
        joined = {each.key: each.value for each in load_all(tx, "site", SiteRecord, state="joined")}
    rows = select_sites(catalogue, _query(wanted, "sites"))
    page, following = _page(rows, lambda each: each.site, wanted)
    listed = tuple(_listed_site(hub, each, catalogue, joined.get(each.site)) for each in page)
    return SitePage(catalogue_version=catalogue.version, total=len(rows), next=following, sites=listed)


def list_offers(hub: Hub, wanted: Filter) -> OfferPage:
    """`kind`: of the offer. Raises Permanent(`query-unreadable`, `cursor-unknown`)."""
    catalogue = current_catalogue(hub)
    rows = select_offers(catalogue, _query(wanted, "offers"))
    page, following = _page(rows, lambda each: each.id, wanted)
    countries = {each.site: each.country for each in catalogue.sites}
    return OfferPage(
        catalogue_version=catalogue.version,
        total=len(rows),
        next=following,
        offers=tuple(page),
        countries={each.site: countries[each.site] for each in page},
    )


def _query(wanted: Filter, noun: Noun) -> Query:
    where = parse_where(wanted.where, noun)
    if isinstance(where, QueryMistake):
        raise Permanent(
            "query-unreadable",
            f"The condition {wanted.where!r} cannot be read at its character {where.column}: {where.what}",
        )
    return Query(kind=wanted.kind or None, country=wanted.country.upper() or None, where=where)


def _listed_site(hub: Hub, site: Site, catalogue: Catalogue, record: SiteRecord | None) -> ListedSite:
    known: dict[str, Any] = {}
    if record is not None:
        seen = [each for each in (record.last_observed_at, hub.seen.get(site.site)) if each is not None]
        known = {
            "thumbprint": record.thumbprint,
            "last_seen_at": max(seen, default=None),
            "not_enforced": record.statement.not_enforced if record.statement else (),
            "data_address": record.statement.data_address if record.statement else "",
        }
    return ListedSite(
        **site.model_dump(),
        joined=record is not None,
        runs=catalogue.runs.get(site.site, ()),
        endpoint_micro_eur_per_month=catalogue.endpoint_micro_eur_per_month.get(site.site),
        **known,
    )


def _page(
    rows: Sequence[RowT], key: Callable[[RowT], str], wanted: Filter
) -> tuple[Sequence[RowT], str | None]:
    """The rows after the cursor's key, and the cursor for those that follow."""
    after = _decode(wanted.cursor)
    ordered = sorted((row for row in rows if key(row) > after), key=key)
    page = ordered[: wanted.limit]
    more = len(ordered) > wanted.limit
    return page, (base64.urlsafe_b64encode(key(page[-1]).encode()).decode() if more else None)


def _decode(cursor: str) -> str:
    try:
        return base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise Permanent(
            "cursor-unknown", f"{cursor!r} is no cursor of this list. Start again without one."
        ) from error
