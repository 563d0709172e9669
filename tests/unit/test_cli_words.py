"""Commands that change nothing, and every mistake told in words: against a hub behind real TLS."""

import json
import re
from pathlib import Path

import pytest
from cli_hub import LiveHub, live_hub, typing
from hub_files import shop_file

from hanse.__main__ import main

IMAGE = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with live_hub(tmp_path_factory.mktemp("hub"), "alder/one", "birch/one") as live:
        yield live


@pytest.fixture
def hanse(hub: LiveHub, monkeypatch, capsys):
    return typing(hub, monkeypatch, capsys)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(shop_file(IMAGE))
    return path


def test_a_plan_shows_places_prices_rejections_and_what_is_not_promised(hanse, file):
    words = hanse("plan", str(file))
    assert re.match(r"shop: \d+\.\d\d EUR a month \(plan-\d+, over bookable offers", words)
    assert "10 GiB ×" in words
    assert "listed optimum" in words
    assert "mandate: not signed · data at rest: not encrypted" in words


def test_a_plan_over_the_whole_market_names_no_second_optimum(hanse, file):
    words = hanse("plan", str(file), "--market")
    assert "over the whole listed market" in words
    assert "listed optimum" not in words


def test_no_solution_shows_what_cannot_hold_together_and_ends_with_1(hanse, file, capsys):
    file.write_text(shop_file(IMAGE, memory="4000"))
    assert main(["plan", str(file)]) == 1
    words = capsys.readouterr().out
    assert "no solution" in words
    assert "web.memory: web gets at least 4000 GiB of memory" in words


def test_the_plan_document_is_the_hubs(hanse, file):
    found = json.loads(hanse("plan", str(file), "--json"))
    assert found["plan"]["outcome"] == "plan"


def test_every_mistake_of_a_file_is_told_by_its_place(hanse, file):
    file.write_text(file.read_text().replace("storage_gib: 10", "storage: 10").replace("vcpu: 1", "vcpu: -1"))
    words = hanse("plan", str(file), code=1)
    assert (
        len(re.findall(rf"^{re.escape(str(file))}:\d+:\d+: components\..*; allowed: ", words, re.MULTILINE))
        >= 2
    )
    assert hanse("explain", str(file), code=1) == words


def test_a_provider_that_nobody_knows_is_a_mistake_of_the_file(hanse, file):
    file.write_text(shop_file(IMAGE, policy="policy:\n  providers: [aldr]\n"))
    assert re.search(r":\d+:\d+: .*no provider aldr; allowed: .*alder", hanse("plan", str(file), code=1))


def test_a_file_that_is_not_text_is_told_by_its_place(hanse, file):
    file.write_bytes(b"hanse: 1\nname: \xff")
    for verb in ("plan", "explain"):
        assert f"{file}:2:7: a byte that is not UTF-8" in hanse(verb, str(file), code=1)


def test_a_huge_file_is_not_read(hanse, file):
    with file.open("wb") as huge:
        huge.truncate(50_000_000)
    assert "50,000,000 bytes" in hanse("plan", str(file), code=1)


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_is_none_is_named(hanse, name):
    assert name in hanse("plan", name, code=1)


def test_explain_needs_no_hub(hanse, file, monkeypatch):
    monkeypatch.setenv("HANSE_CONFIG", "/nowhere/hub.json")
    assert "files.countries" in hanse("explain", str(file)) or "files." in hanse("explain", str(file))
    assert json.loads(hanse("explain", str(file), "--json"))["application"] == "shop"


def test_explain_knows_the_cities_of_the_shipped_market(hanse, file):
    policy = "policy:\n  latency:\n    - {component: web, to: {city: Milan}, max_ms: 40}\n"
    file.write_text(shop_file(IMAGE, policy=policy))
    assert "Milan" in hanse("explain", str(file))


def test_lists_are_filtered_and_say_what_they_leave_out(hanse):
    offers = json.loads(hanse("offers", "--where", "bookable == true", "--json"))["offers"]
    assert {each["site"] for each in offers} == {"alder/one", "birch/one"}
    assert all(each["country"] for each in offers)
    assert "more: --limit" in hanse("offers", "--kind", "vm", "--limit", "2")
    assert "joined" in hanse("sites", "--where", "joined")
    assert "hetzner" in hanse("providers", "--country", "DE")
    assert hanse("sites", "--country", "ZZ").strip() == "No sites are like that."


