"""The whole life of an application by HTTP, on a hub with played sites."""

from pathlib import Path

import pytest
from hub_world import World

FILE = """\
hanse: 1
name: shop
components:
  files:
    kind: bucket
    size: {{storage_gib: 10}}
  web:
    kind: container
    image: {image}
    size: {{vcpu: 1, memory_gib: 1}}
    uses:
      - component: files
    expose: {{port: 8080}}
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path / "images")
    made.join("alder/one", "birch/one", "cedar/one")
    made.play()
    return made


@pytest.fixture
def shop(world: World) -> World:
    world.apply(FILE.format(image=world.push_image()))
    world.play()
    return world


def sites_of(world: World) -> dict[str, str]:
    return {each["component"]: each["site"] for each in world.status()["components"]}


def test_a_plan_is_bought_and_runs(shop: World) -> None:
    status = shop.status()
    assert status["state"] == "running"
    assert sites_of(shop) == {"files": "alder/one", "web": "alder/one"}
    assert {each["state"] for each in status["operations"]} == {"done"}
    assert status["endpoints"][0]["port"] == 8000
    assert status["mandate"]["says"] == "not signed"


def test_a_bucket_moves_by_ticket_and_keeps_a_way_back(shop: World) -> None:
    asked = shop.ask("POST", "/v1/applications/shop/moves", {"component": "files", "to": "birch/one"})
    assert [(each["source"], each["target"]) for each in asked["moves"]] == [("alder/one", "birch/one")]
    shop.play()
    operation = shop.ask("GET", f"/v1/operations/{asked['operations'][0]}")
    assert (operation["state"], operation["dark_ms"]) == ("done", 120)
    files = next(each for each in shop.status()["components"] if each["component"] == "files")
    assert (files["site"], files["epoch"]) == ("birch/one", 2)
    assert files["way_back"]["site"] == "alder/one"


def test_going_back_uses_the_standby_and_its_hold(shop: World) -> None:
    shop.ask("POST", "/v1/applications/shop/moves", {"component": "files", "to": "birch/one"})
    shop.play()
    asked = shop.ask("POST", "/v1/applications/shop/moves", {"back": True})
    assert asked["moves"][0]["uses_way_back"]
    shop.play()
    files = next(each for each in shop.status()["components"] if each["component"] == "files")
    assert (files["site"], files["epoch"], files["way_back"]["site"]) == ("alder/one", 3, "birch/one")


def test_everything_leaves_a_provider_without_a_way_back(shop: World) -> None:
    asked = shop.ask("POST", "/v1/applications/shop/moves", {"away_from": "alder"})
    assert {each["component"] for each in asked["moves"]} == {"files", "web"}
    assert all(each["one_way"] for each in asked["moves"])
    shop.play()
    assert "alder/one" not in sites_of(shop).values()
    roles = {
        (each["component"], replica["site"]): replica["role"]
        for each in shop.status()["components"]
        for replica in each["replicas"]
    }
    assert roles[("files", "alder/one")] == "retained"
    assert roles[("web", "alder/one")] == "absent"


def test_a_retired_application_leaves_nothing_and_its_name_is_free(shop: World) -> None:
    shop.ask("POST", "/v1/applications/shop/retirement", {"erase_now": True})
    shop.play()
    status = shop.status()
    assert status["state"] == "ended"
    assert {r["role"] for each in status["components"] for r in each["replicas"]} == {"absent"}
    assert all(
        order.order.wanted == "released"
        for site in shop.sites.values()
        for subject, order in site.orders.items()
        if subject.startswith("hold/")
    )
    shop.apply(FILE.format(image=shop.push_image()))
    shop.play()
    assert shop.status()["state"] == "running"


def test_a_way_back_ends_by_itself(shop: World) -> None:
    shop.ask("POST", "/v1/applications/shop/moves", {"component": "files", "to": "birch/one"})
    shop.play()
    shop.watch.time = shop.watch.time.replace(day=shop.watch.time.day + 2)
    shop.play()
    files = next(each for each in shop.status()["components"] if each["component"] == "files")
    assert files["way_back"] is None
    assert {r["site"]: r["role"] for r in files["replicas"]} == {
        "alder/one": "retained",
        "birch/one": "primary",
    }
