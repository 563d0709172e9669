"""What could carry each demand: every offer of the market in scope, judged against every requirement once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from math import floor
from typing import Literal

from hanse.model.application.requirement import AllOf, Demand, Mandate, Origin, Requirement, Truth
from hanse.model.market.offer import Catalogue, Offer, Site
from hanse.rules.evaluate import evaluate
from hanse.rules.facts import FactValue, facts_of, volume_sites_of

Market = Literal["bookable", "all"]
PER_GIB_KINDS = ("bucket", "volume")
PRICE_MAX = 1 << 50
"""Micro-euros a month (over a thousand million euros); a dearer candidate counts as one without a price."""
_DEFAULT = Origin(rule="hanse default")
_HALF = Fraction(1, 2)
_ALWAYS = AllOf(parts=())


@dataclass(frozen=True, slots=True)
class Candidate:
    """One offer (or a site alone, for an endpoint) for one demand.

    `price` and `egress` are integer micro-euros, a month and a GiB; None where nobody says.
    Bit i of `failing` is set when check i of the demand does not hold, of `doubtful` when it is not known to.
    """

    offer: Offer | None
    volume: Offer | None
    site: Site
    price: int | None
    egress: int | None
    failing: int
    doubtful: int

    @property
    def offer_id(self) -> str:
        """Offer id; empty for an endpoint."""
        return self.offer.id if self.offer else ""

    @property
    def bought(self) -> tuple[str, ...]:
        """Ids of what it takes one unit of."""
        return tuple(goods.id for goods in (self.offer, self.volume) if goods)

    @property
    def order(self) -> tuple[int, str, str, str]:
        """Cheapest first, then by names: the tie-break of every plan."""
        return (self.price or 0, self.site.site, self.offer_id, self.volume.id if self.volume else "")


@dataclass(frozen=True)
class Choices:
    """A demand, what it asks (bit i of a signature is `checks[i]`), and everything looked at for it."""

    demand: Demand
    checks: tuple[Requirement, ...]
    candidates: tuple[Candidate, ...]

    @cached_property
    def names(self) -> frozenset[str]:
        """Ids of all checks."""
        return frozenset(check.id for check in self.checks)

    def passing(self, dropped: frozenset[str]) -> list[Candidate]:
        """Candidates that pass every check but those named in `dropped`, cheapest first."""
        asked = sum(1 << bit for bit, check in enumerate(self.checks) if check.id not in dropped)
        return [candidate for candidate in self.candidates if not candidate.failing & asked]


def gib_price(gib: float, micro_eur_per_gib: int) -> int:
    """Price of an amount as it is written in decimal, rounded half up to a micro-euro."""
    return floor(_exact(gib) * micro_eur_per_gib + _HALF)


@lru_cache(maxsize=1024)
def _exact(gib: float) -> Fraction:
    return Fraction(repr(gib))


def choices_of(mandate: Mandate, catalogue: Catalogue, market: Market) -> tuple[Choices, ...]:
    """Candidates of every demand, in the mandate's order. Scope `bookable`: what joined sites state, only."""
    return Shop(mandate, catalogue, market).choices()


