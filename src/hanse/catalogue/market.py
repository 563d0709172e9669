"""The market as CSV: read whole or refused whole, shipped with the program, merged with joined sites."""

import functools
import importlib.resources
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import get_args

from hanse.catalogue.sheet import Mistakes, Row, RowMistake, read_sheet
from hanse.model.market.offer import (
    HOURS_PER_MONTH,
    Catalogue,
    Offer,
    OfferKind,
    Provider,
    Site,
    SiteStatement,
)
from hanse.model.shape import Shape, canonical_bytes, digest_of

OFFERS_MAX = 5_000
"""Offers after `*` is written out for every site of its provider."""
FILE_MAX_BYTES = 8 * 1024 * 1024
PROVIDER_COLUMNS = ("id", "name", "country", "parent_country", "source")
SITE_COLUMNS = ("provider", "site", "city", "country", "lat", "lon", "kind", "renewable", "source")
OFFER_COLUMNS = (
    "provider",
    "site",
    "kind",
    "name",
    "vcpu",
    "memory_gib",
    "disk_gib",
    "gpu",
    "price_eur_per_hour",
    "price_eur_per_gib_month",
    "egress_eur_per_gib",
    "included_egress_gib",
    "currency_note",
    "source",
    "as_of",
)

_PROVIDER_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
_SITE_CODE = re.compile(r"[A-Za-z0-9][\w./-]{0,62}")
_COUNTRY = re.compile(r"[A-Z]{2}")
_COUNTRY_OR_BLANK = re.compile(r"(?:[A-Z]{2})?")
_DATE = re.compile(r"\d{4}-\d{2}(?:-\d{2})?(?:/\d{4}-\d{2}(?:-\d{2})?)?")
_GPU = re.compile(r"(?:\d+x \S.*)?")
_PER_GIB = ("bucket", "volume")


class MarketRows(Shape):
    """A market that was read without a mistake. Its offers are listed, never bookable."""

    name: str
    providers: tuple[Provider, ...]
    sites: tuple[Site, ...]
    offers: tuple[Offer, ...]

    def catalogue(self) -> Catalogue:
        """The rows as a catalogue, versioned by their content."""
        return _versioned(
            Catalogue(version="", providers=self.providers, sites=self.sites, offers=self.offers)
        )


def read_market(
    providers_csv: str, sites_csv: str, offers_csv: str, name: str
) -> MarketRows | tuple[RowMistake, ...]:
    """A whole market, or every mistake in it with file and line.

    Files are given as text and named `providers.csv`, `sites.csv` and `offers.csv` in mistakes. An offer
    for `*` stands at every site of its provider. Where rows give the same offer twice, the row that names
    the site goes before `*`, then the later `as_of`; the same date twice is a mistake. A `/` in a site's
    code becomes `-`.
    """
    mistakes = Mistakes()
    texts = {"providers.csv": providers_csv, "sites.csv": sites_csv, "offers.csv": offers_csv}
    for file, text in texts.items():
        if len(text.encode(errors="replace")) > FILE_MAX_BYTES:
            mistakes.add(
                file, 0, "", f"is larger than {FILE_MAX_BYTES // 2**20} MiB; import a smaller part of it"
            )
    if mistakes.found:
        return mistakes.all()
    providers = _providers(read_sheet("providers.csv", providers_csv, PROVIDER_COLUMNS, mistakes))
    sites = _sites(read_sheet("sites.csv", sites_csv, SITE_COLUMNS, mistakes), providers)
    offers = _offers(read_sheet("offers.csv", offers_csv, OFFER_COLUMNS, mistakes), providers, sites)
    if mistakes.found:
        return mistakes.all()
    return MarketRows(
        name=name,
        providers=tuple(found for found in providers.values() if found),
        sites=tuple(found for found in sites.values() if found),
        offers=tuple(offers),
    )


@functools.cache
def shipped_market() -> Catalogue:
    """The market that comes with the program. Raises ValueError if its own files are damaged."""
    folder = importlib.resources.files("hanse.catalogue") / "data" / "market"
    providers, sites, offers = (
        (folder / f"{file}.csv").read_text(encoding="utf-8") for file in ("providers", "sites", "offers")
    )
    rows = read_market(providers, sites, offers, "shipped")
    if isinstance(rows, MarketRows):
        return rows.catalogue()
    raise ValueError(f"the shipped market is damaged: {rows[0]}")


