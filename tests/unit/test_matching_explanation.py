"""What a person reads: reasons per offer, counts, changes that help, smallest conflicts."""

import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from market_world import FILE, asks, market, per_gib, site, vm

from hanse.matching.conflict import hitting_sets, minimal_conflicts
from hanse.matching.explanation import offer_reasons
from hanse.matching.planner import match
from hanse.model.application.requirement import Demand, GroupRequirement, Mandate, Traffic
from hanse.model.market.plan import NoSolution, Plan

SITES = [site("alba/mi", "IT"), site("brume/par", "FR"), site("clar/mad", "ES")]
OFFERS = [
    vm("alba/mi", "small", 10_000_000, vcpu=1.0),
    vm("alba/mi", "big", 40_000_000, vcpu=8.0),
    vm("brume/par", "mid", 20_000_000, vcpu=4.0),
    vm("clar/mad", "blank", 5_000_000, vcpu=None),
]
CATALOGUE = market(SITES, OFFERS)


def web(*requirements, name="web", **more):
    given = {"storage_gib": 10, "requirements": requirements, **more}
    return Demand(component=name, kind="container", offer_kinds=("vm",), **given)


IN_ITALY = asks("web", "countries", "site.country", "in", ("IT",))
FOUR_CPU = asks("web", "vcpu", "offer.vcpu", "ge", 4.0)


def budget(limit):
    return GroupRequirement(
        id="budget", kind="budget", limit_micro_eur_per_month=limit, says="at most so much", origin=FILE
    )


def plan(*demands, group=(), catalogue=CATALOGUE, **more):
    mandate = Mandate(application="app", demands=demands, group=group, **more)
    return match(mandate, catalogue, market="all")


def test_each_requirement_counts_what_it_rejects_and_what_it_alone_rejects():
    counts = {
        each.requirement: (each.rejected, each.rejected_alone)
        for each in plan(web(IN_ITALY, FOUR_CPU)).rejections
    }
    assert counts == {"web.countries": (2, 1), "web.vcpu": (2, 1)}


def test_the_change_that_saves_says_how_much():
    answer = plan(web(IN_ITALY, FOUR_CPU))
    assert isinstance(answer, Plan)
    saves = {each.requirement: each.saves_micro_eur_per_month for each in answer.relaxations}
    assert saves == {"web.countries": 20_000_000, "web.vcpu": 30_000_000}
    assert "saves 20.00 EUR a month" in answer.relaxations[0].says


def test_the_change_that_opens_most_comes_first():
    answer = plan(
        web(asks("web", "vcpu", "offer.vcpu", "ge", 3.0), asks("web", "n", "provider.id", "eq", "alba"))
    )
    assert [each.opens_offers for each in answer.relaxations] == [1, 1]
    wide = plan(
        web(
            asks("web", "own", "site.country", "in", ("IT", "FR")),
            asks("web", "vcpu", "offer.vcpu", "ge", 8.0),
        )
    )
    assert (wide.relaxations[0].requirement, wide.relaxations[0].opens_offers) == ("web.vcpu", 2)


def test_an_offer_tells_which_requirements_it_fails_and_which_for_want_of_a_fact():
    mandate = Mandate(application="app", demands=(web(IN_ITALY, FOUR_CPU),))
    reasons = offer_reasons(mandate, CATALOGUE, "web", "clar/mad:vm:blank")
    assert reasons.failing == ("web.countries", "web.vcpu")
    assert reasons.unknown == ("web.vcpu",)
    assert offer_reasons(mandate, CATALOGUE, "web", "alba/mi:vm:big").failing == ()
    assert offer_reasons(mandate, CATALOGUE, "web", "alba/mi:vm:none") is None
    assert offer_reasons(mandate, CATALOGUE, "db", "alba/mi:vm:big") is None


def test_nothing_to_buy_is_said_so():
    answer = plan(
        Demand(component="images", kind="bucket", offer_kinds=("bucket",), storage_gib=1, requirements=())
    )
    assert isinstance(answer, NoSolution)
    assert answer.conflicts[0].says == (
        "images needs an offer of kind bucket, and nothing that the catalogue lists is one",
    )


def test_requirements_of_one_component_that_exclude_each_other_are_named():
    answer = plan(web(IN_ITALY, FOUR_CPU, asks("web", "providers", "provider.id", "in", ("brume",))))
    assert [each.requirements for each in answer.conflicts] == [("web.countries", "web.providers")]


def test_a_budget_too_small_names_itself_and_what_makes_it_dear():
    answer = plan(web(IN_ITALY, FOUR_CPU), group=(budget(15_000_000),))
    assert isinstance(answer, NoSolution)
    assert [each.requirements for each in answer.conflicts] == [("budget", "web.vcpu")]
    best = answer.relaxations[0]
    assert best.requirement == "web.vcpu"
    assert "then there is a plan for 10.00 EUR a month" in best.says


def test_too_few_units_are_named():
    one = market(SITES[:1], [vm("alba/mi", "only", 10, free_units=1)])
    answer = plan(web(), web(name="two"), catalogue=one)
    assert [each.requirements for each in answer.conflicts] == [("free-units",)]


def test_traffic_with_no_price_is_rejected_unless_the_file_assumes_one():
    silent = market(
        SITES[:2],
        [per_gib("alba/mi", "bucket", "b", 1), vm("brume/par", "m", 10)],
    )
    images = Demand(
        component="images", kind="bucket", offer_kinds=("bucket",), storage_gib=1, requirements=()
    )
    flow = (Traffic(from_component="images", to_component="web", gib_per_month=2),)
    refused = plan(images, web(), catalogue=silent, traffic=flow)
    assert [each.requirements for each in refused.conflicts] == [("images.egress",)]
    assumed = plan(images, web(), catalogue=silent, traffic=flow, assume_egress_micro_eur_per_gib=50_000)
    assert assumed.price_micro_eur_per_month == 1 + 10 + 100_000
    assert assumed.traffic[0].how == "2 GiB × 0.05 EUR/GiB out of alba (assumed)"
    assert "assumed" in assumed.placements[0].notes[0]


def test_an_endpoint_goes_elsewhere_and_says_so_when_it_cannot():
    door = Demand(component="web-endpoint", kind="endpoint", offer_kinds=(), requirements=())
    away = plan(web(FOUR_CPU), door)
    assert [each.site for each in away.placements] == ["brume/par", "alba/mi"]
    same = plan(web(FOUR_CPU), door, catalogue=market(SITES[1:2], OFFERS[2:3]))
    assert "it will not outlive a fault of brume" in " ".join(same.placements[1].notes)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32))
def test_all_minimal_conflicts_are_found_when_they_are_few(seed):
    dice = random.Random(seed)  # noqa: S311
    names = list("abcdef")
    planted = [frozenset(dice.sample(names, dice.randint(1, 4))) for _ in range(dice.randint(1, 4))]
    minimal = {each for each in planted if not any(other < each for other in planted)}
    found = minimal_conflicts(names, lambda kept: not any(each <= kept for each in planted))
    assert set(found) == minimal


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.lists(st.frozensets(st.sampled_from("abcde"), min_size=1), min_size=1, max_size=6))
def test_hitting_sets_are_all_the_minimal_ones(signatures):
    subsets = [frozenset(each) for size in range(6) for each in itertools.combinations("abcde", size)]
    hitting = [each for each in subsets if all(each & signature for signature in signatures)]
    minimal = {each for each in hitting if not any(other < each for other in hitting)}
    assert set(hitting_sets(signatures)) == minimal
