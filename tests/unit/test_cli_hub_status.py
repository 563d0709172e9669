"""`hanse hub status`: of a hub that runs, of one that does not, and of one that is only silent."""

import fcntl
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_hub import LiveHub, live_hub
from hub_files import shop_file

from hanse.__main__ import main

NOWHERE = "https://127.0.0.1:1"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LiveHub]:
    with live_hub(tmp_path, "alder/one", "birch/one") as live:
        yield live


@pytest.fixture
def said(monkeypatch, capsys):
    def run(environment: dict[str, str], *words: str) -> tuple[int, str, str]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        code = main(["hub", "status", *words])
        return code, *capsys.readouterr()

    return run


def test_a_hub_that_runs_tells_its_sites_its_work_and_its_room(hub: LiveHub, said, tmp_path: Path) -> None:
    hub.playing.clear()
    hub.world.hub.seen.pop("birch/one", None)
    hub.world.apply(shop_file(hub.world.push_image()))
    code, out, _ = said(hub.environment, "--json")
    found = json.loads(out)
    assert (code, found["running"], found["applications"]) == (0, True, {"ordering": 1})
    assert {each["site"]: each["connected"] for each in found["sites"]} == {
        "alder/one": True,
        "birch/one": False,
    }
    assert {each["state"] for each in found["operations"]} == {"ordering"}
    assert found["disk"]["images_bytes"] == len(b"an image")
    assert found["disk"]["free_bytes"] <= shutil.disk_usage(tmp_path).total
    words = said(hub.environment)[1]
    assert "1 of 2 joined sites connected" in words
    assert "deploy shop/files, ordering" in words


@pytest.fixture
def own(tmp_path: Path) -> dict[str, str]:
    """The configuration of a hub of this user that does not answer."""
    for name, text in (("hub.lock", ""), ("admin.token", "t"), ("ca.crt", "")):
        (tmp_path / name).write_text(text)
    fields = {"url": NOWHERE, "token_file": str(tmp_path / "admin.token"), "ca_file": ""}
    (tmp_path / "hub.json").write_text(json.dumps(fields))
    return {"HANSE_CONFIG": str(tmp_path / "hub.json")}


def test_a_hub_that_does_not_run_is_told_with_how_to_start_it(own, said, tmp_path: Path) -> None:
    code, out, err = said(own, "--json")
    assert (code, json.loads(out)["error"]["code"]) == (1, "hub-not-running")
    assert f"nobody answers at {NOWHERE}" in err
    assert f"hanse hub run --dir {tmp_path}" in err


def test_a_hub_that_runs_but_does_not_answer_is_told_apart(own, said, tmp_path: Path) -> None:
    with (tmp_path / "hub.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, _, err = said(own)
    assert code == 1
    assert f"A hub runs in {tmp_path}, but" in err


def test_of_a_hub_elsewhere_only_its_silence_is_known(own, said, tmp_path: Path) -> None:
    (tmp_path / "hub.lock").unlink()
    code, _, err = said(own)
    assert (code, "does not answer" in err) == (1, True)
