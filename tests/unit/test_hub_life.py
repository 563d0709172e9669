"""The whole life of an application by HTTP, on a hub with played sites."""

from pathlib import Path
from typing import Any

import pytest
from hub_answers import relinquishment
from hub_world import World

from hanse.model.replica.instruction import Instruction
from hanse.model.replica.observation import CutOverState, ReachState, ReplicaState, StatementState
from hanse.model.replica.order import HoldOrder, ReplicaOrder, TicketOrder
from hanse.model.replica.role import ReplicaRole

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


def test_a_site_without_an_order_has_no_say_about_a_replica(shop: World) -> None:
    lie = ReplicaState(role=ReplicaRole.PRIMARY, epoch=99, ready=True)
    answer = shop.sites["cedar/one"].say("replica/shop/files/0/live", lie)
    assert [each["code"] for each in answer["refused"]] == ["observation-unasked"]
    shop.ask("POST", "/v1/applications/shop/moves", {"component": "files", "to": "birch/one"})
    shop.play()
    assert sites_of(shop)["files"] == "birch/one"
    order = shop.sites["birch/one"].orders["replica/shop/files/0/live"].order
    assert isinstance(order, ReplicaOrder)
    assert order.epoch == 2


def test_prices_and_times_that_no_plan_can_reckon_with_are_refused(world: World) -> None:
    site = world.sites["cedar/one"]
    statement = site.statement()
    cheap = statement.offers[0].model_copy(update={"price_micro_eur_per_month": -1})
    lies = (
        ("statement", StatementState(statement=statement.model_copy(update={"offers": (cheap,)}))),
        ("reach", ReachState(rtt_ms={"alder/one": float("inf")})),
    )
    for subject, lie in lies:
        refused = site.say(subject, lie)["refused"]
        assert [each["code"] for each in refused] == ["observation-unreadable"]
        assert "negative or no number" in refused[0]["message"]


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


def component(world: World, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in world.status()["components"] if each["component"] == name)
    return found


def test_a_third_site_ends_the_older_way_back(shop: World) -> None:
    for target in ("birch/one", "cedar/one"):
        shop.ask("POST", "/v1/applications/shop/moves", {"component": "files", "to": target})
        shop.play()
    files = component(shop, "files")
    assert (files["site"], files["way_back"]["site"]) == ("cedar/one", "birch/one")
    assert {each["site"]: each["role"] for each in files["replicas"]}["alder/one"] == "retained"
    first_hold = shop.sites["alder/one"].orders["hold/order-1-files"].order
    assert isinstance(first_hold, HoldOrder)
    assert first_hold.wanted == "released"


def test_leaving_a_provider_ends_ways_back_that_stand_there(shop: World) -> None:
    shop.ask("POST", "/v1/applications/shop/moves", {"to": "cedar"})
    shop.play()
    asked = shop.ask("POST", "/v1/applications/shop/moves", {"away_from": "alder"})
    assert (asked["moves"], asked["ways_back_ended"]) == ([], ["files", "web"])
    shop.play()
    assert component(shop, "files")["way_back"] is None
    assert shop.refused("POST", "/v1/applications/shop/moves", {"away_from": "alder"})[1] == "nothing-to-move"


def test_the_target_alone_cannot_make_the_hub_believe_that_the_source_gave_away(shop: World) -> None:
    source, target = shop.sites["alder/one"], shop.sites["birch/one"]
    source.answer = lambda _site, said: "silent" if isinstance(said.order, TicketOrder) else None
    asked = shop.ask("POST", "/v1/applications/shop/moves", {"component": "files", "to": "birch/one"})
    shop.play()
    operation = shop.ask("GET", f"/v1/operations/{asked['operations'][0]}")
    instruction = target.orders[f"ticket/{operation['ticket']}"]
    assert isinstance(instruction.order, TicketOrder)
    lie = CutOverState(part="target", phase="done", outcome="done")
    forged = lie.model_copy(update={"relinquishment": relinquishment(target, instruction.order.ticket)})
    answer = target.say(instruction.subject, forged, instruction)
    assert [each["code"] for each in answer["refused"]] == ["signature-wrong"]
    target.say(instruction.subject, lie, instruction)
    shop.play()
    assert target.orders["replica/shop/files/0/live"].order.role is ReplicaRole.STANDBY
    proof = lie.model_copy(update={"relinquishment": relinquishment(source, instruction.order.ticket)})
    target.say(instruction.subject, proof, instruction)
    shop.play()
    assert target.orders["replica/shop/files/0/live"].order.role is ReplicaRole.PRIMARY


def test_a_connection_during_a_move_is_granted_where_the_highest_epoch_is_ordered(shop: World) -> None:
    def silent_on_the_way_back(_site: object, instruction: Instruction) -> str | None:
        order = instruction.order
        back = isinstance(order, ReplicaOrder) and order.role is ReplicaRole.STANDBY
        return "silent" if back else None

    shop.sites["alder/one"].answer = silent_on_the_way_back
    asked = shop.ask("POST", "/v1/applications/shop/moves", {"component": "files", "to": "birch/one"})
    shop.play()
    assert shop.ask("GET", f"/v1/operations/{asked['operations'][0]}")["state"] == "open"
    path = "/v1/applications/shop/components/files/connections"
    site = shop.sites["cedar/one"]
    body = {"certificate_pem": site.certificate, "sealing_key": site.sealing}
    opened = shop.ask("POST", path, body)
    assert opened["site"] == "birch/one"
    shop.play()
    found = shop.ask("GET", f"{path}/{opened['id']}")
    assert (found["ready"], found["site"]) == (True, "birch/one")


def test_a_connection_is_granted_and_taken_back(shop: World) -> None:
    path = "/v1/applications/shop/components/files/connections"
    site = shop.sites["birch/one"]
    body = {"certificate_pem": site.certificate, "sealing_key": site.sealing}
    opened = shop.ask("POST", path, body)
    assert not opened["ready"]
    shop.play()
    found = shop.ask("GET", f"{path}/{opened['id']}")
    assert found["ready"]
    assert (found["bucket"], found["sealed_credential"]) == ("shop-files", "sealed for connect:1")
    shop.watch.time = shop.watch.time.replace(hour=23)
    shop.play()
    assert shop.refused("GET", f"{path}/{opened['id']}") == (404, "connection-unknown")
    order = shop.sites["alder/one"].orders["replica/shop/files/0/live"].order
    assert isinstance(order, ReplicaOrder)
    assert [grant.name for grant in order.grants] == ["web@alder/one"]


def test_history_tells_what_happened_newest_first(shop: World) -> None:
    entries = shop.ask("GET", "/v1/applications/shop/history?limit=500")["entries"]
    kinds = [each["kind"] for each in reversed(entries)]
    assert kinds[:2] == ["plan-made", "application-applied"]
    assert kinds.index("order-confirmed") < kinds.index("order-accepted") < kinds.index("operation-advanced")
    assert shop.refused("GET", "/v1/applications/none/history") == (404, "application-unknown")


def test_a_catalogue_is_refused_whole_or_listed(world: World) -> None:
    files = {
        "name": "small",
        "providers_csv": "id,name,country,parent_country,source\nelm,Elm,DE,,test\n",
        "sites_csv": "provider,site,city,country,lat,lon,kind,renewable,source\n"
        "elm,one,Bonn,DE,50.7,7.1,micro,,test\n",
        "offers_csv": "provider\n",
    }
    assert world.refused("POST", "/v1/catalogues", files) == (422, "catalogue-unreadable")
    assert world.ask("GET", "/v1/providers?where=provider%20%3D%20elm")["total"] == 0
