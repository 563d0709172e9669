"""Every placement that a group of moves passes through, against a judge that shares no code with it."""

import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from market_oracle import Oracle
from market_world import FILE, asks, market, random_mandate, random_market, site, vm

from hanse.hub.planning.parts import Part
from hanse.hub.planning.prefixes import Prefixes
from hanse.model.application.requirement import Demand, GroupRequirement, Mandate
from hanse.model.market.offer import Catalogue
from hanse.model.market.plan import Placement, PriceLine
from hanse.replicas.groups import Group, GroupMove, NoOrder, order_moves

SEEDS = st.integers(0, 2**48)
THOROUGH = settings(max_examples=300, deadline=None, derandomize=True, database=None)


def placement(oracle: Oracle, demand: Demand, choice) -> Placement:
    """A choice of the oracle, as the hub keeps it."""
    offer, volume, where = choice
    goods = [each for each in (offer, volume) if each is not None]
    prices = [oracle.price(demand, (each, None, where)) for each in goods]
    prices = prices or [oracle.price(demand, choice)]
    return Placement(
        component=demand.component,
        kind=demand.kind,
        site=where.site,
        offer=offer.id if offer else "",
        volume=volume.id if volume else "",
        bookable=True,
        price=tuple(PriceLine(what="", micro_eur_per_month=price, how="") for price in prices),
    )


def part(placed: Placement) -> Part:
    return Part(placed.component, placed.component, placed.kind, placed.site, placed)


def endless(catalogue: Catalogue) -> Catalogue:
    """Units left are counted when the last placement is planned, not on the way."""
    offers = tuple(each.model_copy(update={"free_units": None}) for each in catalogue.offers)
    return catalogue.model_copy(update={"offers": offers})


class Case:
    """An odd market, where an application stands and where it wants to be; empty if it cannot be."""

    def __init__(self, seed: int) -> None:
        dice = random.Random(seed)  # noqa: S311
        mandate, catalogue = random_mandate(dice), endless(random_market(dice))
        self.oracle = Oracle(mandate, catalogue, "bookable")
        options = [self.oracle.options(demand, frozenset()) for demand in mandate.demands]
        bundles = [
            dict(zip(self.oracle.names, each, strict=True))
            for each in itertools.islice(itertools.product(*options), 300)
        ]
        legal = [each for each in bundles if self.is_legal(each, {})]
        self.ends = dice.sample(legal, 2) if len(legal) > 1 else []
        if self.ends:
            demands = {each.component: each for each in mandate.demands}
            before, after = (
                {name: placement(self.oracle, demands[name], choice) for name, choice in end.items()}
                for end in self.ends
            )
            self.movers = [name for name in before if before[name].site != after[name].site]
            self.kept = frozenset(name for name in self.movers if dice.random() < 0.5)
            parts = {name: part(placed) for name, placed in before.items()}
            moving = {name: after[name] for name in self.movers}
            self.prefixes = Prefixes(mandate, catalogue, parts, moving, self.kept)

    def is_legal(self, bundle, extra) -> bool:
        """Every rule between components, with `extra` paid for ways back of some of them."""
        for rule in self.oracle.mandate.group:
            if rule.kind == "budget":
                own = rule.components or tuple(bundle)
                parts = self.oracle.parts(bundle)
                spent = sum(parts[name] + extra.get(name, 0) for name in own)
                if spent > rule.limit_micro_eur_per_month:
                    return False
            elif not self.oracle.rule(rule, 0, bundle):
                return False
        return True

    def stands(self, done) -> bool:
        """Whether it may stand so once these have moved, by trying the rules anew."""
        before, after = self.ends
        bundle = {name: after[name] if name in done else before[name] for name in before}
        demands = {each.component: each for each in self.oracle.mandate.demands}
        kept = {
            name: self.oracle.price(demands[name], before[name])
            for name in before
            if name in done & self.kept
        }
        return self.is_legal(bundle, kept)


@THOROUGH
@given(SEEDS)
def test_a_placement_on_the_way_is_legal_exactly_when_the_stranger_finds_it_so(seed):
    case = Case(seed)
    names = case.movers if case.ends else []
    for size in range(1, len(names) + 1):
        for done in map(frozenset, itertools.combinations(names, size)):
            assert (not case.prefixes.breaks(done)) == case.stands(done), case.prefixes.breaks(done)


@THOROUGH
@given(SEEDS)
def test_an_order_has_only_legal_prefixes_and_is_found_if_there_is_one(seed):
    case = Case(seed)
    if not case.ends:
        return
    good = [
        order
        for order in itertools.permutations(case.movers)
        if all(case.stands(frozenset(order[:size])) for size in range(1, len(order) + 1))
    ]
    sites = {name: each.site for name, each in case.prefixes.parts.items()}
    moves = [GroupMove(name, case.prefixes.after[name].site) for name in case.movers]
    found = order_moves(Group(sites), moves, lambda _a, _b: True, breaks=case.prefixes.breaks)
    if good:
        assert tuple(each.component for each in found) in good
    else:
        assert isinstance(found, NoOrder)


APART = GroupRequirement(
    id="apart-1", kind="apart", components=("a", "b"), level="provider", says="a and b apart", origin=FILE
)
HALLS = [site(f"{name}/hall") for name in ("elm", "fir", "oak")]


def swapping() -> Prefixes:
    """a goes to where b is; b goes elsewhere; never both with one provider."""
    offers = [vm(each.site, "small", 10, bookable=True) for each in HALLS]
    demands = tuple(
        Demand(
            component=name,
            kind="container",
            offer_kinds=("vm",),
            requirements=(asks(name, "countries", "site.country", "in", ("IT",)),),
        )
        for name in ("a", "b")
    )
    mandate = Mandate(application="app", demands=demands, group=(APART,))
    catalogue = market(HALLS, offers, runs={each.site: ("container",) for each in HALLS})
    oracle = Oracle(mandate, catalogue, "bookable")
    at = {
        (demand.component, offer.site): placement(oracle, demand, (offer, None, oracle.sites[offer.site]))
        for demand in demands
        for offer in offers
    }
    before = {"a": part(at["a", "elm/hall"]), "b": part(at["b", "fir/hall"])}
    after = {"a": at["a", "fir/hall"], "b": at["b", "oak/hall"]}
    return Prefixes(mandate, catalogue, before, after, frozenset())


def test_who_would_break_a_rule_by_going_first_goes_second():
    prefixes = swapping()
    moves = [GroupMove("a", "fir/hall"), GroupMove("b", "oak/hall")]
    sites = {"a": "elm/hall", "b": "fir/hall"}
    found = order_moves(Group(sites), moves, lambda _a, _b: True, breaks=prefixes.breaks)
    assert [each.component for each in found] == ["b", "a"]
    assert prefixes.breaks(frozenset("a")) == ("breaks apart-1: a and b apart",)


def test_what_is_broken_before_the_first_move_is_not_held_against_it():
    prefixes = swapping()
    dearer = tuple(
        offer.model_copy(update={"price_micro_eur_per_month": 99}) if offer.site == "elm/hall" else offer
        for offer in prefixes.catalogue.offers
    )
    prefixes.catalogue = prefixes.catalogue.model_copy(update={"offers": dearer})
    assert prefixes.breaks(frozenset("b")) == ()
