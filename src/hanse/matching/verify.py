"""The verifier: judges a plan as a stranger. It shares no code with what made the plan.

It reads facts, evaluates requirements and adds up prices by itself, from the rules in the design: integer
micro-euros, amounts priced per GiB rounded half up, traffic charged once where it leaves a provider.
"""

import math
from collections import Counter
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal, localcontext

from hanse.model.application.requirement import Compare, Demand, Expression, GroupRequirement, Mandate
from hanse.model.market.offer import Catalogue, Offer, Site
from hanse.model.market.plan import Placement, Plan, Violation
from hanse.model.shape import canonical_bytes, digest_of

_PER_GIB = {"bucket", "volume"}
_KNOWS_TRUE, _KNOWS_FALSE, _DOUBT = "yes", "no", "doubt"


def verify(plan: Plan, mandate: Mandate, catalogue: Catalogue) -> tuple[Violation, ...]:
    """Everything that is wrong with a plan; empty when each promise in it holds.

    Judges whether the plan is allowed and adds up, not whether a cheaper one exists.
    """
    return tuple(_Judge(plan, mandate, catalogue).violations())


class _Judge:
    """One plan on the bench."""

    def __init__(self, plan: Plan, mandate: Mandate, catalogue: Catalogue) -> None:
        self._plan = plan
        self._mandate = mandate
        self._catalogue = catalogue
        self._offers = {offer.id: offer for offer in catalogue.offers}
        self._sites = {site.site: site for site in catalogue.sites}
        self._parents = {each.provider: each for each in catalogue.providers}
        self._placed = {placement.component: placement for placement in plan.placements}

    def violations(self) -> Iterator[Violation]:
        """Broken shape first; what cannot be found is not judged further."""
        yield from self._identity()
        broken = list(self._completeness())
        yield from broken
        if broken:
            return
        for demand in self._mandate.demands:
            placement = self._placed[demand.component]
            flaws = list(self._goods(demand, placement))
            yield from flaws
            if not flaws:
                yield from self._requirements(demand, placement)
                yield from self._prices(demand, placement)
        yield from self._capacity()
        yield from self._traffic()
        yield from self._total()
        for rule in self._mandate.group:
            yield from self._group(rule)

    def _identity(self) -> Iterator[Violation]:
        if self._plan.mandate != digest_of(canonical_bytes(self._mandate)):
            yield Violation(what="the plan is for another mandate")
        if self._plan.catalogue_version != self._catalogue.version:
            yield Violation(what="the plan was made on another version of the catalogue")

    def _completeness(self) -> Iterator[Violation]:
        wanted = {demand.component: demand for demand in self._mandate.demands}
        count = Counter(placement.component for placement in self._plan.placements)
        for name in wanted.keys() - count.keys():
            yield Violation(what="is not placed", component=name)
        for name, times in sorted(count.items()):
            if name not in wanted:
                yield Violation(what="is placed but nobody asked for it", component=name)
            elif times > 1:
                yield Violation(what=f"is placed {times} times", component=name)
        for placement in self._plan.placements:
            if placement.site not in self._sites:
                yield Violation(
                    what=f"stands at unknown site {placement.site}", component=placement.component
                )
            elif placement.component in wanted and placement.kind != wanted[placement.component].kind:
                yield Violation(what=f"is placed as a {placement.kind}", component=placement.component)

    def _goods(self, demand: Demand, placement: Placement) -> Iterator[Violation]:
        """The things bought exist, are at the site, are of the kind, and may be bought in this market."""
        name, joined = demand.component, placement.site in self._catalogue.runs
        if demand.kind == "endpoint":
            if placement.offer or placement.volume:
                yield Violation(what="an endpoint buys no offer", component=name)
            if placement.bookable != joined or (self._plan.market == "bookable" and not joined):
                yield Violation(what="an endpoint is bookable at a joined site only", component=name)
            return
        for bought in (placement.offer, placement.volume):
            offer = self._offers.get(bought)
            if offer is None:
                if bought or bought == placement.offer:
                    yield Violation(what=f"buys unknown offer {bought!r}", component=name)
            elif offer.site != placement.site:
                yield Violation(what=f"buys {bought}, which is at another site", component=name)
            elif self._plan.market == "bookable" and not offer.bookable:
                yield Violation(what=f"buys {bought}, which is listed only", component=name)
        offer = self._offers.get(placement.offer)
        if offer is not None:
            yield from self._fit(demand, placement, offer)

    def _fit(self, demand: Demand, placement: Placement, offer: Offer) -> Iterator[Violation]:
        name = demand.component
        if offer.kind not in demand.offer_kinds:
            yield Violation(what=f"cannot be carried by an offer of kind {offer.kind}", component=name)
        if placement.bookable != offer.bookable:
            yield Violation(what="says wrongly whether its offer is bookable", component=name)
        if offer.kind == "postgres" and self._plan.market == "bookable":
            yield Violation(what="a managed database has no physical replica", component=name)
        volume = self._offers.get(placement.volume)
        may_add = offer.kind not in _PER_GIB and offer.kind != "postgres"
        without_disk = may_add and offer.disk_gib == 0 and demand.storage_gib is not None
        if without_disk != (volume is not None):
            what = "needs a volume and buys none" if without_disk else "buys a volume that it does not need"
            yield Violation(what=what, component=name)
        if volume is not None and volume.kind != "volume":
            yield Violation(what=f"buys {volume.id} as a volume", component=name)

    def _requirements(self, demand: Demand, placement: Placement) -> Iterator[Violation]:
        offer = self._offers.get(placement.offer)
        site = self._sites[placement.site]
        for requirement in demand.requirements:
            found = self._truth(requirement.expression, offer, site)
            if found != _KNOWS_TRUE:
                doubt = " (not known)" if found == _DOUBT else ""
                yield Violation(
                    what=f"breaks {requirement.id}{doubt}: {requirement.says}", component=demand.component
                )

    def _truth(self, expression: Expression, offer: Offer | None, site: Site) -> str:
        if isinstance(expression, Compare):
            return _compared(expression, self._fact(expression.fact, offer, site))
        if expression.node == "not":
            inner = self._truth(expression.part, offer, site)
            return {_KNOWS_TRUE: _KNOWS_FALSE, _KNOWS_FALSE: _KNOWS_TRUE}.get(inner, _DOUBT)
        parts = [self._truth(part, offer, site) for part in expression.parts]
        deciding, otherwise = (
            (_KNOWS_FALSE, _KNOWS_TRUE) if expression.node == "all" else (_KNOWS_TRUE, _KNOWS_FALSE)
        )
        if deciding in parts:
            return deciding
        return _DOUBT if _DOUBT in parts else otherwise

    def _fact(self, name: str, offer: Offer | None, site: Site) -> object:
        """Value of a fact, a set of values, or None where nobody says."""
        if name.startswith("rtt_ms:"):
            return self._rtt_to(site, name.removeprefix("rtt_ms:"))
        subject, _, field = name.partition(".")
        if subject == "provider":
            owner = self._parents[site.provider]
            return owner.provider if field == "id" else getattr(owner, field, None)
        if subject == "site":
            return self._site_fact(field, site)
        return None if offer is None else _offer_fact(field, offer)

    def _site_fact(self, field: str, site: Site) -> object:
        if field == "joined":
            return site.site in self._catalogue.runs
        if field == "runs":
            runs = self._catalogue.runs.get(site.site)
            return None if runs is None else frozenset(runs)
        if field == "volume_price_known":
            return any(
                each.site == site.site and each.kind == "volume" and _unit_price(each) is not None
                for each in self._catalogue.offers
            )
        plain = {
            "id": site.site,
            "country": site.country,
            "city": site.city,
            "kind": site.kind,
            "renewable": site.renewable,
        }
        return plain.get(field)

    def _rtt_to(self, site: Site, place: str) -> float:
        measured = self._catalogue.rtt_ms.get(f"{site.site}>{place}")
        if measured is not None:
            return measured
        latitude, longitude = (float(part) for part in place.split(","))
        return _rtt_by_distance((site.latitude, site.longitude), (latitude, longitude))

    def _prices(self, demand: Demand, placement: Placement) -> Iterator[Violation]:
        """Line by line: the offer, then the volume; an endpoint costs what its site states."""
        if demand.kind == "endpoint":
            expected: list[int | None] = [self._catalogue.endpoint_micro_eur_per_month.get(placement.site, 0)]
        else:
            bought = [self._offers[each] for each in (placement.offer, placement.volume) if each]
            expected = [_price(offer, demand) for offer in bought]
        stated = [line.micro_eur_per_month for line in placement.price]
        if None in expected:
            yield Violation(what="is bought at an unknown price", component=demand.component)
        elif stated != expected:
            yield Violation(what=f"states prices {stated}, they are {expected}", component=demand.component)

    def _capacity(self) -> Iterator[Violation]:
        used = Counter(
            bought for each in self._plan.placements for bought in (each.offer, each.volume) if bought
        )
        for bought, units in sorted(used.items()):
            offer = self._offers.get(bought)
            if offer is not None and offer.free_units is not None and units > offer.free_units:
                yield Violation(what=f"buys {units} units of {bought}, {offer.free_units} are free")

    def _traffic(self) -> Iterator[Violation]:
        flows = [flow for flow in self._mandate.traffic if flow.gib_per_month]
        stated = [line.micro_eur_per_month for line in self._plan.traffic]
        if len(flows) != len(stated):
            yield Violation(what=f"states {len(stated)} traffic lines, there are {len(flows)} flows")
            return
        for flow, amount in zip(flows, stated, strict=True):
            source, target = self._placed[flow.from_component], self._placed[flow.to_component]
            offer = self._offers.get(source.offer)
            egress = offer.egress_micro_eur_per_gib if offer else None
            if egress is None:
                egress = self._mandate.assume_egress_micro_eur_per_gib
            if egress is None:
                yield Violation(what="lets traffic out at an unknown price", component=flow.from_component)
                continue
            same = self._sites[source.site].provider == self._sites[target.site].provider
            expected = 0 if same else _amount_price(flow.gib_per_month, egress)
            if amount != expected:
                what = f"states {amount} for traffic to {flow.to_component}, it is {expected}"
                yield Violation(what=what, component=flow.from_component)

    def _total(self) -> Iterator[Violation]:
        lines = [line for placement in self._plan.placements for line in placement.price]
        total = sum(line.micro_eur_per_month for line in (*lines, *self._plan.traffic))
        if total != self._plan.price_micro_eur_per_month:
            yield Violation(what=f"states a total of {self._plan.price_micro_eur_per_month}, it is {total}")

    def _group(self, rule: GroupRequirement) -> Iterator[Violation]:
        places = [self._sites[self._placed[name].site] for name in dict.fromkeys(rule.components)]
        holds = True
        if rule.kind == "budget":
            limit = rule.limit_micro_eur_per_month
            holds = limit is None or self._cost_of(rule) <= limit
        elif rule.kind == "latency-between":
            pairs = [(one, other) for at, one in enumerate(places) for other in places[at + 1 :]]
            holds = rule.limit_ms is None or all(self._rtt(*pair) <= rule.limit_ms for pair in pairs)
        elif rule.level is not None:
            different = len({str(getattr(place, rule.level)) for place in places})
            holds = different == (len(places) if rule.kind == "apart" else 1)
        if not holds:
            yield Violation(what=f"breaks {rule.id}: {rule.says}")

    def _cost_of(self, rule: GroupRequirement) -> int:
        if not rule.components:
            return self._plan.price_micro_eur_per_month
        own = sum(
            line.micro_eur_per_month
            for name in dict.fromkeys(rule.components)
            for line in self._placed[name].price
        )
        flows = [flow for flow in self._mandate.traffic if flow.gib_per_month]
        out = zip(flows, self._plan.traffic, strict=False)
        return own + sum(
            line.micro_eur_per_month for flow, line in out if flow.from_component in rule.components
        )

    def _rtt(self, one: Site, other: Site) -> float:
        """Measured, the slower direction of the two where both were; by distance where neither was."""
        there = self._catalogue.rtt_ms.get(f"{one.site}>{other.site}")
        back = self._catalogue.rtt_ms.get(f"{other.site}>{one.site}")
        if there is not None or back is not None:
            return max(there or 0.0, back or 0.0)
        return _rtt_by_distance((one.latitude, one.longitude), (other.latitude, other.longitude))


