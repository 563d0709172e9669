"""Conditions that a person types, and where a mistake in one is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from market_world import market, per_gib, site, vm

from hanse.matching.query import (
    Query,
    QueryMistake,
    parse_where,
    select_offers,
    select_providers,
    select_sites,
)

CATALOGUE = market(
    [site("alba/mi", "IT"), site("brume/par", "FR")],
    [
        vm("alba/mi", "small one", 9_000_000, vcpu=1.0),
        vm("alba/mi", "big", 49_990_000, vcpu=8.0, memory_gib=32.0, bookable=True),
        vm("brume/par", "blank", None, vcpu=None),
        per_gib("brume/par", "bucket", "store", 20_000, egress_micro_eur_per_gib=10_000),
    ],
    runs={"alba/mi": ("container",)},
)

FINDS = {
    "": ["small one", "big", "blank", "store"],
    "vcpu>=4 and price<50": ["big"],
    "vcpu >= 4 or vcpu < 2": ["small one", "big"],
    "not (vcpu >= 4)": ["small one"],
    "kind = bucket and price_per_gib <= 0.02": ["store"],
    "egress > 0.005": ["store"],
    "country in (FR, DE)": ["blank", "store"],
    "country not in (FR, DE) and not bookable": ["small one"],
    "bookable": ["big"],
    "bookable = false and provider != alba": ["blank", "store"],
    "name = 'small one'": ["small one"],
    'city = "alba/mi" and joined and memory > 4': ["big"],
    "vcpu = 1 or vcpu = 8 and price < 10": ["small one"],
}


@pytest.mark.parametrize("text", FINDS)
def test_a_condition_finds_what_it_says(text):
    where = parse_where(text)
    assert not isinstance(where, QueryMistake)
    assert [each.name for each in select_offers(CATALOGUE, Query(where=where))] == FINDS[text]


MISTAKES = {
    "cores > 4": (1, "'cores' is not one of: kind, name"),
    "vcpu >": (7, "expected a value, the condition ends here"),
    "vcpu > many": (8, "'many' is not a number"),
    "vcpu > 1e9": (8, "'1e9' is not a number"),
    "vcpu ~ 4": (6, "expected a comparison after `vcpu`"),
    "vcpu > 4 price < 3": (10, "expected `and`, `or` or the end before 'price'"),
    "(vcpu > 4": (10, "expected ')'"),
    "country < IT": (9, "`country` is no number; use = or !="),
    "country in IT": (12, "expected '('"),
    "vcpu not 4": (6, "expected `in` after `not`"),
    "bookable = yes": (12, "'yes' is neither true nor false"),
    "name = 'open": (8, "a quote is not closed"),
    "name = )": (8, "expected a value before ')'"),
    "(" * 20 + "vcpu>1": (18, "parentheses are deeper than 16"),
    "a" * 1001: (1000, "the condition is longer than 1000 characters"),
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_named_with_its_column(text):
    mistake = parse_where(text)
    assert isinstance(mistake, QueryMistake)
    column, what = MISTAKES[text]
    assert (mistake.column, mistake.what[: len(what)]) == (column, what)


@given(st.text(alphabet="vcpu name<>=!()'\", and or not in 14", max_size=60))
def test_any_text_is_an_answer_never_a_crash(text):
    where = parse_where(text)
    if isinstance(where, QueryMistake):
        assert 1 <= where.column <= len(text) + 1
    else:
        select_offers(CATALOGUE, Query(where=where))


def test_kind_and_country_narrow_each_noun_in_its_own_sense():
    assert [each.name for each in select_offers(CATALOGUE, Query(kind="vm", country="FR"))] == ["blank"]
    assert [each.site for each in select_sites(CATALOGUE, Query(country="IT"))] == ["alba/mi"]
    assert [each.provider for each in select_providers(CATALOGUE, Query(kind="bucket"))] == ["brume"]
    assert [each.provider for each in select_providers(CATALOGUE, Query(country="IT"))] == ["alba", "brume"]


def test_sites_and_providers_know_their_own_words_only():
    joined = parse_where("joined and city = 'alba/mi'", "sites")
    assert [each.site for each in select_sites(CATALOGUE, Query(where=joined))] == ["alba/mi"]
    seat = parse_where("seat = IT and provider = brume", "providers")
    assert [each.provider for each in select_providers(CATALOGUE, Query(where=seat))] == ["brume"]
    assert parse_where("price < 3", "sites").what.startswith("'price' is not one of: provider, seat")
