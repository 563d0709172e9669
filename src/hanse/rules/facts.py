"""The facts of a candidate: one offer at its site, or a site alone (for an endpoint).

This is the one list of fact names; requirements may use no other.

| fact | type | unknown when |
|---|---|---|
| `provider.id` | text | never |
| `provider.country`, `provider.parent_country` | country code | the catalogue does not say |
| `site.id`, `site.country`, `site.kind` | text | never |
| `site.renewable` | true/false | the catalogue does not say |
| `site.joined` | true/false | never: true when the site states its own offers |
| `site.runs` | set of kinds of component | the site has not joined |
| `site.volume_price_known` | true/false | never: some volume offer of the site has a price |
| `offer.kind` | text | the candidate is a site alone |
| `offer.vcpu`, `offer.memory_gib`, `offer.disk_gib` | number | blank in the catalogue |
| `offer.price_known`, `offer.egress_known` | true/false | the candidate is a site alone |
| `offer.bookable`, `offer.available` | true/false | the candidate is a site alone |
| `offer.free_units` | number | not stated |
| `rtt_ms:LAT,LON` | milliseconds, round trip to the place | the name is malformed |
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from hanse.model.application.requirement import Scalar

if TYPE_CHECKING:
    from hanse.model.market.offer import Catalogue, Offer, Provider, Site

RTT_PREFIX: Final = "rtt_ms:"
SET_FACTS: Final = frozenset({"site.runs"})
"""Facts with several values at once."""
_EARTH_RADIUS_KM = 6371.0088
_MS_PER_KM = 0.015
_MS_ALWAYS = 2.0


class _Unknown(Enum):
    UNKNOWN = "unknown"


UNKNOWN: Final = _Unknown.UNKNOWN
"""Nobody said."""


@dataclass(frozen=True, slots=True)
class Contested:
    """Sources disagree: all that is said of one fact."""

    values: tuple[Scalar | frozenset[Scalar], ...]


FactValue = Scalar | frozenset[Scalar] | Contested | _Unknown


class CandidateFacts(Mapping[str, FactValue]):
    """Facts by name. `rtt_ms:LAT,LON` is derived when asked for; every other name is in the list above."""

    def __init__(self, stated: Mapping[str, FactValue], site: Site, measured: Mapping[str, float]) -> None:
        self._stated = stated
        self._site = site
        self._measured = measured

    def __getitem__(self, name: str) -> FactValue:
        """Value of a fact. Raises KeyError for a name that is not in the list."""
        if not name.startswith(RTT_PREFIX):
            return self._stated[name]
        place = place_of(name)
        return UNKNOWN if place is None else rtt_ms(self._site, place, self._measured)[0]

    def __iter__(self) -> Iterator[str]:
        """Names of the stated facts."""
        return iter(self._stated)

    def __len__(self) -> int:
        """How many facts are stated."""
        return len(self._stated)


def facts_of(
    offer: Offer | None,
    site: Site,
    provider: Provider,
    catalogue: Catalogue,
    *,
    volume_sites: frozenset[str] | None = None,
) -> Mapping[str, FactValue]:
    """All facts of an offer at its site, or of the site alone where `offer` is None.

    Pass `volume_sites(catalogue)` when asking for many candidates; it is looked up each time otherwise.
    """
    with_volume = volume_sites_of(catalogue) if volume_sites is None else volume_sites
    runs = catalogue.runs.get(site.site)
    stated: dict[str, FactValue] = {
        "provider.id": provider.provider,
        "provider.country": provider.country,
        "provider.parent_country": _or_unknown(provider.parent_country),
        "site.id": site.site,
        "site.country": site.country,
        "site.kind": site.kind,
        "site.renewable": _or_unknown(site.renewable),
        "site.joined": runs is not None,
        "site.runs": UNKNOWN if runs is None else frozenset[Scalar](runs),
        "site.volume_price_known": site.site in with_volume,
    }
    if offer is not None:
        stated |= _offer_facts(offer)
    return CandidateFacts(stated, site, catalogue.rtt_ms)


def volume_sites_of(catalogue: Catalogue) -> frozenset[str]:
    """Sites that sell block storage at a known price."""
    return frozenset(
        offer.site
        for offer in catalogue.offers
        if offer.kind == "volume" and offer.price_micro_eur_per_gib_month is not None
    )


def _offer_facts(offer: Offer) -> dict[str, FactValue]:
    per_gib = offer.kind in ("bucket", "volume")
    price = offer.price_micro_eur_per_gib_month if per_gib else offer.price_micro_eur_per_month
    return {
        "offer.kind": offer.kind,
        "offer.vcpu": _or_unknown(offer.vcpu),
        "offer.memory_gib": _or_unknown(offer.memory_gib),
        "offer.disk_gib": _or_unknown(offer.disk_gib),
        "offer.price_known": price is not None,
        "offer.egress_known": offer.egress_micro_eur_per_gib is not None,
        "offer.bookable": offer.bookable,
        "offer.available": offer.free_units is None or offer.free_units > 0,
        "offer.free_units": _or_unknown(offer.free_units),
    }


def _or_unknown(value: Scalar | None) -> FactValue:
    return UNKNOWN if value is None else value


def rtt_fact(latitude: float, longitude: float) -> str:
    """Name of the fact `round-trip time to this place`."""
    return f"{RTT_PREFIX}{latitude:g},{longitude:g}"


def place_of(fact: str) -> tuple[float, float] | None:
    """Latitude and longitude in the name of an RTT fact; None if it holds none."""
    try:
        latitude, longitude = (float(part) for part in fact.removeprefix(RTT_PREFIX).split(","))
    except ValueError:
        return None
    inside = abs(latitude) <= 90 and abs(longitude) <= 180
    return (latitude, longitude) if inside else None


def rtt_ms(site: Site, place: tuple[float, float], measured: Mapping[str, float]) -> tuple[float, str]:
    """Round-trip time from a site to a place, and who asserts it.

    `measured` (key `provider/site>LAT,LON`, as in the fact's name) overrides; else `hanse.distance`:
    0.015 ms for each kilometre of great circle, and 2 ms.
    """
    known = measured.get(f"{site.site}>{rtt_fact(*place).removeprefix(RTT_PREFIX)}")
    if known is not None:
        return known, "measured"
    kilometres = great_circle_km((site.latitude, site.longitude), place)
    return _MS_PER_KM * kilometres + _MS_ALWAYS, "hanse.distance"


def great_circle_km(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Distance over the Earth's surface (haversine) between two (latitude, longitude) in degrees."""
    lat_1, lon_1, lat_2, lon_2 = (math.radians(angle) for angle in (*one, *other))
    haversine = (
        math.sin((lat_2 - lat_1) / 2) ** 2
        + math.cos(lat_1) * math.cos(lat_2) * math.sin((lon_2 - lon_1) / 2) ** 2
    )
    return 2 * _EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(haversine)))
