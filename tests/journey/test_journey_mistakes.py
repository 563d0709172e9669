"""Every command with one mistake made on purpose: what, which thing, why, what next; nothing left behind."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from journey_footprint import difference, footprint
from journey_stage import BASILISCO, SITES, Journey, bucket_file, pages_file

pytestmark = pytest.mark.xdist_group("stage")

ABSENT = "sha256:" + "a" * 64


@pytest.fixture(scope="module", autouse=True)
def nothing_left(clinic: Journey) -> Iterator[None]:
    """Whatever these tests do wrong, the machine is afterwards as it was."""
    before = footprint(clinic)
    yield
    assert difference(before, footprint(clinic)) == []


MISTAKES = [
    (["plan", "nowhere.yaml"], ["nowhere.yaml", "no such file", "Check its name"]),
    (["explain", "."], ["is a directory", "Name a file"]),
    (["apply", "nowhere.yaml", "--yes"], ["nowhere.yaml", "Check its name"]),
    (["status", "ghost"], ["ghost", "hanse status"]),
    (["status", "Ghost!"], ["'Ghost!'", "small letters"]),
    (["history", "ghost"], ["ghost"]),
    (["logs", "clinic"], ["clinic/COMPONENT"]),
    (["logs", "clinic/ghost"], ["ghost", "images", "web"]),
    (["move", "clinic/ghost", "--to", "tarasque"], ["ghost", "images", "web"]),
    (["move", "clinic/web", "--to", "ghost/nowhere"], ["ghost/nowhere", "Joined: basilisco/bologna"]),
    (["move", "clinic/web", "--to", "ghost"], ["ghost", "hanse providers"]),
    (["move", "clinic/web"], ["--to", "--away-from", "--back"]),
    (["move", "clinic/web", "--back", "--yes"], ["web", "--to SITE"]),
    (["move", "clinic", "--away-from", "ghost", "--yes"], ["ghost"]),
    (["retire", "ghost", "--yes"], ["ghost"]),
    (["retire", "clinic/web", "--yes"], ["application whole"]),
    (["abort", "op-999"], ["op-999", "hanse status APP"]),
    (["connect", "clinic/ghost"], ["ghost", "images"]),
    (["connect", "clinic/images", "--port", "99999"], ["99999", "65535"]),
    (["offers", "--where", "vcpu >="], ["vcpu >="]),
    (["providers", "--limit", "0"], ["--limit 0", "1 or more"]),
    (["sites", "--where", "colour == 1"], ["colour"]),
    (["catalogue", "import", "nowhere"], ["nowhere/providers.csv"]),
    (["invite", "Not A Site"], ["'Not A Site'", "provider/site"]),
    (["invite", BASILISCO], [BASILISCO, "already joined"]),
    (["image", "push", "nowhere.tar"], ["nowhere.tar", "is not there"]),
    (["image", "remove", ABSENT], [ABSENT, "hanse image push"]),
    (["site", "run", "--dir", "nowhere"], ["nowhere", "hanse site join"]),
    (["site", "leave", "--dir", "nowhere"], ["nowhere", "hanse site join"]),
    (["hub", "run", "--listen", "8443"], ["8443", "127.0.0.1:8443"]),
    (["hub", "run", "--dir", "/proc/hub"], ["/proc/hub", "--dir"]),
]


@pytest.mark.parametrize(("words", "said"), MISTAKES, ids=[" ".join(words) for words, _ in MISTAKES])
def test_a_mistake_is_told_with_the_thing_and_what_to_do(
    clinic: Journey, words: list[str], said: list[str]
) -> None:
    told = clinic.refused(*words)
    assert [each for each in said if each not in told] == [], told
    assert len(told.strip().splitlines()) == 1, told


USAGE = [
    (["mvoe", "clinic"], "hanse move"),
    (["move", "clinic", "--two", "x"], "--two"),
    (["plan"], "--file"),
    (["hub", "walk"], "hanse hub --help"),
    (["site", "jion"], "hanse site --help"),
    (["demo", "walk"], "hanse demo --help"),
    (["doctor", "--who"], "--who"),
]


@pytest.mark.parametrize(("words", "said"), USAGE, ids=[" ".join(words) for words, _ in USAGE])
def test_wrong_use_ends_with_2_and_says_where_to_look(clinic: Journey, words: list[str], said: str) -> None:
    assert said in clinic.refused(*words, code=2)


FILES = [
    ("countries: [NO]", ":4:", '"NO"'),
    ("countries: [XX]", ":4:", "XX"),
    ("budjet_eur_per_month: 3", ":4:", "budget_eur_per_month"),
    ("countries: EU: 3", ":4:", "allowed"),
    ("providers: [nowhere-cloud]", ":4:", "nowhere-cloud"),
    ("\tcountries: EU", ":4:", "tab"),
]


@pytest.mark.parametrize(("line", "place", "said"), FILES, ids=[each[0] for each in FILES])
def test_a_mistake_in_a_file_is_told_by_line_and_what_is_allowed(
    clinic: Journey, line: str, place: str, said: str
) -> None:
    head, _, tail = bucket_file("files").partition("components")
    file = clinic.file("wrong.yaml", f"{head}policy:\n  {line}\ncomponents{tail}")
    for words in (["plan", file], ["apply", file, "--yes"]):
        told = clinic.refused(*words)
        assert told.startswith(f"{file}{place}"), told
        assert said in told


def test_an_impossible_size_shows_the_smallest_conflict_and_buys_nothing(clinic: Journey) -> None:
    file = clinic.file("huge.yaml", pages_file("huge", ABSENT).replace("0.1, disk", "4000, disk"))
    for words in (["plan", file], ["apply", file, "--yes"]):
        said = clinic.type(*words)
        assert said.code == 1
        assert "no solution" in said.out
        assert "pages gets at least 4000 GiB of memory" in said.out
    assert clinic.ask("status")["applications"][0]["application"] == "clinic"


def test_rules_that_cannot_hold_together_are_named_together(clinic: Journey) -> None:
    text = pages_file("torn", ABSENT).replace(
        "components:", 'policy:\n  providers: [lindworm]\n  countries: ["IT"]\ncomponents:'
    )
    said = clinic.type("plan", clinic.file("torn.yaml", text))
    assert said.code == 1
    assert "lindworm" in said.out
    assert "IT" in said.out


def test_an_image_that_nobody_pushed_is_named_before_anything_is_bought(clinic: Journey) -> None:
    file = clinic.file("absent.yaml", pages_file("absent", ABSENT))
    told = clinic.refused("apply", file, "--yes")
    assert ABSENT in told
    assert "hanse image push FILE" in told
    assert "absent" not in {each["application"] for each in clinic.ask("status")["applications"]}


def test_a_move_to_where_it_is_already_is_refused(clinic: Journey) -> None:
    here = clinic.site_of("clinic/images")
    told = clinic.refused("move", "clinic/images", "--to", here, "--yes")
    assert here in told
    assert "already" in told


@pytest.mark.parametrize("words", [["status"], ["plan", "FILE"], ["offers"], ["move", "a/b", "--to", "c"]])
def test_without_a_hub_the_way_to_one_is_told(clinic: Journey, tmp_path: Path, words: list[str]) -> None:
    file = clinic.file("alone.yaml", bucket_file("alone"))
    words = [file if word == "FILE" else word for word in words]
    told = clinic.refused(*words, env={"HANSE_CONFIG": str(tmp_path / "none.json")})
    assert "hanse hub run" in told
    assert "HANSE_HUB" in told


def test_a_hub_that_does_not_answer_is_named_with_its_address(clinic: Journey) -> None:
    told = clinic.refused("status", env={"HANSE_HUB": "https://127.0.0.1:9", "HANSE_TOKEN": "none"})
    assert "https://127.0.0.1:9" in told
    assert "refused" in told


def test_every_site_is_still_there(clinic: Journey) -> None:
    joined = clinic.ask("sites", "--where", "joined")["sites"]
    assert {each["site"] for each in joined} == set(SITES)
