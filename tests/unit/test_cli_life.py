"""The life of an application by commands: against a hub behind real TLS, with played sites."""

import json
import os
from pathlib import Path

import pytest
from cli_hub import LiveHub, live_hub, typing
from hub_files import shop_file

from hanse.__main__ import main
from hanse.model.replica.observation import HoldState
from hanse.model.replica.order import HoldOrder


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with live_hub(tmp_path_factory.mktemp("hub"), "alder/one", "birch/one", "cedar/one") as live:
        yield live


@pytest.fixture
def hanse(hub: LiveHub, monkeypatch, capsys):
    return typing(hub, monkeypatch, capsys)


@pytest.fixture
def file(hub: LiveHub, hanse, tmp_path: Path) -> Path:
    image = tmp_path / "image.tar"
    image.write_bytes(b"an image")
    digest = json.loads(hanse("image", "push", str(image), "--json"))["digest"]
    path = tmp_path / "shop.yaml"
    path.write_text(shop_file(digest))
    return path


@pytest.fixture
def shop(hub: LiveHub, hanse, file: Path):
    hanse("apply", str(file), "--yes")
    yield file
    hanse("retire", "shop", "--erase-now", "--yes")


def site_of(hanse, component: str) -> str:
    found = json.loads(hanse("status", "shop", "--json"))
    return next(each["site"] for each in found["components"] if each["component"] == component)


def test_apply_shows_the_plan_and_ends_when_everything_runs(shop, hanse):
    words = hanse("status", "shop")
    assert "shop: running" in words
    assert "files      bucket" in words
    assert "mandate: not signed · data at rest: not encrypted" in words


def test_apply_again_changes_nothing(shop, hanse):
    assert "shop: running" in hanse("apply", str(shop), "--yes")


def test_a_change_that_cannot_be_made_while_it_runs_is_refused(shop, hanse):
    shop.write_text(shop.read_text().replace("storage_gib: 10", "storage_gib: 20"))
    assert "cannot be changed while it does" in hanse("apply", str(shop), "--yes", code=1)


def test_a_move_says_when_the_cut_over_is_under_way_and_ends_at_the_target(shop, hanse):
    target = "cedar/one" if site_of(hanse, "files") != "cedar/one" else "birch/one"
    words = hanse("move", "shop/files", "--to", target, "--yes")
    assert "way back" in words
    assert "done" in words
    assert site_of(hanse, "files") == target


def test_a_component_comes_back_to_where_it_was(shop, hanse):
    before = site_of(hanse, "files")
    hanse("move", "shop/files", "--to", "cedar" if before != "cedar/one" else "birch", "--yes")
    hanse("move", "shop/files", "--back", "--yes", "--json")
    assert site_of(hanse, "files") == before


def test_everything_leaves_a_provider(shop, hanse):
    provider = site_of(hanse, "files").partition("/")[0]
    moved = json.loads(hanse("move", "shop", "--away-from", provider, "--yes", "--json").splitlines()[-1])
    assert {each["state"] for each in moved["operations"]} == {"done"}
    assert all(each["one_way"] for each in moved["moves"])
    assert not site_of(hanse, "files").startswith(provider)


def test_a_move_to_the_same_site_is_refused(shop, hanse):
    assert "already" in hanse("move", "shop/files", "--to", site_of(hanse, "files"), "--yes", code=1)


def test_nothing_is_moved_without_a_yes(shop, hanse, monkeypatch, tmp_path):
    (tmp_path / "empty").touch()
    with (tmp_path / "empty").open() as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        assert "--yes" in hanse("move", "shop/files", "--to", "cedar", code=1)


def test_erasing_now_is_asked_twice_and_a_no_changes_nothing(shop, hanse, monkeypatch):
    terminal, person = os.openpty()
    os.write(terminal, b"y\nn\n")
    with os.fdopen(person) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert "Nobody can bring it back. [y/N]" in hanse("retire", "shop", "--erase-now", code=1)
    os.close(terminal)
    assert "shop: running" in hanse("status", "shop")


def test_an_operation_that_is_over_cannot_be_aborted(shop, hanse):
    operation = json.loads(hanse("status", "shop", "--json"))["operations"][0]["operation"]
    assert "nothing is left to abort" in hanse("abort", operation, code=1)


def test_history_tells_oldest_first_and_leaves_mere_progress_out(shop, hanse):
    told = [
        line for line in hanse("history", "shop", "--limit", "1000").splitlines() if line.startswith("20")
    ]
    every = json.loads(hanse("history", "shop", "--limit", "1000", "--json"))["entries"]
    assert told[0].split()[2] == every[-1]["kind"]
    repeated = [each for each in every if each["payload"].get("before") == each["payload"].get("phase", "")]
    assert len(told) == len(every) - len(repeated)


def test_logs_come_from_the_site_sealed_for_this_command(shop, hanse):
    site = site_of(hanse, "files")
    assert hanse("logs", "shop/files") == f"a line of files at {site}\n"
    found = json.loads(hanse("logs", "shop/files", "--lines", "1", "--json"))
    assert (found["site"], found["lines"]) == (site, [f"a line of files at {site}"])


def test_logs_whose_site_does_not_answer_are_told_as_such(shop, hanse, hub, monkeypatch):
    monkeypatch.setattr("hanse.cli.verbs.logs.READY_SECONDS", 0.0)
    hub.playing.clear()
    try:
        assert "has not answered yet" in hanse("logs", "shop/web", code=1)
    finally:
        hub.playing.set()


def test_a_retired_application_is_told_as_ended(hub, hanse, file):
    hanse("apply", str(file), "--yes")
    words = hanse("retire", "shop", "--erase-now", "--yes")
    assert "done, ended" in words
    assert "shop: ended" in hanse("status", "shop")


@pytest.fixture
def full(hub: LiveHub):
    """Every site says no to every hold."""

    def say_no(_site, instruction):
        if not isinstance(instruction.order, HoldOrder) or instruction.order.wanted == "released":
            return None
        reason = "no room is left for so much at this site"
        return [(instruction.subject, HoldState(state="declined", reason=reason), instruction)]

    for site in hub.world.sites.values():
        site.answer = say_no
    yield
    for site in hub.world.sites.values():
        site.answer = None


def test_what_was_not_bought_is_told_once_and_retired_with_words(full, hanse, file, capsys):
    assert main(["apply", str(file), "--yes"]) == 1
    out, _ = capsys.readouterr()
    assert out.count("Everything was released, nothing was bought") == 1
    assert "shop was not bought: " in out
    words = hanse("logs", "shop/web")
    assert "shop was not bought, so nothing of it runs: alder/one refused" in words
    words = hanse("retire", "shop", "--yes")
    assert "never bought, so nothing of it is left to end" in words
    assert json.loads(hanse("retire", "shop", "--yes", "--json").splitlines()[-1])["operations"] == []


def test_a_connection_whose_site_does_not_answer_is_told_after_a_while(shop, hanse, hub, monkeypatch):
    monkeypatch.setattr("hanse.cli.reach.way.READY_SECONDS", 0.0)
    hub.playing.clear()
    try:
        assert "cannot be connected to" in hanse("connect", "shop/files", code=1)
    finally:
        hub.playing.set()