def merge(
    listed: Catalogue,
    statements: Sequence[SiteStatement],
    rtt: Mapping[str, float],
    reach: Mapping[str, bool],
) -> Catalogue:
    """The imported market and what joined sites state, as one catalogue. Independent of the order given.

    A joined site speaks for itself: its offers are bookable and replace listed ones of the same id, and
    offers that it states for other sites are left out. Seat and place of a provider or site that is already
    listed stay as listed: the operator imported them, and a site's word about itself must not widen what it
    may run.
    """
    providers = {each.provider: each for each in listed.providers}
    sites = {each.site: each for each in listed.sites}
    offers = {each.id: each for each in listed.offers}
    stated = sorted(statements, key=lambda each: each.site.site)
    for statement in stated:
        home = statement.site.site
        providers.setdefault(statement.provider.provider, statement.provider)
        sites.setdefault(home, statement.site)
        own = (each for each in statement.offers if each.site == home)
        offers.update((each.id, each.model_copy(update={"bookable": True})) for each in own)
    return _versioned(
        Catalogue(
            version="",
            providers=tuple(providers.values()),
            sites=tuple(sites.values()),
            offers=tuple(offers.values()),
            rtt_ms=dict(sorted(rtt.items())),
            reach=dict(sorted(reach.items())),
            runs={each.site.site: each.runs for each in stated},
            endpoint_micro_eur_per_month={
                each.site.site: each.endpoint_micro_eur_per_month for each in stated
            },
        )
    )


def places_of(catalogue: Catalogue) -> dict[str, tuple[float, float]]:
    """Latitude and longitude of each city with a site: those of its first site by name."""
    places: dict[str, tuple[float, float]] = {}
    for site in sorted(catalogue.sites, key=lambda each: each.site):
        places.setdefault(site.city, (site.latitude, site.longitude))
    return dict(sorted(places.items()))


def _versioned(catalogue: Catalogue) -> Catalogue:
    return catalogue.model_copy(update={"version": digest_of(canonical_bytes(catalogue))})


def _providers(rows: Sequence[Row]) -> dict[str, Provider | None]:
    """By id; None where the row has a mistake, so that its sites are not called strangers."""
    found: dict[str, Provider | None] = {}
    for row in rows:
        key = row.match("id", _PROVIDER_ID, "a provider id: lower-case letters, digits, `.` and `-`")
        if key in found:
            row.wrong("id", f"provider {key!r} is already on an earlier line")
        name, source = row.text("name"), row.text("source")
        country = row.match("country", _COUNTRY, "a country code of two capital letters")
        parent = row.match(
            "parent_country", _COUNTRY_OR_BLANK, "blank or a country code of two capital letters"
        )
        found[key] = (
            Provider(provider=key, name=name, country=country, parent_country=parent or None, source=source)
            if row.sound
            else None
        )
    return found


def _sites(rows: Sequence[Row], providers: Mapping[str, Provider | None]) -> dict[str, Site | None]:
    found: dict[str, Site | None] = {}
    for row in rows:
        owner = row.raw("provider")
        if owner not in providers:
            row.wrong("provider", f"no provider {owner!r} in providers.csv")
        code = row.match(
            "site", _SITE_CODE, "a site code: letters, digits, `.`, `_`, `-` and `/`, at most 63"
        )
        key = _site_id(owner, code)
        if key in found:
            row.wrong("site", f"site {key!r} is already on an earlier line")
        found[key] = _site(row, owner, key)
    return found


def _site(row: Row, owner: str, key: str) -> Site | None:
    city, source = row.text("city"), row.text("source")
    country = row.match("country", _COUNTRY, "a country code of two capital letters")
    kind = row.choice("kind", ("datacentre", "micro", "edge"))
    renewable = row.choice("renewable", ("", "0", "1"))
    latitude, longitude = row.number("lat", "34", "72"), row.number("lon", "-25", "35")
    for column in ("lat", "lon"):
        if row.raw(column) == "":
            row.wrong(column, "is blank; a value is needed")
    if not row.sound:
        return None
    return Site.model_validate(
        {
            "site": key,
            "provider": owner,
            "city": city,
            "country": country,
            "latitude": latitude,
            "longitude": longitude,
            "kind": kind,
            "renewable": None if renewable == "" else renewable == "1",
            "source": source,
        }
    )


def _site_id(provider: str, code: str) -> str:
    return f"{provider}/{code.replace('/', '-')}"


