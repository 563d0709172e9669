"""The scalar reader is Kleene's logic with a fourth value, and never raises."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanse.model.application.requirement import AllOf, AnyOf, Compare, Negated, Truth
from hanse.rules.evaluate import DEPTH_MAX, all_of, any_of, evaluate, negated
from hanse.rules.facts import UNKNOWN, Contested

TRUTHS = tuple(Truth)
PAIRS = list(itertools.product(TRUTHS, TRUTHS))
DOUBT = (Truth.UNKNOWN, Truth.CONTESTED)
TESTS = ("eq", "ne", "lt", "le", "gt", "ge", "in", "not_in")

scalars = st.text(max_size=3) | st.integers(-3, 3) | st.floats() | st.booleans()
values = (
    scalars
    | st.frozensets(scalars, max_size=3)
    | st.just(UNKNOWN)
    | st.none()
    | st.builds(Contested, st.lists(scalars, max_size=3).map(tuple))
)
compares = st.builds(
    Compare,
    fact=st.sampled_from("abc"),
    test=st.sampled_from(TESTS),
    value=scalars | st.lists(scalars, max_size=3).map(tuple),
)
expressions = st.recursive(
    compares,
    lambda inner: (
        st.builds(AllOf, parts=st.lists(inner, max_size=3).map(tuple))
        | st.builds(AnyOf, parts=st.lists(inner, max_size=3).map(tuple))
        | st.builds(Negated, part=inner)
    ),
    max_leaves=12,
)
facts = st.dictionaries(st.sampled_from("abc"), values)


def truth(test, constant, value):
    return evaluate(Compare(fact="f", test=test, value=constant), {"f": value})


@given(expressions, facts)
def test_every_expression_over_any_facts_has_a_truth(expression, known):
    assert evaluate(expression, known) in TRUTHS


@given(expressions, facts)
def test_twice_negated_is_the_same(expression, known):
    twice = Negated(part=Negated(part=expression))
    assert evaluate(twice, known) == evaluate(expression, known)


@given(st.lists(expressions, max_size=3), facts)
def test_not_all_is_some_not(parts, known):
    left = Negated(part=AllOf(parts=tuple(parts)))
    right = AnyOf(parts=tuple(Negated(part=part) for part in parts))
    assert evaluate(left, known) == evaluate(right, known)


@given(expressions, facts, st.dictionaries(st.sampled_from("abc"), scalars))
def test_what_is_decided_in_doubt_stays_when_the_doubt_ends(expression, known, learned):
    before = evaluate(expression, known)
    doubtful = {name for name in learned if known.get(name, UNKNOWN) in (UNKNOWN, None)}
    after = evaluate(expression, {**known, **{name: learned[name] for name in doubtful}})
    assert before in DOUBT or after == before


@given(expressions, facts, st.sampled_from("abc"), st.lists(scalars, min_size=1, max_size=3))
def test_what_is_decided_in_dispute_holds_for_every_side(expression, known, name, sides):
    before = evaluate(expression, {**known, name: Contested(tuple(sides))})
    if before not in DOUBT:
        assert {evaluate(expression, {**known, name: side}) for side in sides} == {before}


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_pair_takes_the_first_of_its_order(one, other):
    conjunction = [Truth.FALSE, Truth.CONTESTED, Truth.UNKNOWN, Truth.TRUE]
    disjunction = [Truth.TRUE, Truth.CONTESTED, Truth.UNKNOWN, Truth.FALSE]
    assert all_of([one, other]) == min(one, other, key=conjunction.index)
    assert any_of([one, other]) == min(one, other, key=disjunction.index)


def test_nothing_to_hold_holds_and_nothing_to_choose_from_does_not():
    assert (all_of([]), any_of([])) == (Truth.TRUE, Truth.FALSE)
    assert [negated(doubt) for doubt in DOUBT] == list(DOUBT)


@pytest.mark.parametrize(
    ("test", "constant", "value", "expected"),
    [
        ("eq", "vm", "vm", Truth.TRUE),
        ("eq", "vm", "bucket", Truth.FALSE),
        ("ne", "vm", "bucket", Truth.TRUE),
        ("eq", 0, 0.0, Truth.TRUE),
        ("eq", True, True, Truth.TRUE),
        ("ge", 2, 2, Truth.TRUE),
        ("gt", 2, 2, Truth.FALSE),
        ("lt", 2, 1.5, Truth.TRUE),
        ("le", 2, 3, Truth.FALSE),
        ("in", ("DE", "IT"), "IT", Truth.TRUE),
        ("not_in", ("DE", "IT"), "IT", Truth.FALSE),
        ("not_in", (), "IT", Truth.TRUE),
        ("eq", "bucket", frozenset({"bucket", "endpoint"}), Truth.TRUE),
        ("eq", "bucket", frozenset(), Truth.FALSE),
        ("ne", "bucket", frozenset({"endpoint"}), Truth.TRUE),
        ("in", ("a", "b"), frozenset({"b", "c"}), Truth.TRUE),
        ("not_in", ("a", "b"), frozenset({"c"}), Truth.TRUE),
    ],
)
def test_comparisons(test, constant, value, expected):
    assert truth(test, constant, value) == expected


@pytest.mark.parametrize(
    ("test", "constant", "value"),
    [
        ("eq", "1", 1),
        ("eq", 1, True),
        ("ge", 1, "2"),
        ("ge", "a", "b"),
        ("ge", 1, True),
        ("ge", 1, float("nan")),
        ("in", "DE", "DE"),
        ("eq", ("DE",), "DE"),
        ("ge", 1, frozenset({2})),
        ("ge", (1,), 2),
        ("eq", "a", UNKNOWN),
        ("ne", "a", UNKNOWN),
        ("not_in", ("a",), None),
    ],
)
def test_what_does_not_fit_is_unknown(test, constant, value):
    assert truth(test, constant, value) == Truth.UNKNOWN


@pytest.mark.parametrize(
    ("sides", "expected"),
    [((3, 4), Truth.TRUE), ((0, 1), Truth.FALSE), ((1, 3), Truth.CONTESTED), ((), Truth.UNKNOWN)],
)
def test_a_contested_fact_counts_only_where_all_sides_agree(sides, expected):
    assert truth("ge", 2, Contested(sides)) == expected


def test_a_missing_fact_is_unknown():
    assert evaluate(Compare(fact="f", test="eq", value=1), {}) == Truth.UNKNOWN


def test_an_expression_that_is_too_deep_is_unknown():
    expression = Compare(fact="f", test="eq", value=1)
    for _ in range(DEPTH_MAX):
        expression = AllOf.model_construct(parts=(expression,))
    assert evaluate(expression, {"f": 1}) == Truth.UNKNOWN