def test_a_list_longer_than_a_page_is_fetched_whole(hanse):
    found = json.loads(hanse("offers", "--limit", "5000", "--json"))
    assert len(found["offers"]) == found["total"] > 500


def test_a_condition_that_cannot_be_read_is_told_with_its_place(hanse):
    assert "at its character 1" in hanse("offers", "--where", "nonsense < 3", code=1)


def test_an_invitation_is_a_word_for_one_site(hanse):
    assert json.loads(hanse("invite", "dogwood/one", "--json"))["token"].startswith("hanse1.")
    told = hanse("invite", "dogwood/two")
    assert "hanse site join - " in told
    assert not any("hanse1." in line for line in told.splitlines() if "site join" in line)
    assert "is no site" in hanse("invite", "No Such/Site", code=1)
    assert "is no site" in hanse("remove-site", "dogwood", "--yes", code=1)
    assert "Nobody can be asked here" in hanse("remove-site", "dogwood/one", code=1)
    assert "No site dogwood/one has joined" in hanse("remove-site", "dogwood/one", "--yes", code=1)


def test_images_are_listed_and_removed(hanse, tmp_path):
    image = tmp_path / "image.tar"
    image.write_bytes(b"bytes of an image")
    digest = json.loads(hanse("image", "push", str(image), "--json"))["digest"]
    assert digest in hanse("image", "push", str(image))
    assert f"{digest}  17 B" in " ".join(hanse("image", "list").split("\n")).replace("    ", "  ")
    assert "no longer in the hub" in hanse("image", "remove", digest)
    assert "is not in the hub" in hanse("image", "remove", digest, code=1)


def test_an_image_that_is_no_file_or_is_empty_is_refused(hanse, tmp_path):
    (tmp_path / "empty").touch()
    assert "is empty" in hanse("image", "push", str(tmp_path / "empty"), code=1)
    assert "not a regular file" in hanse("image", "push", str(tmp_path), code=1)
    assert "is not there" in hanse("image", "push", str(tmp_path / "none"), code=1)


def test_a_catalogue_is_refused_whole_with_every_mistake(hanse, tmp_path):
    for name, head in (
        ("providers", "id,name,country,parent_country,source\nx,X,Italy,,me\n"),
        ("sites", "provider,site,city,country,lat,lon,kind,renewable,source\n"),
        ("offers", "provider,site\n"),
    ):
        (tmp_path / f"{name}.csv").write_text(head)
    words = hanse("catalogue", "import", str(tmp_path), code=1)
    assert "providers.csv:2" in words
    assert "offers.csv" in words


def test_apply_without_the_image_names_it(hanse, file):
    assert "hanse image push FILE" in hanse("apply", str(file), "--yes", code=1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["status", "nobody"], "no application nobody"),
        (["status", "no/body"], "application whole"),
        (["history", "nobody"], "nobody"),
        (["logs", "nobody"], "nobody/COMPONENT"),
        (["logs", "nobody/web"], "no application nobody"),
        (["connect", "No/web"], "APP/COMPONENT"),
        (["connect", "nobody/web"], "no application nobody"),
        (["connect", "nobody/web", "--port", "70000"], "70000"),
        (["abort", "op-99"], "op-99"),
        (["abort", ""], "no operation is named"),
        (["move", "nobody"], "--to"),
        (["move", "nobody", "--to", "a", "--back"], "exactly one"),
        (["move", "nobody", "--to", "alder"], "no application nobody"),
        (["retire", "nobody"], "no application nobody"),
        (["retire", "nobody/web"], "application whole"),
        (["offers", "--limit", "0"], "--limit 0"),
    ],
)
def test_a_wrong_name_or_wish_is_one_line(hanse, words, said):
    told = hanse(*words, code=1)
    assert said in told
    assert told.startswith("hanse: ")
    assert told.count("\n") == 1


def test_nothing_that_runs_is_told_with_what_to_do_next(hanse):
    assert "hanse apply FILE" in hanse("status")
