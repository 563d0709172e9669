"""Why not: per offer, per requirement, and the one change that would open most."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from hanse.matching.bundle import Bundle, Solution
from hanse.matching.candidates import Candidate, Choices, Market, Shop
from hanse.model.application.requirement import GroupRequirement, Mandate
from hanse.model.market.offer import Catalogue
from hanse.model.market.plan import OfferReasons, Rejections, Relaxation

REPLANNED_MAX = 8
"""So many requirements are left out one after the other to see what that saves."""
LISTED_MAX = 8
_NOT_THE_BUYERS = ("kind", "price", "free", "runs", "volume", "managed")
"""What the market must say, not the file: leaving it out changes nothing."""
_UNPRICED = ("egress", "disk")
"""Leaving these out opens offers whose real price nobody knows, so no saving is stated."""
MICRO = 1_000_000
Pairs = tuple[tuple[str, str], ...]


def offer_reasons(
    mandate: Mandate, catalogue: Catalogue, component: str, offer_id: str, *, market: Market = "all"
) -> OfferReasons | None:
    """Which requirements keep an offer from carrying a component; `failing` is empty if none does.

    None when the mandate has no such component, or no such offer of a kind that it can use is in the market.
    For an endpoint, `offer_id` is the site's id.
    """
    demand = next((each for each in mandate.demands if each.component == component), None)
    if demand is None:
        return None
    choice = Shop(mandate, catalogue, market).choices_for(demand, only=offer_id)
    if not choice.candidates:
        return None
    candidate = choice.candidates[0]
    return OfferReasons(
        component=component,
        offer=offer_id,
        failing=_named(choice, candidate.failing),
        unknown=_named(choice, candidate.doubtful),
    )


def _named(choice: Choices, signature: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.id for bit, each in enumerate(choice.checks) if signature >> bit & 1))


def rejections_of(choices: Iterable[Choices]) -> tuple[Rejections, ...]:
    """How many offers (sites, for an endpoint) each requirement rejected, and how many it alone rejected."""
    found: list[Rejections] = []
    for choice in choices:
        alone = Counter[int]()
        rejected = Counter[int]()
        for signature, count in _signatures(choice).items():
            bits = [bit for bit in range(signature.bit_length()) if signature >> bit & 1]
            rejected.update(dict.fromkeys(bits, count))
            if len(bits) == 1:
                alone[bits[0]] += count
        found.extend(
            Rejections(
                requirement=check.id,
                component=check.component,
                says=check.says,
                origin=check.origin,
                rejected=rejected[bit],
                rejected_alone=alone[bit],
            )
            for bit, check in enumerate(choice.checks)
            if rejected[bit]
        )
    return tuple(found)


def _signatures(choice: Choices) -> Counter[int]:
    """How often each set of failing checks occurs; an offer counts once, whatever is bought beside it."""
    once: dict[tuple[str, str], Candidate] = {}
    for candidate in choice.candidates:
        once.setdefault((candidate.site.site, candidate.offer_id), candidate)
    return Counter(candidate.failing for candidate in once.values())


def relaxations_of(
    bundle: Bundle, rejections: Sequence[Rejections], solution: Solution | None, *, prefer: Pairs = ()
) -> tuple[Relaxation, ...]:
    """Single changes to the file, the one that opens most first; after no solution, those that give a plan.

    The most promising are really planned without: what they save, or cost, can be had.
    """
    opening = sorted(
        (each for each in rejections if each.rejected_alone and _what(each) not in _NOT_THE_BUYERS),
        key=lambda each: (-each.rejected_alone, each.requirement),
    )
    groups = bundle.mandate.group
    sites = {each.demand.component for each in bundle.choices if each.demand.kind == "endpoint"}
    priced = [each.requirement for each in opening if _what(each) not in _UNPRICED]
    trials = [*priced[:REPLANNED_MAX], *(rule.id for rule in groups[:REPLANNED_MAX])]
    costs = {name: cost for name in trials if (cost := _cost_without(bundle, name, prefer)) is not None}
    changes = [
        *(
            _relaxation(each, "site" if each.component in sites else "offer", costs, solution)
            for each in opening
        ),
        *(_relaxation(rule, "", costs, solution) for rule in groups),
    ]
    if solution is None:
        useful = [each for each in changes if each.opens_offers or each.requirement in costs]
        useful.sort(key=lambda each: each.requirement not in costs)
    else:
        useful = [each for each in changes if each.opens_offers or each.saves_micro_eur_per_month]
    return tuple(useful[:LISTED_MAX])


def _what(rejections: Rejections) -> str:
    """`country` of `images.country`."""
    return rejections.requirement.rpartition(".")[2]


def _cost_without(bundle: Bundle, requirement: str, prefer: Pairs) -> int | None:
    solution = bundle.solve(frozenset({requirement}), prefer=prefer, trial=True)
    return solution.cost if isinstance(solution, Solution) else None


def _relaxation(
    of: Rejections | GroupRequirement, noun: str, costs: Mapping[str, int], solution: Solution | None
) -> Relaxation:
    name, opens = (of.requirement, of.rejected_alone) if isinstance(of, Rejections) else (of.id, 0)
    cost = costs.get(name)
    saves = None
    words = f"without “{of.says}”"
    if opens:
        words += f": {opens} more {noun}{'s' if opens > 1 else ''}"
    if solution is None and cost is not None:
        words += f"; then there is a plan for {cost / MICRO:.2f} EUR a month"
    elif solution is not None and cost is not None and cost < solution.cost:
        saves = solution.cost - cost
        words += f"; saves {saves / MICRO:.2f} EUR a month"
    return Relaxation(requirement=name, says=words, opens_offers=opens, saves_micro_eur_per_month=saves)