def _offer_fact(field: str, offer: Offer) -> object:
    if field == "price_known":
        return _unit_price(offer) is not None
    if field == "egress_known":
        return offer.egress_micro_eur_per_gib is not None
    if field == "available":
        return offer.free_units != 0
    plain = {"kind", "vcpu", "memory_gib", "disk_gib", "bookable", "free_units"}
    return getattr(offer, field) if field in plain else None


def _unit_price(offer: Offer) -> int | None:
    per_gib = offer.kind in _PER_GIB
    return offer.price_micro_eur_per_gib_month if per_gib else offer.price_micro_eur_per_month


def _price(offer: Offer, demand: Demand) -> int | None:
    unit = _unit_price(offer)
    if offer.kind not in _PER_GIB or unit is None:
        return unit
    return None if demand.storage_gib is None else _amount_price(demand.storage_gib, unit)


def _amount_price(gib: float, micro_eur: int) -> int:
    """The amount as it is written in decimal; half a micro-euro counts up."""
    with localcontext() as exact:
        exact.prec = 60
        return int((Decimal(str(gib)) * micro_eur).to_integral_value(ROUND_HALF_UP))


def _compared(test: Compare, value: object) -> str:
    """A set has or lacks the constant; numbers are ordered; other types than the constant's are doubt."""
    listed = test.test in ("in", "not_in")
    if value is None or listed != isinstance(test.value, tuple):
        return _DOUBT
    wanted = test.value if isinstance(test.value, tuple) else (test.value,)
    if test.test in ("lt", "le", "gt", "ge"):
        return _ordered(test.test, value, wanted[0])
    members = value if isinstance(value, frozenset) else (value,)
    known = [one == other for one in members for other in wanted if _sort(one) == _sort(other)]
    if any(known):
        has = True
    elif len(known) < len(members) * len(wanted):
        return _DOUBT
    else:
        has = False
    return _KNOWS_TRUE if has == (test.test in ("eq", "in")) else _KNOWS_FALSE


def _ordered(test: str, value: object, bound: object) -> str:
    if _sort(value) != "number" or _sort(bound) != "number":
        return _DOUBT
    one, other = float(str(value)), float(str(bound))
    holds = {"lt": one < other, "le": one <= other, "gt": one > other, "ge": one >= other}[test]
    return _KNOWS_TRUE if holds else _KNOWS_FALSE


def _sort(value: object) -> str:
    if isinstance(value, bool):
        return "truth"
    return "number" if isinstance(value, int | float) else "text"


def _rtt_by_distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    """0.015 ms a kilometre of great circle and 2 ms; the angle by vectors, radius 6371.0088 km."""

    def vector(place: tuple[float, float]) -> tuple[float, float, float]:
        latitude, longitude = math.radians(place[0]), math.radians(place[1])
        flat = math.cos(latitude)
        return (flat * math.cos(longitude), flat * math.sin(longitude), math.sin(latitude))

    start, end = vector(one), vector(other)
    chord = math.dist(start, end)
    return round(0.015 * 6371.0088 * 2 * math.asin(min(1.0, chord / 2)) + 2, 9)
