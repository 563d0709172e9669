"""The planner against trying everything, on many small odd markets."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from market_oracle import Oracle
from market_world import random_mandate, random_market

from hanse.matching.planner import match
from hanse.matching.verify import verify
from hanse.model.market.plan import NoSolution, Plan
from hanse.model.shape import canonical_bytes

SEEDS = st.integers(0, 2**48)
THOROUGH = settings(max_examples=800, deadline=None, derandomize=True, database=None)


def world(seed):
    dice = random.Random(seed)  # noqa: S311
    return random_mandate(dice), random_market(dice), dice.choice(("bookable", "all"))


@THOROUGH
@given(SEEDS)
def test_price_equals_that_of_the_cheapest_bundle_there_is(seed):
    mandate, catalogue, market = world(seed)
    answer = match(mandate, catalogue, market=market)
    cost = answer.price_micro_eur_per_month if isinstance(answer, Plan) else None
    assert cost == Oracle(mandate, catalogue, market).cheapest()


@THOROUGH
@given(SEEDS)
def test_every_plan_satisfies_the_verifier(seed):
    mandate, catalogue, market = world(seed)
    answer = match(mandate, catalogue, market=market)
    if isinstance(answer, Plan):
        assert answer.proved_optimal
        assert verify(answer, mandate, catalogue) == ()


@THOROUGH
@given(SEEDS)
def test_every_conflict_is_a_conflict_and_none_of_its_members_can_be_missed(seed):
    mandate, catalogue, market = world(seed)
    answer = match(mandate, catalogue, market=market)
    if not isinstance(answer, NoSolution):
        return
    oracle = Oracle(mandate, catalogue, market)
    assert answer.conflicts
    everything = names_of(mandate)
    for conflict in answer.conflicts:
        members = set(conflict.requirements)
        if conflict.requirements[0].endswith(".offered"):
            continue
        assert oracle.cheapest(everything - members, preferred=False) is None
        own = {name.partition(".")[0] for name in members} if is_of_one_demand(members, oracle) else None
        for name in members:
            assert without(oracle, everything, members - {name}, own)


def names_of(mandate):
    own = {each.id for demand in mandate.demands for each in demand.requirements}
    sold = {
        f"{d.component}.{what}" for d in mandate.demands for what in ("price", "egress", "volume", "managed")
    }
    return frozenset(own | sold | {rule.id for rule in mandate.group} | {"free-units"})


def is_of_one_demand(members, oracle):
    return any(all(name.startswith(f"{each}.") for name in members) for each in oracle.names)


def without(oracle, everything, kept, own):
    """Whether something satisfies the conditions kept; of one demand, whether anything is left for it."""
    left_out = everything - kept
    if own is None:
        return oracle.cheapest(left_out, preferred=False) is not None
    demand = next(each for each in oracle.mandate.demands if each.component in own)
    return bool(oracle.options(demand, left_out))


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(SEEDS)
def test_the_same_question_has_the_same_bytes_for_an_answer_in_any_order_of_rows(seed):
    mandate, catalogue, market = world(seed)
    shuffled = catalogue.model_copy(update={"offers": tuple(reversed(catalogue.offers))})
    first, again, turned = (match(mandate, each, market=market) for each in (catalogue, catalogue, shuffled))
    assert canonical_bytes(first) == canonical_bytes(again) == canonical_bytes(turned)
