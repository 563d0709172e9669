"""What stands, what is bought and what is broken while an application moves part by part. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hanse.hub.planning.narrow import with_own_capacity
from hanse.hub.planning.parts import Part, price_of
from hanse.matching.candidates import gib_price
from hanse.matching.verify import verify
from hanse.model.application.requirement import GroupRequirement, Mandate
from hanse.model.market.offer import Catalogue
from hanse.model.market.plan import Placement, Plan, PriceLine, Violation
from hanse.model.shape import canonical_bytes, digest_of

MICRO = 1_000_000
Done = frozenset[str]
NOTHING: Done = frozenset()


@dataclass(slots=True)
class Prefixes:
    """The placements that a group of moves passes through, each judged by the verifier.

    A prefix is named by the parts whose moves are done. What the application breaks before its first move
    is not held against a move: it may be the reason for moving.
    """

    mandate: Mandate
    catalogue: Catalogue
    parts: Mapping[str, Part]
    after: Mapping[str, Placement]
    """Where each mover goes."""
    kept: frozenset[str]
    """Movers whose old place stays bought for a while."""
    _judged: dict[Done, tuple[str, ...]] = field(default_factory=dict)
    _excused: frozenset[str] | None = None
    _market: Catalogue | None = None

    def breaks(self, done: Done) -> tuple[str, ...]:
        """What this prefix breaks, in words; empty if it is legal."""
        if done not in self._judged:
            if self._excused is None:
                self._excused = self._broken_already()
            found = self._violations(self.placements(done), self.ways_back(done))
            self._judged[done] = tuple(_words(each) for each in found if _id(each) not in self._excused)
        return self._judged[done]

    def placements(self, done: Done) -> tuple[Placement, ...]:
        """Who stands where, in the mandate's order."""
        names = [demand.component for demand in self.mandate.demands]
        return tuple(self.after[name] if name in done else self.parts[name].placement for name in names)

    def ways_back(self, done: Done) -> dict[str, tuple[Placement, ...]]:
        """By part: places that are paid for beside the one that it stands at."""
        return {name: tuple(self._ways_back_of(part, done)) for name, part in self.parts.items()}

    def _ways_back_of(self, part: Part, done: Done) -> Iterator[Placement]:
        if part.name not in done:
            yield from part.ways_back
            return
        target = self.after[part.name].site
        if part.is_endpoint:
            yield from (each for each in part.ways_back if each.site != target)
        if part.name in self.kept:
            yield part.placement

    def traffic(self, done: Done) -> tuple[PriceLine, ...]:
        """What flows out of providers a month."""
        placed = {each.component: each for each in self.placements(done)}
        return traffic_lines(self.mandate, placed, self.catalogue)

    def price(self, done: Done) -> int:
        """Micro-euros a month for what stands, with traffic, without ways back."""
        return _total(self.placements(done), self.traffic(done))

    def price_of_ways_back(self, done: Done) -> int:
        """Micro-euros a month for ways back."""
        return sum(price_of(each) for places in self.ways_back(done).values() for each in places)

    def _broken_already(self) -> frozenset[str]:
        """Of the present placements; and what is peculiar to ways back because they were bought earlier."""
        now = self._violations(self.placements(NOTHING), self.ways_back(NOTHING))
        back = {
            name: next((each for each in part.ways_back if each == self.after.get(name)), part.placement)
            for name, part in self.parts.items()
        }
        names = [demand.component for demand in self.mandate.demands]
        then = self._violations(tuple(back[name] for name in names), {})
        return frozenset(_id(each) for each in (*now, *(each for each in then if each.component)))

    def _violations(
        self, placements: Sequence[Placement], ways_back: Mapping[str, Sequence[Placement]]
    ) -> tuple[Violation, ...]:
        mandate = _with_ways_back(self.mandate, ways_back)
        catalogue = self._market = self._market or self._relevant()
        placed = {each.component: each for each in placements}
        traffic = traffic_lines(mandate, placed, catalogue)
        plan = Plan(
            mandate=digest_of(canonical_bytes(mandate)),
            catalogue_version=catalogue.version,
            market="bookable",
            placements=tuple(placements),
            traffic=traffic,
            price_micro_eur_per_month=_total(placements, traffic),
            offers_seen=0,
            rejections=(),
        )
        return verify(plan, mandate, catalogue)

    def _relevant(self) -> Catalogue:
        """Only what these sites offer, with the units free that the application uses itself."""
        own = [part.placement for part in self.parts.values()]
        own += [each for part in self.parts.values() for each in part.ways_back]
        sites = {each.site for each in (*own, *self.after.values())}
        offers = tuple(offer for offer in self.catalogue.offers if offer.site in sites)
        return with_own_capacity(self.catalogue.model_copy(update={"offers": offers}), own)


def traffic_lines(
    mandate: Mandate, placed: Mapping[str, Placement], catalogue: Catalogue
) -> tuple[PriceLine, ...]:
    """Each flow of the mandate at the egress price of the offer that it leaves; 0 inside one provider."""
    egress = {offer.id: offer.egress_micro_eur_per_gib for offer in catalogue.offers}
    lines = []
    for flow in mandate.traffic:
        if not flow.gib_per_month:
            continue
        source, target = placed[flow.from_component], placed[flow.to_component]
        provider, price = provider_of(source.site), egress.get(source.offer)
        assumed = price is None and mandate.assume_egress_micro_eur_per_gib is not None
        each = (mandate.assume_egress_micro_eur_per_gib if price is None else price) or 0
        how = f"{flow.gib_per_month:g} GiB × {each / MICRO:.6g} EUR/GiB out of {provider}"
        if provider == provider_of(target.site):
            each, how = 0, f"{flow.gib_per_month:g} GiB inside {provider}: free"
        elif assumed:
            how += " (assumed)"
        what = f"{flow.from_component} → {flow.to_component}"
        amount = gib_price(flow.gib_per_month, each)
        lines.append(PriceLine(what=what, micro_eur_per_month=amount, how=how))
    return tuple(lines)


def provider_of(site: str) -> str:
    """The first half of `provider/site`."""
    return site.partition("/")[0]


def _total(placements: Sequence[Placement], traffic: Sequence[PriceLine]) -> int:
    return sum(map(price_of, placements)) + sum(line.micro_eur_per_month for line in traffic)


def _with_ways_back(mandate: Mandate, ways_back: Mapping[str, Sequence[Placement]]) -> Mandate:
    """Budgets less what ways back take of them, so that all that is bought at that moment fits."""
    costs = {name: sum(map(price_of, places)) for name, places in ways_back.items()}
    return mandate.model_copy(update={"group": tuple(_lessened(rule, costs) for rule in mandate.group)})


def _lessened(rule: GroupRequirement, costs: Mapping[str, int]) -> GroupRequirement:
    names = rule.components or tuple(costs)
    taken = sum(costs.get(name, 0) for name in names)
    if rule.kind != "budget" or rule.limit_micro_eur_per_month is None or not taken:
        return rule
    return rule.model_copy(
        update={
            "limit_micro_eur_per_month": rule.limit_micro_eur_per_month - taken,
            "says": f"{rule.says}, and ways back would take {taken / MICRO:.2f} EUR of it",
        }
    )


def _id(violation: Violation) -> str:
    """The same for the same rule, whatever amounts it names."""
    return f"{violation.component} {violation.what.partition(':')[0]}"


def _words(violation: Violation) -> str:
    return f"{violation.component} {violation.what}".strip()
