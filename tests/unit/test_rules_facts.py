"""A candidate's facts come from its offer, its site and its provider; a blank is unknown."""

import re

import pytest

from hanse.model.market.offer import Catalogue, Offer, Provider, Site
from hanse.rules import facts as facts_module
from hanse.rules.facts import UNKNOWN, facts_of, great_circle_km, rtt_fact, rtt_ms, volume_sites_of

PROVIDER = Provider(provider="p", name="P", country="DE", source="s")
SITE = Site(
    site="p/fra", provider="p", city="Frankfurt", country="DE", latitude=50.11, longitude=8.68,
    kind="datacentre", source="s",
)  # fmt: skip
MILAN = (45.46, 9.19)


def offer(kind="vm", **fields):
    return Offer(site="p/fra", kind=kind, name="x", source="s", as_of="2026-11-22", **fields)


def catalogue(*offers, **fields):
    return Catalogue(version="1", providers=(PROVIDER,), sites=(SITE,), offers=offers, **fields)


def facts(one, *others, **fields):
    return facts_of(one, SITE, PROVIDER, catalogue(*others, **fields))


def test_blanks_are_unknown():
    known = facts(offer())
    blank = [name for name, value in known.items() if value is UNKNOWN]
    assert blank == [
        "provider.parent_country",
        "site.renewable",
        "site.runs",
        "offer.vcpu",
        "offer.memory_gib",
        "offer.disk_gib",
        "offer.free_units",
    ]


def test_a_price_is_known_by_the_unit_of_its_kind():
    assert facts(offer(price_micro_eur_per_month=5))["offer.price_known"] is True
    assert facts(offer("bucket", price_micro_eur_per_month=5))["offer.price_known"] is False
    assert facts(offer("bucket", price_micro_eur_per_gib_month=0))["offer.price_known"] is True


@pytest.mark.parametrize(("free", "available"), [(None, True), (1, True), (0, False)])
def test_an_offer_without_a_free_unit_is_not_available(free, available):
    assert facts(offer(free_units=free))["offer.available"] is available


def test_a_joined_site_says_what_it_runs():
    known = facts(offer(), runs={"p/fra": ("bucket", "container")})
    assert known["site.joined"] is True
    assert known["site.runs"] == {"bucket", "container"}
    assert facts(offer())["site.joined"] is False


def test_a_site_alone_has_no_facts_of_an_offer():
    known = facts_of(None, SITE, PROVIDER, catalogue())
    assert not [name for name in known if name.startswith("offer.")]
    assert known.get("offer.kind", UNKNOWN) is UNKNOWN


def test_a_volume_counts_only_with_a_price():
    assert volume_sites_of(catalogue(offer("volume"))) == frozenset()
    assert facts(offer(), offer("volume", price_micro_eur_per_gib_month=1))["site.volume_price_known"] is True


def test_distance_stands_for_round_trip_time():
    kilometres = great_circle_km((50.11, 8.68), MILAN)
    assert 515 < kilometres < 520
    assert facts(offer())[rtt_fact(*MILAN)] == pytest.approx(0.015 * kilometres + 2)


def test_a_measured_round_trip_overrides_distance():
    assert rtt_ms(SITE, MILAN, {"p/fra>45.46,9.19": 31.5}) == (31.5, "measured")
    assert rtt_ms(SITE, MILAN, {})[1] == "hanse.distance"
    assert facts(offer(), rtt_ms={"p/fra>45.46,9.19": 31.5})[rtt_fact(*MILAN)] == 31.5


@pytest.mark.parametrize("name", ["rtt_ms:", "rtt_ms:milan", "rtt_ms:1,2,3", "rtt_ms:91,0", "rtt_ms:nan,0"])
def test_a_round_trip_to_nowhere_is_unknown(name):
    assert facts(offer())[name] is UNKNOWN


def test_antipodes_are_half_the_earth_apart():
    assert great_circle_km((0, 0), (0, 180)) == pytest.approx(20015, abs=1)


def test_the_list_of_facts_names_exactly_the_facts():
    listed = set(re.findall(r"`((?:provider|site|offer)\.[a-z_]+)`", facts_module.__doc__))
    assert listed == set(facts(offer()))
