"""Reading a component's lines through the hub: who may, for how long, and what is left afterwards."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hub_files import shop_file
from hub_world import World

from hanse.hub.logs.live import FOLLOW_SECONDS, READERS_MAX
from hanse.model.replica.observation import Failure, ReplicaState
from hanse.model.replica.order import LogsOrder, ReplicaOrder
from hanse.model.replica.role import ReplicaRole
from hanse.trust.keys import make_sealing_key
from hanse.trust.sealing import KeySealer

PATH = "/v1/applications/shop/components/web/logs"
ME = KeySealer(make_sealing_key())


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path / "images")
    made.join("alder/one", "birch/one")
    made.play()
    made.apply(shop_file(made.push_image()))
    made.play()
    return made


def asked(world: World, **more: Any) -> str:
    return str(world.ask("POST", PATH, {"sealing_key": ME.public_key, **more})["id"])


def ordered(world: World) -> LogsOrder:
    orders = [each.order for each in world.sites["alder/one"].orders.values()]
    return next(each for each in orders if isinstance(each, LogsOrder))


def test_the_site_answers_and_only_the_reader_opens_it(world: World) -> None:
    reading = asked(world)
    assert not world.ask("GET", f"{PATH}/{reading}")["ready"]
    world.play()
    found = world.ask("GET", f"{PATH}/{reading}")
    assert (found["ready"], found["site"], found["moved"]) == (True, "alder/one", False)
    assert ME.open(found["sealed"]) == b"a line of web at alder/one"
    assert "a line" not in str(world.ask("GET", "/v1/applications/shop/history"))


def test_readers_come_and_go_on_one_order(world: World) -> None:
    first, second = asked(world), asked(world, follows=True)
    world.play()
    assert {each.reader for each in ordered(world).readers} == {first, second}
    world.ask("DELETE", f"{PATH}/{first}")
    world.play()
    assert [each.reader for each in ordered(world).readers] == [second]
    assert world.refused("GET", f"{PATH}/{first}") == (404, "reading-unknown")
    world.watch.time += timedelta(seconds=FOLLOW_SECONDS)
    third = asked(world)
    world.play()
    assert [each.reader for each in ordered(world).readers] == [third]


def test_too_many_readers_and_wrong_wishes_are_refused(world: World) -> None:
    key = {"sealing_key": ME.public_key}
    assert world.refused("POST", PATH, {**key, "lines": 0}) == (422, "request-malformed")
    assert world.refused("POST", PATH, {"sealing_key": "none"}) == (422, "key-unreadable")
    elsewhere = PATH.replace("web", "nothing")
    assert world.refused("POST", elsewhere, key) == (404, "component-unknown")
    for _ in range(READERS_MAX):
        asked(world)
    assert world.refused("POST", PATH, key) == (422, "too-many-readers")


def test_a_reader_learns_that_the_component_has_moved(world: World) -> None:
    reading = asked(world, follows=True)
    world.play()
    world.ask("POST", "/v1/applications/shop/moves", {"component": "web", "to": "birch/one"})
    world.play()
    assert world.ask("GET", f"{PATH}/{reading}")["moved"]
    again = asked(world)
    assert world.ask("GET", f"{PATH}/{again}")["site"] == "birch/one"


def test_of_what_has_ended_nothing_live_can_be_read(world: World) -> None:
    world.ask("POST", "/v1/applications/shop/retirement", {"erase_now": True})
    world.play()
    found = world.ask("GET", PATH)
    assert (found["live"], found["pieces"]) == (False, [])
    assert "shop has ended, so nothing of it runs" in found["says"]
    assert world.refused("POST", PATH, {"sealing_key": ME.public_key}) == (422, "application-not-running")


def test_after_a_declined_purchase_the_programs_last_words_are_still_there(tmp_path: Path) -> None:
    world = World(tmp_path / "images")
    world.join("alder/one", "birch/one")
    failure = Failure(code="program-ended", message="It ended.", temporary=False, detail="no such table")

    def failing(_site: Any, instruction: Any) -> Any:
        order = instruction.order
        if not isinstance(order, ReplicaOrder) or order.role is not ReplicaRole.PRIMARY:
            return None
        state = ReplicaState(role=ReplicaRole.ABSENT, epoch=0, ready=False)
        return [(instruction.subject, state, instruction, failure)] if order.key.component == "web" else None

    for site in world.sites.values():
        site.answer = failing
    world.play()
    world.apply(shop_file(world.push_image()))
    world.play()
    found = world.ask("GET", PATH)
    assert [(each["code"], each["text"]) for each in found["pieces"]] == [("program-ended", "no such table")]
    assert "shop was not bought, so nothing of it runs" in found["says"]
