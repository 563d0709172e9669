"""The verifier stands between the planner and everybody who would believe a plan."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hub_files import shop_file
from hub_world import World

from hanse.matching.planner import match
from hanse.model.market.plan import NoSolution, Plan


def cheaper(*arguments: Any, **named: Any) -> Plan | NoSolution:
    """A planner that promises a price that is not the sum."""
    plan = match(*arguments, **named)
    return plan.model_copy(update={"price_micro_eur_per_month": 1}) if isinstance(plan, Plan) else plan


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path / "images")
    made.join("alder/one", "birch/one")
    return made


def deceive(world: World) -> None:
    world.hub = replace(world.hub, match=cheaper)
    world.open_face()


def test_a_wrong_plan_is_refused_in_words_and_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    deceive(world)
    text = shop_file(world.push_image())
    with caplog.at_level(logging.ERROR, "hanse.hub"):
        reply = world.http.request("POST", "/v1/plans", json={"file": text})
    problem = reply.json()
    assert (reply.status_code, problem["code"]) == (500, "plan-wrong")
    assert "states a total of 1" in problem["detail"]
    assert "Nothing was changed" in problem["detail"]
    assert "a plan for shop on catalogue" in caplog.text


def test_a_wrong_plan_is_not_kept(world: World) -> None:
    deceive(world)
    world.refused("POST", "/v1/plans", {"file": shop_file(world.push_image())})
    assert world.refused("PUT", "/v1/applications/shop", {"plan": "plan-1"}) == (404, "plan-unknown")


def test_a_wrong_plan_moves_nothing(world: World) -> None:
    world.apply(shop_file(world.push_image()))
    world.play()
    before = world.status()
    deceive(world)
    wish = {"component": "files", "to": "birch/one"}
    assert world.refused("POST", "/v1/applications/shop/moves", wish) == (500, "plan-wrong")
    assert world.status() == before


def test_the_changed_file_of_a_running_application_is_judged_too(world: World) -> None:
    image = world.push_image()
    world.apply(shop_file(image))
    world.play()
    changed = world.ask("POST", "/v1/plans", {"file": shop_file(image, storage="11")})
    deceive(world)
    assert world.refused("PUT", "/v1/applications/shop", {"plan": changed["id"]}) == (500, "plan-wrong")
