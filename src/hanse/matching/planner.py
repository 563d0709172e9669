"""`match`: the cheapest placement that satisfies a mandate, or the reasons why there is none."""

from collections.abc import Iterator

from hanse.matching.bundle import Bundle, Solution
from hanse.matching.candidates import (
    PER_GIB_KINDS,
    Candidate,
    Choices,
    Market,
    choices_of,
    gib_price,
    offer_price,
)
from hanse.matching.conflict import conflicts_of
from hanse.matching.explanation import rejections_of, relaxations_of
from hanse.matching.search.problem import Undecided
from hanse.model.application.requirement import Compare, Demand, Expression, Mandate, Traffic
from hanse.model.market.offer import HOURS_PER_MONTH, Catalogue, Offer
from hanse.model.market.plan import NoSolution, Placement, Plan, PriceLine
from hanse.model.shape import canonical_bytes, digest_of
from hanse.rules.facts import RTT_PREFIX, place_of, rtt_ms

MICRO = 1_000_000


def match(mandate: Mandate, catalogue: Catalogue, *, market: Market) -> Plan | NoSolution:
    """The cheapest plan in micro-euros a month, or `NoSolution` with the smallest conflicts.

    Either is proved, or says that it is not: the search takes a bounded number of steps.

    Deterministic: the same mandate and catalogue give the same bytes. `bookable` looks only at what joined
    sites state; `all` at everything listed too. Cost is the price of offers, volumes bought beside them,
    endpoints, and traffic: an amount times the egress price of the offer it leaves, 0 inside one provider.
    Free traffic that an offer includes is not counted, since a provider grants it once for all its buyer's
    applications: a plan may be dearer than the bill, never cheaper.

    An endpoint goes to another provider than the component it exposes and than those this component uses,
    as far as that leaves any plan, whatever it costs; where it does not, the placement has a note.
    """
    choices = choices_of(mandate, catalogue, market)
    bundle = Bundle(mandate, catalogue, choices)
    solution, prefer = _preferred(bundle)
    seen = offers_seen(choices)
    rejections = rejections_of(choices)
    if not isinstance(solution, Solution):
        return NoSolution(
            mandate=digest_of(canonical_bytes(mandate)),
            catalogue_version=catalogue.version,
            market=market,
            proved=solution is None,
            offers_seen=seen,
            conflicts=conflicts_of(bundle, market) if solution is None else (),
            rejections=rejections,
            relaxations=relaxations_of(bundle, rejections, None),
        )
    chosen = dict(zip((each.component for each in mandate.demands), solution.chosen, strict=True))
    return Plan(
        mandate=digest_of(canonical_bytes(mandate)),
        catalogue_version=catalogue.version,
        market=market,
        placements=tuple(_placement(demand, chosen, mandate, catalogue) for demand in mandate.demands),
        traffic=tuple(_traffic_line(each, chosen, mandate) for each in mandate.traffic if each.gib_per_month),
        price_micro_eur_per_month=solution.cost,
        proved_optimal=solution.proved,
        offers_seen=seen,
        rejections=rejections,
        relaxations=relaxations_of(bundle, rejections, solution, prefer=prefer),
    )


Pairs = tuple[tuple[str, str], ...]


def _preferred(bundle: Bundle) -> tuple[Solution | Undecided | None, Pairs]:
    """The cheapest plan with endpoints as far away as possible, and the pairs that it keeps apart."""
    own, used = exposed_pairs(bundle.mandate)
    for prefer in dict.fromkeys(((*own, *used), own)):
        solution = bundle.solve(prefer=prefer)
        if isinstance(solution, Solution) or not prefer:
            return solution, prefer
    return bundle.solve(), ()


def exposed_pairs(mandate: Mandate) -> tuple[Pairs, Pairs]:
    """Each endpoint with the component it exposes, and with those that this component uses."""
    names = {demand.component for demand in mandate.demands}
    owners = {
        demand.component: demand.component.removesuffix("-endpoint")
        for demand in mandate.demands
        if demand.kind == "endpoint" and demand.component.removesuffix("-endpoint") in names
    }
    own = tuple((endpoint, owner) for endpoint, owner in owners.items() if endpoint != owner)
    used = tuple(
        dict.fromkeys(
            (endpoint, each.from_component)
            for endpoint, owner in own
            for each in mandate.traffic
            if each.to_component == owner and each.from_component not in (endpoint, owner)
        )
    )
    return own, used


def offers_seen(choices: tuple[Choices, ...]) -> int:
    """Different offers that were looked at for any demand."""
    return len({each.offer.id for choice in choices for each in choice.candidates if each.offer})