class Shop:
    """A market in scope, with what is looked up again and again."""

    def __init__(self, mandate: Mandate, catalogue: Catalogue, market: Market) -> None:
        self._mandate = mandate
        self._catalogue = catalogue
        self._market = market
        self._sites = {site.site: site for site in catalogue.sites}
        self._providers = {provider.provider: provider for provider in catalogue.providers}
        self._offers = [offer for offer in catalogue.offers if market == "all" or offer.bookable]
        self._volume_sites = volume_sites_of(catalogue)
        self._volumes = self._volumes_by_site()
        self._leaving = {each.from_component for each in mandate.traffic if each.gib_per_month > 0}
        self._facts: dict[str, Mapping[str, FactValue]] = {}
        self._ids = {id(offer): offer.id for offer in self._offers}
        self._truths: dict[str, dict[str, Truth]] = {}

    def choices(self) -> tuple[Choices, ...]:
        """Candidates of every demand."""
        return tuple(self.choices_for(demand) for demand in self._mandate.demands)

    def choices_for(self, demand: Demand, *, only: str = "") -> Choices:
        """Candidates of one demand: offers of its kinds, or sites for an endpoint. `only`: just that one."""
        asked = _Asked(demand, self._truths)
        found: list[Candidate] = []
        for offer, site in self._places(demand):
            if only and only != (offer.id if offer else site.site):
                continue
            signature = self._signature(asked, offer, site)
            beside = self._beside(demand, offer)
            found.extend(self._candidate(asked, (offer, volume, site), signature) for volume in beside)
        checks = (*demand.requirements, *_own_checks(demand))
        return Choices(demand, checks, tuple(sorted(found, key=lambda each: each.order)))

    def _places(self, demand: Demand) -> Iterator[tuple[Offer | None, Site]]:
        if demand.kind == "endpoint":
            for name, site in self._sites.items():
                if self._market == "all" or name in self._catalogue.runs:
                    yield None, site
            return
        for offer in self._offers:
            if offer.kind in demand.offer_kinds and offer.site in self._sites:
                yield offer, self._sites[offer.site]

    def _signature(self, asked: "_Asked", offer: Offer | None, site: Site) -> tuple[int, int]:
        """Failing and doubtful requirements; the same expression is read once for an offer, whoever asks."""
        name = self._ids[id(offer)] if offer else site.site
        failing = doubtful = 0
        for bit, (expression, known) in enumerate(asked.expressions):
            truth = known.get(name)
            if truth is None:
                truth = known[name] = evaluate(expression, self._facts_of(name, offer, site))
            if truth is not Truth.TRUE:
                failing |= 1 << bit
                doubtful |= (truth is not Truth.FALSE) << bit
        return failing, doubtful

    def _facts_of(self, name: str, offer: Offer | None, site: Site) -> Mapping[str, FactValue]:
        if name not in self._facts:
            self._facts[name] = facts_of(
                offer,
                site,
                self._providers[site.provider],
                self._catalogue,
                volume_sites=self._volume_sites,
            )
        return self._facts[name]

    def _candidate(
        self, asked: "_Asked", goods: tuple[Offer | None, Offer | None, Site], signature: tuple[int, int]
    ) -> Candidate:
        """With the signature of the own checks added; the order is that of `_own_checks`."""
        offer, volume, site = goods
        failing, doubtful = signature
        demand, first = asked.demand, len(asked.expressions)
        price, egress = self._price(demand, offer, volume, site), self._egress(offer)
        if price is None and not failing & asked.price:
            failing, doubtful = failing | 1 << first, doubtful | 1 << first
        if egress is None and demand.component in self._leaving and not failing & asked.egress:
            failing, doubtful = failing | 2 << first, doubtful | 2 << first
        if volume is None and needs_volume(demand, offer) and not failing & asked.disk:
            failing |= 4 << first
        if offer is not None and offer.kind == "postgres" and self._market == "bookable":
            failing |= 8 << first
        return Candidate(offer, volume, site, price, egress, failing, doubtful)

    def _beside(self, demand: Demand, offer: Offer | None) -> list[Offer] | list[None]:
        """Volumes worth buying with an offer: the cheapest, and more where the cheapest could run out."""
        if offer is None or not needs_volume(demand, offer):
            return [None]
        worth: list[Offer] = []
        left = len(self._mandate.demands)
        for volume in self._volumes.get(offer.site, ()):
            worth.append(volume)
            left -= len(self._mandate.demands) if volume.free_units is None else volume.free_units
            if left <= 0:
                break
        return worth or [None]

    def _price(self, demand: Demand, offer: Offer | None, volume: Offer | None, site: Site) -> int | None:
        if offer is None:
            return self._catalogue.endpoint_micro_eur_per_month.get(site.site, 0)
        own = offer_price(demand, offer)
        beside = offer_price(demand, volume) if volume else 0
        return None if own is None or beside is None or own + beside > PRICE_MAX else own + beside

    def _egress(self, offer: Offer | None) -> int | None:
        stated = offer.egress_micro_eur_per_gib if offer else None
        return self._mandate.assume_egress_micro_eur_per_gib if stated is None else stated

    def _volumes_by_site(self) -> dict[str, list[Offer]]:
        """Volumes in scope with a price and a free unit, cheapest first."""
        volumes: dict[str, list[Offer]] = {}
        for offer in self._offers:
            if (
                offer.kind == "volume"
                and offer.price_micro_eur_per_gib_month is not None
                and offer.free_units != 0
            ):
                volumes.setdefault(offer.site, []).append(offer)
        for here in volumes.values():
            here.sort(key=lambda each: (each.price_micro_eur_per_gib_month, each.id))
        return volumes


class _Asked:
    """A demand's expressions with what is known of each, and the bits of those that own checks repeat."""

    def __init__(self, demand: Demand, truths: dict[str, dict[str, Truth]]) -> None:
        self.demand = demand
        self.expressions = [
            (each.expression, truths.setdefault(each.expression.model_dump_json(), {}))
            for each in demand.requirements
        ]
        names = [each.id for each in demand.requirements]
        self.price, self.egress, self.disk = (
            1 << names.index(name) if name in names else 0
            for name in (f"{demand.component}.{what}" for what in ("price", "egress", "disk"))
        )


def needs_volume(demand: Demand, offer: Offer | None) -> bool:
    """Disk is bought apart: the offer has none of its own, and the demand needs some.

    Nothing can be added to a managed database.
    """
    return (
        offer is not None
        and offer.kind not in (*PER_GIB_KINDS, "postgres")
        and offer.disk_gib == 0
        and demand.storage_gib is not None
    )


def offer_price(demand: Demand, offer: Offer) -> int | None:
    """Micro-euros a month of one offer for this demand; None where the price or the amount is not known."""
    if offer.kind not in PER_GIB_KINDS:
        return offer.price_micro_eur_per_month
    if offer.price_micro_eur_per_gib_month is None or demand.storage_gib is None:
        return None
    return gib_price(demand.storage_gib, offer.price_micro_eur_per_gib_month)


def _own_checks(demand: Demand) -> tuple[Requirement, ...]:
    """What a purchase needs whether the mandate asks for it or not. See `_candidate`."""
    name = demand.component
    words = (
        ("price", f"the price of {name}'s offer is known"),
        ("egress", f"the egress price of {name}'s offer is known, because traffic leaves it"),
        ("volume", f"a volume for the disk of {name} is for sale at the same site"),
        ("managed", f"{name} can be moved later: a managed offer has no physical replica"),
    )
    return tuple(
        Requirement(id=f"{name}.{what}", component=name, says=says, expression=_ALWAYS, origin=_DEFAULT)
        for what, says in words
    )
