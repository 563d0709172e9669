"""A move is the same mandate with a few more requirements: who stays, and where the others may go. Pure."""

from collections.abc import Iterable, Mapping

from hanse.model.application.requirement import Compare, Demand, Mandate, Origin, Requirement
from hanse.model.market.offer import Catalogue, Offer
from hanse.model.market.plan import Placement

ORIGIN = Origin(rule="asked for by this move")


def at_site(component: str, site: str) -> Requirement:
    """The component stands at this site."""
    return _requirement(
        component, "stands-at", f"{component} stands at {site}", fact="site.id", test="eq", value=site
    )


def at_provider(component: str, provider: str) -> Requirement:
    """The component stands at this provider."""
    says = f"{component} stands with {provider}"
    return _requirement(component, "stands-with", says, fact="provider.id", test="eq", value=provider)


def in_country(component: str, country: str) -> Requirement:
    """The component stands in this country, an ISO 3166-1 code."""
    says = f"{component} stands in {country}"
    return _requirement(component, "stands-in", says, fact="site.country", test="eq", value=country)


def away_from_provider(component: str, provider: str) -> Requirement:
    """The component stands at another provider."""
    says = f"{component} leaves {provider}"
    return _requirement(component, "leaves", says, fact="provider.id", test="ne", value=provider)


def away_from_sites(component: str, sites: Iterable[str], why: str) -> Requirement:
    """The component stands at none of these sites, for the reason given."""
    found = tuple(sorted(sites))
    says = f"{component} does not stand at {', '.join(found)}: {why}"
    return _requirement(component, "not-at", says, fact="site.id", test="not_in", value=found)


def on_offer(component: str, offer: Offer) -> tuple[Requirement, ...]:
    """The component stays on an offer of exactly this size at this site."""
    facts = {
        "offer.kind": offer.kind,
        "offer.vcpu": offer.vcpu,
        "offer.memory_gib": offer.memory_gib,
        "offer.disk_gib": offer.disk_gib,
    }
    says = f"{component} stays on {offer.id}"
    same = tuple(
        _requirement(
            component, f"keeps-{fact.removeprefix('offer.')}", says, fact=fact, test="eq", value=value
        )
        for fact, value in facts.items()
        if value is not None
    )
    return (at_site(component, offer.site), *same)


def narrowed(mandate: Mandate, added: Mapping[str, Iterable[Requirement]]) -> Mandate:
    """The mandate with more requirements, by component of a demand."""
    demands = tuple(_with(demand, tuple(added.get(demand.component, ()))) for demand in mandate.demands)
    return mandate.model_copy(update={"demands": demands})


def with_own_capacity(catalogue: Catalogue, placements: Iterable[Placement]) -> Catalogue:
    """The catalogue with the units free that these placements use already: they may stay."""
    own: dict[str, int] = {}
    for placed in placements:
        for offer in (placed.offer, placed.volume):
            own[offer] = own.get(offer, 0) + 1
    offers = tuple(
        offer.model_copy(update={"free_units": offer.free_units + own[offer.id]})
        if offer.free_units is not None and offer.id in own
        else offer
        for offer in catalogue.offers
    )
    return catalogue.model_copy(update={"offers": offers})


def _with(demand: Demand, added: tuple[Requirement, ...]) -> Demand:
    return demand.model_copy(update={"requirements": (*demand.requirements, *added)})


def _requirement(
    component: str, what: str, says: str, *, fact: str, test: str, value: str | float | tuple[str, ...]
) -> Requirement:
    compare = Compare.model_validate({"fact": fact, "test": test, "value": value})
    return Requirement(
        id=f"{component}.{what}", component=component, says=says, expression=compare, origin=ORIGIN
    )