def _offers(
    rows: Sequence[Row],
    providers: Mapping[str, Provider | None],
    sites: Mapping[str, Site | None],
) -> list[Offer]:
    """Written out for every site, one an id."""
    homes: dict[str, list[str]] = defaultdict(list)
    for site in sites:
        homes[site.partition("/")[0]].append(site)
    seen: set[tuple[str, ...]] = set()
    best: dict[str, tuple[tuple[bool, str], Offer]] = {}
    for row in rows:
        _check_owner(row, providers, homes)
        key = tuple(row.raw(column) for column in ("provider", "site", "kind", "name", "as_of"))
        if key in seen:
            row.wrong("name", "the same offer with the same date is already on an earlier line")
        seen.add(key)
        facts = _offer_facts(row)
        if not row.sound:
            continue
        everywhere = row.raw("site") == "*"
        rank = (not everywhere, row.raw("as_of").rpartition("/")[2])
        here = [_site_id(row.raw("provider"), row.raw("site"))]
        for site in homes[row.raw("provider")] if everywhere else here:
            offer = Offer.model_validate({"site": site, **facts})
            if offer.id not in best or best[offer.id][0] < rank:
                best[offer.id] = (rank, offer)
        if len(best) > OFFERS_MAX:
            row.wrong(
                "", f"more than {OFFERS_MAX} offers once `*` is written out for every site; import fewer"
            )
            break
    return [offer for _, offer in best.values()]


def _check_owner(row: Row, providers: Mapping[str, Provider | None], homes: Mapping[str, list[str]]) -> None:
    owner, code = row.raw("provider"), row.raw("site")
    if owner not in providers:
        row.wrong("provider", f"no provider {owner!r} in providers.csv")
    elif code == "*" and not homes.get(owner):
        row.wrong("site", f"`*` but provider {owner!r} has no site in sites.csv")
    elif code != "*" and _site_id(owner, code) not in homes.get(owner, ()):
        row.wrong("site", f"no site {code!r} of provider {owner!r} in sites.csv")


def _offer_facts(row: Row) -> dict[str, object]:
    kind = row.choice("kind", get_args(OfferKind))
    hour = row.number("price_eur_per_hour", "0", "120")
    gib_month = row.number("price_eur_per_gib_month", "0.001", "1.5")
    vcpu, memory = row.number("vcpu", "0.1", "512"), row.number("memory_gib", "0.2", "8192")
    gpu = row.match("gpu", _GPU, "written like `1x NVIDIA L4`")
    facts: dict[str, object] = {
        "kind": kind,
        "name": row.text("name"),
        "vcpu": vcpu,
        "memory_gib": memory,
        "disk_gib": row.number("disk_gib", "0", "20000"),
        "gpu": gpu,
        "price_micro_eur_per_month": _micro_eur(hour, HOURS_PER_MONTH),
        "price_micro_eur_per_gib_month": _micro_eur(gib_month),
        "egress_micro_eur_per_gib": _micro_eur(row.number("egress_eur_per_gib", "0", "0.2")),
        "included_egress_gib": row.number("included_egress_gib", "0", "200000"),
        "source": row.text("source"),
        "as_of": row.match("as_of", _DATE, "a date like 2026-08 or 2026-08-14, or two with `/` between"),
    }
    row.text("currency_note")
    _check_price(row, kind, hour)
    if kind in ("vm", "gpu_vm") and row.raw("memory_gib") == "":
        row.wrong("memory_gib", f"is blank; a {kind} needs it")
    if (kind == "gpu_vm") != bool(gpu):
        row.wrong("gpu", "is given for a gpu_vm and for nothing else")
    _check_unit_price(row, kind, (hour, vcpu, memory))
    return facts


def _check_price(row: Row, kind: str, hour: Decimal | None) -> None:
    wanted, other = "price_eur_per_hour", "price_eur_per_gib_month"
    if kind in _PER_GIB:
        wanted, other = other, wanted
    if row.raw(wanted) == "":
        row.wrong(wanted, f"is blank; a {kind} needs it")
    if row.raw(other) != "":
        row.wrong(other, f"must be blank for a {kind}; its price goes into {wanted}")
    if hour == 0 and kind != "kubernetes":
        row.wrong("price_eur_per_hour", "is zero; only a kubernetes control plane may be free")


def _check_unit_price(row: Row, kind: str, of: tuple[Decimal | None, Decimal | None, Decimal | None]) -> None:
    """A price far from every known one is a slip: euros for cents, a month for an hour."""
    hour, vcpu, memory = of
    if kind != "vm" or not hour or not vcpu or not memory:
        return
    unit = hour / (vcpu + memory / 4)
    if not Decimal("0.0004") <= unit <= Decimal("0.2"):
        row.wrong(
            "price_eur_per_hour",
            f"{unit:.5f} EUR an hour per (vCPU + GiB/4) is outside 0.0004 to 0.2; is it a price per hour?",
        )


def _micro_eur(eur: Decimal | None, times: int = 1) -> int | None:
    if eur is None:
        return None
    return int((eur * times * 1_000_000).to_integral_value(ROUND_HALF_UP))
