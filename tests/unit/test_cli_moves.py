"""`hanse move` of whole applications: what is shown, asked, refused, and said when a step fails."""

import json
from pathlib import Path

import pytest
from cli_hub import LiveHub, live_hub, typing
from hub_answers import obedient
from hub_files import shop_file

from hanse.model.replica.observation import Failure
from hanse.model.replica.order import ReplicaOrder


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with live_hub(tmp_path_factory.mktemp("hub"), "alder/one", "birch/one", "cedar/one") as live:
        yield live


@pytest.fixture
def hanse(hub: LiveHub, monkeypatch, capsys):
    return typing(hub, monkeypatch, capsys, all_of_it=True)


@pytest.fixture
def shop(hub: LiveHub, hanse, tmp_path: Path):
    """files and web at alder, the address at birch."""
    image = tmp_path / "image.tar"
    image.write_bytes(b"an image")
    digest = json.loads(hanse("image", "push", str(image), "--json"))["digest"]
    path = tmp_path / "shop.yaml"
    path.write_text(shop_file(digest))
    hanse("apply", str(path), "--yes")
    yield path
    for site in hub.world.sites.values():
        site.answer = None
    hanse("retire", "shop", "--erase-now", "--yes")


def status(hanse):
    return json.loads(hanse("status", "shop", "--json"))


def test_a_dry_run_shows_price_gap_and_way_back_of_each_step(shop, hanse):
    words = hanse("move", "shop", "--to", "cedar", "--dry-run")
    for part in (
        "1  files         alder/one  cedar/one  bucket:standard           0.10   0.30      0.10",
        "1 files: way back for 24 h from then, paid for like a standby",
        "expected gap: not measured: the new place serves before the old one ends",
        "3 web-endpoint: its address http://127.0.0.1:8000 changes; the old one goes on for 24 h",
        "all of shop: 10.10 EUR a month now, then 30.30; and 10.10 for ways back",
    ):
        assert part in words
    assert status(hanse)["last_move"] is None


def test_a_dry_run_for_programs_is_one_document(shop, hanse):
    shown = json.loads(hanse("move", "shop", "--country", "it", "--dry-run", "--json"))
    assert [each["target"] for each in shown["moves"]] == ["cedar/one"] * 3
    assert shown["operations"] == []


def test_the_new_address_and_the_end_of_the_old_one_are_said(shop, hanse):
    words = hanse("move", "shop", "--away-from", "birch", "--keep-old-address", "90m", "--yes")
    assert "address of web: http://127.0.0.1:8000 at cedar/one" in words
    told = "old address of web: http://127.0.0.1:8000 at birch/one answers until 2026-05-01 13:30:00 UTC"
    assert told in words
    assert told in hanse("status", "shop")


def test_ways_back_are_a_line_of_their_own_in_the_status(shop, hanse):
    hanse("move", "shop/web", "--to", "cedar", "--yes")
    words = hanse("status", "shop")
    assert "30.10 EUR a month and 10.00 for ways back" in words
    assert "way back of web: alder/one until 2026-05-02 12:00:00 UTC, 10.00 EUR a month" in words


def refuse_web(site, instruction):
    """This site cannot start web."""
    order = instruction.order
    if not isinstance(order, ReplicaOrder) or order.key.component != "web":
        return None
    if order.role != "primary":
        return None
    failure = Failure(code="does-not-start", message="web ends at once", temporary=False)
    return [(*said[:3], failure) for said in obedient(site, instruction)]


def test_a_step_that_fails_says_where_everything_stands_and_how_to_go_on(shop, hanse, hub):
    hub.world.sites["cedar/one"].answer = refuse_web
    words = hanse("move", "shop", "--to", "cedar", "--yes", code=1)
    for part in (
        "`hanse move shop --to cedar` stopped: op-",
        "was aborted: web ends at once",
        "moved: files; not moved: web, web-endpoint",
        "now: files at cedar/one, web at alder/one, endpoint of web at birch/one",
        "to go on: hanse move shop --to cedar",
        "to go back: hanse move shop --back",
    ):
        assert part in words
    assert "to go back: hanse move shop --back" in hanse("status", "shop")
    hanse("move", "shop", "--back", "--yes")
    assert "stopped" not in hanse("status", "shop")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--country", "Italy"], "no country code"),
        (["--country", "uk"], "GB is usually meant"),
        (["--to", "cedar", "--keep-old-address", "soon"], "a whole number with a unit"),
        (["--away-from", "cedar"], "no component, no endpoint and no way back"),
        (["--to", "cedar", "--country", "IT"], "exactly one of"),
    ],
)
def test_wishes_that_cannot_be_are_refused_in_words(shop, hanse, words, why):
    assert why in hanse("move", "shop", *words, "--yes", code=1)
