"""A market is read whole or refused whole, and every refusal says where."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanse.catalogue.market import OFFERS_MAX, MarketRows, merge, places_of, read_market, shipped_market
from hanse.catalogue.places import shipped_places
from hanse.model.market.offer import Offer, Provider, Site, SiteStatement

PROVIDERS = "id,name,country,parent_country,source\nalba,Alba,IT,,a list\n"
SITES = (
    "provider,site,city,country,lat,lon,kind,renewable,source\n"
    "alba,mi,Milan,IT,45.46,9.19,datacentre,1,a list\n"
    "alba,it/rm,Rome,IT,41.9,12.5,micro,,a list\n"
)
COLUMNS = (
    "provider,site,kind,name,vcpu,memory_gib,disk_gib,gpu,price_eur_per_hour,price_eur_per_gib_month,"
    "egress_eur_per_gib,included_egress_gib,currency_note,source,as_of\n"
)
VM = "alba,*,vm,small,2,4,20,,0.0104,,0.01,100,net,a list,2026-08-14\n"
BUCKET = "alba,mi,bucket,store,,,,,,0.02,,,net,a list,2026-08\n"


def read(providers=PROVIDERS, sites=SITES, offers=COLUMNS + VM + BUCKET):
    return read_market(providers, sites, offers, "test")


def test_rows_become_offers_at_every_site_with_integer_prices():
    rows = read()
    assert isinstance(rows, MarketRows)
    assert [each.id for each in rows.offers] == [
        "alba/mi:vm:small",
        "alba/it-rm:vm:small",
        "alba/mi:bucket:store",
    ]
    small, _, store = rows.offers
    assert small.price_micro_eur_per_month == 7_592_000
    assert small.egress_micro_eur_per_gib == 10_000
    assert (store.price_micro_eur_per_gib_month, store.egress_micro_eur_per_gib) == (20_000, None)
    assert not any(each.bookable for each in rows.offers)


BROKEN = {
    "providers.csv:1:: the first line must be": {"providers": "id,name\nalba,Alba\n"},
    "providers.csv:2:country: 'Italy' is not": {"providers": PROVIDERS.replace(",IT,", ",Italy,")},
    "providers.csv:3:id: provider 'alba' is already": {
        "providers": PROVIDERS + PROVIDERS.splitlines()[1] + "\n"
    },
    "providers.csv:2:name: is blank": {"providers": PROVIDERS.replace("Alba", "")},
    "sites.csv:2:provider: no provider 'alma'": {"sites": SITES.replace("alba,mi", "alma,mi")},
    "sites.csv:2:lat: 4546 is outside 34 to 72": {"sites": SITES.replace("45.46", "4546")},
    "sites.csv:2:lon: is blank": {"sites": SITES.replace("9.19", "")},
    "sites.csv:3:kind: 'micro!' is not one of": {"sites": SITES.replace("micro", "micro!")},
    "sites.csv:3:site: site 'alba/mi' is already": {"sites": SITES.replace("it/rm", "mi")},
    "sites.csv:2:renewable: 'yes' is not one of: blank, 0, 1": {"sites": SITES.replace(",1,", ",yes,")},
    "offers.csv:2:: has 14 fields; 15 are needed": {"offers": COLUMNS + VM.replace(",net", "")},
    "offers.csv:2:kind: 'vmm' is not one of": {"offers": COLUMNS + VM.replace(",vm,", ",vmm,")},
    "offers.csv:2:site: no site 'na' of provider 'alba'": {"offers": COLUMNS + VM.replace("*", "na")},
    "offers.csv:2:vcpu: 'two' is not a number": {"offers": COLUMNS + VM.replace(",2,", ",two,")},
    "offers.csv:2:vcpu: 'nan' is not a number": {"offers": COLUMNS + VM.replace(",2,", ",nan,")},
    "offers.csv:2:vcpu: '1_0' is not a number": {"offers": COLUMNS + VM.replace(",2,", ",1_0,")},
    "offers.csv:2:memory_gib: is blank; a vm": {"offers": COLUMNS + VM.replace(",2,4,", ",2,,")},
    "offers.csv:2:price_eur_per_hour: is blank": {"offers": COLUMNS + VM.replace("0.0104", "")},
    "offers.csv:2:price_eur_per_hour: is zero": {"offers": COLUMNS + VM.replace("0.0104", "0")},
    "offers.csv:2:price_eur_per_hour: 10.00000 EUR an hour": {
        "offers": COLUMNS + VM.replace("0.0104", "30").replace(",2,4,", ",2,4,")
    },
    "offers.csv:2:price_eur_per_gib_month: must be blank for a vm": {
        "offers": COLUMNS + VM.replace("0.0104,,", "0.0104,0.1,")
    },
    "offers.csv:2:price_eur_per_gib_month: 2 is outside": {"offers": COLUMNS + BUCKET.replace("0.02", "2")},
    "offers.csv:2:gpu: is given for a gpu_vm": {"offers": COLUMNS + VM.replace(",20,,", ",20,1x L4,")},
    "offers.csv:2:gpu: 'L4' is not written like": {"offers": COLUMNS + VM.replace(",20,,", ",20,L4,")},
    "offers.csv:2:as_of: 'today' is not a date": {"offers": COLUMNS + VM.replace("2026-08-14", "today")},
    "offers.csv:2:source: is blank": {"offers": COLUMNS + VM.replace("a list", "")},
    "offers.csv:3:name: the same offer with the same date": {"offers": COLUMNS + VM + VM},
    "offers.csv:3:: is an empty line": {"offers": COLUMNS + VM + "\n" + BUCKET},
    "offers.csv:2:: is not readable as CSV": {"offers": COLUMNS + VM.replace("small", '"sma"ll')},
}


@pytest.mark.parametrize("says", BROKEN)
def test_a_mistake_is_refused_with_its_file_line_and_column(says):
    mistakes = read(**BROKEN[says])
    assert isinstance(mistakes, tuple)
    found = [f"{each.file}:{each.line}:{each.column}: {each.what}" for each in mistakes]
    assert any(each.startswith(says) for each in found), found


def test_every_mistake_is_listed_not_only_the_first():
    mistakes = read(
        sites=SITES.replace("45.46", "x"), offers=COLUMNS + VM.replace("0.0104", "") + BUCKET + "a\n"
    )
    assert [(each.file, each.line) for each in mistakes] == [
        ("sites.csv", 2),
        ("offers.csv", 2),
        ("offers.csv", 4),
    ]


def test_lines_are_those_of_the_text_when_a_cell_spans_several():
    mistakes = read(offers=COLUMNS + VM.replace("net", '"net\nof tax"') + BUCKET.replace("0.02", "9"))
    assert [(each.line, each.column) for each in mistakes] == [
        (2, "currency_note"),
        (4, "price_eur_per_gib_month"),
    ]


def test_a_market_too_large_is_refused_with_words():
    many = COLUMNS + "".join(VM.replace("small", f"s{number}") for number in range(OFFERS_MAX))
    mistakes = read(offers=many)
    assert "more than 5000 offers once `*` is written out" in mistakes[0].what
    assert (
        read(offers=COLUMNS + "x" * 9_000_000)[0].what == "is larger than 8 MiB; import a smaller part of it"
    )


def test_thousands_of_mistakes_are_counted_not_listed():
    mistakes = read(offers=COLUMNS + "a,b\n" * 1_000)
    assert len(mistakes) == 201
    assert mistakes[-1].what == "and 800 more mistakes"


def test_a_row_for_one_site_goes_before_a_row_for_all_then_the_later_date():
    here = VM.replace("*", "mi").replace("0.0104", "0.02").replace("2026-08-14", "2025-01")
    later = here.replace("0.02", "0.03").replace("2025-01", "2025-02")
    rows = read(offers=COLUMNS + later + here + VM)
    prices = {each.site: each.price_micro_eur_per_month for each in rows.offers}
    assert prices == {"alba/mi": 21_900_000, "alba/it-rm": 7_592_000}


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.text(alphabet='alba,mi*"\n0.1-\r\x00é', max_size=80), st.integers(0, 2))
def test_any_text_is_an_answer_never_a_crash(noise, which):
    texts = [PROVIDERS, SITES, COLUMNS + VM]
    texts[which] += noise
    assert isinstance(read_market(*texts, "noise"), MarketRows | tuple)


def test_the_shipped_market_is_whole():
    market = shipped_market()
    assert (len(market.providers), len(market.sites), len(market.offers)) == (45, 172, 627)
    assert market is shipped_market()


def statement(name="alba/mi", **offer):
    where = {
        "site": name,
        "provider": "alba",
        "city": "Milan",
        "country": "IT",
        "latitude": 45,
        "longitude": 9,
    }
    given = {
        "site": name,
        "kind": "vm",
        "name": "small",
        "vcpu": 4,
        "source": "itself",
        "as_of": "2026-11",
        **offer,
    }
    return SiteStatement(
        provider=Provider(provider="alba", name="Alba", country="FR", source="itself"),
        site=Site(**where, kind="micro", source="itself"),
        offers=(Offer(price_micro_eur_per_month=1, free_units=3, **given),),
        endpoint_micro_eur_per_month=7,
        runs=("container",),
    )


def test_a_joined_site_states_its_own_offers_and_they_are_bookable():
    listed = read().catalogue()
    merged = merge(listed, [statement()], {"alba/mi>x/y": 3.0}, {"alba/mi>x/y": True})
    offers = {each.id: each for each in merged.offers}
    assert offers["alba/mi:vm:small"].bookable
    assert offers["alba/mi:vm:small"].free_units == 3
    assert not offers["alba/it-rm:vm:small"].bookable
    assert (merged.runs, merged.endpoint_micro_eur_per_month) == ({"alba/mi": ("container",)}, {"alba/mi": 7})
    assert (merged.rtt_ms, merged.reach) == ({"alba/mi>x/y": 3.0}, {"alba/mi>x/y": True})
    assert merged.version not in ("", listed.version)


def test_a_site_speaks_neither_for_another_nor_against_the_list():
    listed = read().catalogue()
    merged = merge(listed, [statement(), statement("alba/new", site="alba/it-rm")], {}, {})
    assert [each.bookable for each in merged.offers if each.site == "alba/it-rm"] == [False]
    assert merged.providers == listed.providers
    assert merged.sites[:2] == listed.sites
    assert merged.sites[2].site == "alba/new"


def test_a_version_is_a_digest_of_the_content_whatever_the_order_of_statements():
    one, other = statement(), statement("alba/new")
    first, second = (merge(read().catalogue(), each, {}, {}) for each in ([one, other], [other, one]))
    assert first == second
    assert read().catalogue().version == read().catalogue().version


def test_the_room_loads_neither_numpy_nor_the_web():
    unwanted = ("numpy", "fastapi", "sqlalchemy")
    code = f"import sys, hanse.catalogue.market; print([m for m in {unwanted} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_places_alone_are_those_of_the_whole_market():
    assert shipped_places() == places_of(shipped_market())
    assert len(shipped_places()) > 20