def _placement(
    demand: Demand, chosen: dict[str, Candidate], mandate: Mandate, catalogue: Catalogue
) -> Placement:
    candidate = chosen[demand.component]
    offer = candidate.offer
    return Placement(
        component=demand.component,
        kind=demand.kind,
        site=candidate.site.site,
        offer=candidate.offer_id,
        volume=candidate.volume.id if candidate.volume else "",
        bookable=offer.bookable if offer else candidate.site.site in catalogue.runs,
        price=tuple(_price_lines(demand, candidate, catalogue)),
        notes=tuple(_notes(demand, chosen, mandate, catalogue)),
    )


def _price_lines(demand: Demand, candidate: Candidate, catalogue: Catalogue) -> Iterator[PriceLine]:
    if candidate.offer is None:
        stated = candidate.site.site in catalogue.endpoint_micro_eur_per_month
        how = "as its site states" if stated else "not stated: 0 assumed"
        yield PriceLine(what="endpoint", micro_eur_per_month=candidate.price or 0, how=how)
        return
    for offer in (candidate.offer, candidate.volume):
        if offer is not None:
            what = f"{offer.kind} {offer.name}"
            price = offer_price(demand, offer) or 0
            yield PriceLine(what=what, micro_eur_per_month=price, how=_how(demand, offer, price))


def _how(demand: Demand, offer: Offer, price: int) -> str:
    """The arithmetic in words."""
    if offer.kind in PER_GIB_KINDS:
        each = (offer.price_micro_eur_per_gib_month or 0) / MICRO
        return f"{demand.storage_gib:g} GiB × {each:.6g} EUR/GiB"
    return f"{price / MICRO / HOURS_PER_MONTH:.4g} EUR/h × {HOURS_PER_MONTH} h"


def _traffic_line(each: Traffic, chosen: dict[str, Candidate], mandate: Mandate) -> PriceLine:
    source, target = chosen[each.from_component], chosen[each.to_component]
    what = f"{each.from_component} → {each.to_component}"
    if source.site.provider == target.site.provider:
        how = f"{each.gib_per_month:g} GiB inside {source.site.provider}: free"
        return PriceLine(what=what, micro_eur_per_month=0, how=how)
    egress = source.egress or 0
    how = f"{each.gib_per_month:g} GiB × {egress / MICRO:.6g} EUR/GiB out of {source.site.provider}"
    if _assumed(source, mandate):
        how += " (assumed)"
    return PriceLine(what=what, micro_eur_per_month=gib_price(each.gib_per_month, egress), how=how)


def _assumed(candidate: Candidate, mandate: Mandate) -> bool:
    stated = candidate.offer.egress_micro_eur_per_gib if candidate.offer else None
    return stated is None and mandate.assume_egress_micro_eur_per_gib is not None


def _notes(
    demand: Demand, chosen: dict[str, Candidate], mandate: Mandate, catalogue: Catalogue
) -> Iterator[str]:
    """What a person should know of a placement."""
    candidate = chosen[demand.component]
    site, provider = candidate.site, candidate.site.provider
    leaves = {each.from_component for each in mandate.traffic if each.gib_per_month}
    if demand.component in leaves and _assumed(candidate, mandate):
        assumed = (mandate.assume_egress_micro_eur_per_gib or 0) / MICRO
        yield f"{provider} states no egress price here: {assumed:g} EUR/GiB assumed, as the file says"
    if demand.kind == "endpoint" and site.site not in catalogue.endpoint_micro_eur_per_month:
        yield f"{site.site} has not joined and states no price for an endpoint: 0 assumed"
    if candidate.offer is not None and candidate.offer.kind == "postgres":
        yield f"managed by {provider}: no physical replica, so it is neither bought here nor moved from there"
    own, used = exposed_pairs(mandate)
    for endpoint, other in (*own, *used):
        if endpoint == demand.component and chosen[other].site.provider == provider:
            yield (
                f"stands at {provider} like {other}, because nothing else satisfies the file: "
                f"it will not outlive a fault of {provider}"
            )
    for fact in dict.fromkeys(_places(demand)):
        place = place_of(fact)
        if place is not None:
            delay, asserter = rtt_ms(site, place, catalogue.rtt_ms)
            if asserter != "measured":
                yield f"{delay:.1f} ms to {place[0]:g}, {place[1]:g} comes from distance, not from measuring"


def _places(demand: Demand) -> Iterator[str]:
    for requirement in demand.requirements:
        yield from (fact for fact in facts_in(requirement.expression) if fact.startswith(RTT_PREFIX))


def facts_in(expression: Expression) -> Iterator[str]:
    """Names of all facts that an expression reads, left to right."""
    if isinstance(expression, Compare):
        yield expression.fact
        return
    parts = (expression.part,) if expression.node == "not" else expression.parts
    for part in parts:
        yield from facts_in(part)
