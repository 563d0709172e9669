"""The site file: what is wrong with it is said with line and column, and what is allowed."""

from pathlib import Path

import pytest

from hanse.agent.place.file import read_site_file, statement_of
from hanse.agent.place.home import SiteFileAt
from hanse.ports import Permanent

GOOD = """\
provider: {id: nord, name: Nord Sky, country: "NO"}
site:
  id: nord/oslo
  city: Oslo
  country: "NO"
  latitude: 59.9
  longitude: 10.7
data:
  address: 192.0.2.1
  stream_ports: "7200-7299"
endpoint: {address: 192.0.2.1, ports: "8000-8099", eur_per_month: 1.5}
offers:
  - {kind: vm, name: small, vcpu: 2, memory_gib: 4, price_eur_per_hour: 0.0104, units: 10}
  - {kind: bucket, name: s3, price_eur_per_gib_month: 0.02, egress_eur_per_gib: 0}
"""


def refusal(text: str) -> str:
    with pytest.raises(Permanent) as refused:
        read_site_file(text)
    assert refused.value.code == "file-unreadable"
    return refused.value.message


def test_a_good_file_becomes_a_statement_in_micro_euros() -> None:
    statement = statement_of(read_site_file(GOOD), {"nord/oslo:vm:small": 7}, "2026-01-01")
    small, s3 = statement.offers
    assert small.price_micro_eur_per_month == 7_592_000
    assert (small.free_units, small.bookable, s3.free_units) == (7, True, None)
    assert (s3.price_micro_eur_per_gib_month, s3.egress_micro_eur_per_gib) == (20_000, 0)
    assert statement.endpoint_micro_eur_per_month == 1_500_000


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (
            'country: "NO"\n  lat',
            "country: NO\n  lat",
            "line 5, column 12: NO without quotes is text to some programs and a truth value to others",
        ),
        (
            "city: Oslo",
            "town: Oslo",
            "line 4, column 3: site.town: this field is not known here; allowed are: id, city",
        ),
        (
            "latitude: 59.9",
            "latitude: 590",
            "line 6, column 3: site.latitude: Input should be less than or equal to 90",
        ),
        ("  city: Oslo\n", "", "line 2, column 1: site.city: this field is required"),
        ("id: nord/oslo", "id: sud/oslo", "must start with `nord/`"),
        ('"7200-7299"', "7200", "line 10, column 3: data.stream_ports"),
        ('"7200-7299"', '"7299-7200"', "must not be above the last"),
        ("price_eur_per_hour: 0.0104, ", "", "exactly one price: price_eur_per_hour or price_eur_per_month"),
        ("price_eur_per_gib_month", "price_eur_per_hour", "a bucket has exactly one price"),
        (
            'country: "NO"}',
            "country: norway}",
            'two capital letters in quotes are wanted (ISO 3166-1), such as "NO"',
        ),
        ("site:\n", "site: &x\n", "line 2, column 7: &x is an anchor"),
        (
            "  city: Oslo\n",
            "  city: Oslo\n  city: Bergen\n",
            "line 5, column 3: city is written twice, first in line 4",
        ),
        ("offers:\n", "offers: [\n", "not YAML"),
        ("price_eur_per_hour: 0.0104", "price_eur_per_hour: 1e30", "less than or equal to 10000000"),
        (
            "vcpu: 2",
            "vcpu: .inf",
            ".inf is read differently by different programs; allowed: a decimal number",
        ),
        ("vcpu: 2", f"vcpu: {'9' * 40}", "is too long for a number"),
        ("city: Oslo", "city: !!int Oslo", "line 4, column 9: tag:yaml.org,2002:int is a tag"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_is_allowed(before: str, after: str, words: str) -> None:
    assert before in GOOD
    assert words in refusal(GOOD.replace(before, after, 1))


def test_every_mistake_of_a_file_is_named_at_once() -> None:
    message = refusal(
        GOOD.replace("latitude: 59.9", "latitude: x").replace("longitude: 10.7", "longitude: west")
    )
    assert message.count("offers.yaml, line") == 2


def test_mistakes_of_yaml_are_named_all_at_once_too() -> None:
    message = refusal(GOOD.replace('"NO"', "NO"))
    assert message.count("NO without quotes") == 2


def test_a_blank_value_is_none_given() -> None:
    assert read_site_file(GOOD.replace("units: 10", "units: ~")).offers[0].units is None


def test_a_huge_an_empty_and_a_deep_file_are_refused() -> None:
    assert "at most 1048576 bytes (1 MiB)" in refusal("#" * (1 << 20) + "\n")
    assert "is empty" in refusal("")
    assert "more than 32 levels" in refusal("a: " + "[" * 40 + "]" * 40)
    assert "more than 32 levels" in refusal("[" * 100_000)


def test_a_bad_edit_leaves_the_last_good_file_in_force_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "offers.yaml"
    path.write_text(GOOD)
    at = SiteFileAt(path)
    assert at().site.city == "Oslo"
    path.write_text(GOOD.replace("city: Oslo", "town: Oslo, here"))
    assert at().site.city == "Oslo"
    assert "site.town" in at.problem().message
    path.write_text(GOOD.replace("city: Oslo", "city: Bergen"))
    assert at().site.city == "Bergen"
    assert at.problem() is None


def test_a_site_without_a_file_is_told_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match=r"docs/sites.md"):
        SiteFileAt(tmp_path / "offers.yaml")()
