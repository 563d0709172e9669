"""A site that is not heard from: the status says that what it shows may have changed."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from hub_files import shop_file
from hub_world import World

from hanse.cli.show.status import status_lines


def _running(tmp_path: Path) -> World:
    world = World(tmp_path / "images")
    world.join("alder/one", "birch/one", "cedar/one")
    world.play()
    world.apply(shop_file(world.push_image()))
    world.play()
    return world


def _silent(status: Any) -> set[str]:
    return {each["site"] for each in status["sites"] if each["silent"]}


def test_a_site_is_silent_after_a_minute_without_a_word_and_until_it_speaks(tmp_path: Path) -> None:
    world = _running(tmp_path)
    assert _silent(world.status()) == set()
    named = {each["site"] for each in world.status()["sites"]}
    world.watch.time += timedelta(seconds=61)
    assert _silent(world.status()) == named
    speaking = min(named)
    world.sites[speaking].pull()
    assert _silent(world.status()) == named - {speaking}


def test_the_status_names_silent_sites_and_when_they_were_last_heard(tmp_path: Path) -> None:
    world = _running(tmp_path)
    assert not [line for line in status_lines(world.status()) if "not heard from" in line]
    world.watch.time += timedelta(minutes=5)
    said = [line for line in status_lines(world.status()) if "not heard from" in line]
    assert len(said) == 1
    assert "(last heard 2026-05-01 12:00:00)" in said[0]
