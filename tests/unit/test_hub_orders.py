"""Hold before buy, changes, refusals, and a hub that is killed between any two commits."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hub_files import shop_file
from hub_world import PlayedSite, World

from hanse.model.replica.instruction import Instruction
from hanse.model.replica.observation import Declined, Failure, HoldState, ReplicaState
from hanse.model.replica.order import HoldOrder, ReplicaOrder
from hanse.ports import Transaction
from hanse.store.sqlite import SqliteStore


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path / "images")
    made.join("alder/one", "birch/one", "cedar/one")
    made.play()
    return made


def holds_of(site: PlayedSite) -> list[HoldOrder]:
    orders = [each.order for subject, each in sorted(site.orders.items()) if subject.startswith("hold/")]
    return [order for order in orders if isinstance(order, HoldOrder)]


def declining(kind: str) -> Any:
    """A site that does not sell one kind any more."""

    def answer(site: PlayedSite, instruction: Instruction) -> Any:
        order = instruction.order
        if isinstance(order, HoldOrder) and order.wanted != "released" and kind in order.lines[0].offer:
            return [(instruction.subject, HoldState(state="declined", reason="sold out"), instruction)]
        return None

    return answer


def silent(site: PlayedSite, instruction: Instruction) -> Any:
    return "silent"


def test_one_declined_hold_releases_all_and_nothing_runs(world: World) -> None:
    world.sites["alder/one"].answer = declining(":vm:")
    world.apply(shop_file(world.push_image()))
    world.play()
    status = world.status()
    assert status["state"] == "declined"
    assert status["reason"].startswith("alder/one refused web: sold out")
    assert {each["state"] for each in status["operations"]} == {"aborted"}
    assert [order.wanted for order in holds_of(world.sites["alder/one"])] == ["released", "released"]
    assert not [subject for site in world.sites.values() for subject in site.orders if "replica/" in subject]


def test_an_instruction_that_a_site_declines_counts_as_a_declined_hold(world: World) -> None:
    site = world.sites["alder/one"]

    def answer(_site: PlayedSite, instruction: Instruction) -> Any:
        if not isinstance(instruction.order, HoldOrder):
            return None
        failure = Failure(code="no-capacity", message="the disk is full", temporary=False)
        site.send(site.sign(instruction.subject, Declined(), instruction, failure))
        return []

    site.answer = answer
    world.apply(shop_file(world.push_image()))
    world.play()
    assert "the disk is full" in world.status()["reason"]


def test_a_silent_site_is_waited_for_until_the_deadline(world: World) -> None:
    world.sites["alder/one"].answer = silent
    world.apply(shop_file(world.push_image()))
    world.play()
    assert world.status()["state"] == "ordering"
    world.watch.time = world.watch.time.replace(hour=13)
    world.play()
    assert world.status()["state"] == "declined"
    assert "did not answer in time" in world.status()["reason"]


def test_a_program_that_does_not_start_takes_the_whole_purchase_back(world: World) -> None:
    def answer(site: PlayedSite, instruction: Instruction) -> Any:
        order = instruction.order
        if not isinstance(order, ReplicaOrder) or order.key.component != "web" or order.role != "primary":
            return None
        state = ReplicaState(role="absent", epoch=order.epoch, ready=False)
        failure = Failure(
            code="program-ended", message="web ended at once", temporary=False, detail="no such file"
        )
        site.send(site.sign(instruction.subject, state, instruction, failure))
        return []

    for site in world.sites.values():
        site.answer = answer
    world.apply(shop_file(world.push_image()))
    world.play()
    status = world.status()
    assert status["state"] == "declined"
    assert "web ended at once" in status["reason"]
    roles = {each["ordered"] for component in status["components"] for each in component["replicas"]}
    assert roles == {"absent"}
    assert {order.wanted for site in world.sites.values() for order in holds_of(site)} == {"released"}


def test_what_can_change_in_place_is_done_and_the_rest_is_refused(world: World) -> None:
    digest = world.push_image()
    world.apply(shop_file(digest))
    world.play()
    changed = world.apply(shop_file(world.push_image(b"newer"), way_back="1h"))
    assert set(changed["changed"]) == {"web.image", "files.way_back"}
    world.play()
    order = world.sites["alder/one"].orders["replica/shop/web/0/live"].order
    assert isinstance(order, ReplicaOrder)
    assert order.spec.image != digest
    plan = world.ask("POST", "/v1/plans", {"file": shop_file(digest, storage="20", memory="2")})["id"]
    answer = world.http.request("PUT", "/v1/applications/shop", json={"plan": plan})
    assert answer.json()["code"] == "change-refused"
    assert "files.size; web.size" in answer.json()["detail"]


def test_a_policy_that_forbids_the_present_place_is_refused(world: World) -> None:
    digest = world.push_image()
    world.apply(shop_file(digest))
    world.play()
    text = shop_file(digest, policy="policy:\n  exclude_providers: [alder]\n")
    plan = world.ask("POST", "/v1/plans", {"file": text})["id"]
    assert world.refused("PUT", "/v1/applications/shop", {"plan": plan}) == (422, "change-refused")


def test_moves_that_cannot_be_are_refused_with_a_code(world: World) -> None:
    path = "/v1/applications/shop/moves"
    assert world.refused("POST", path, {"to": "birch/one"}) == (404, "application-unknown")
    world.apply(shop_file(world.push_image(), policy="policy:\n  countries: [DE, FR]\n"))
    world.play()
    for body, code in (
        ({"component": "files", "to": "alder/one"}, "same-site"),
        ({"component": "nothing", "to": "birch/one"}, "component-unknown"),
        ({"to": "birch/two"}, "site-unknown"),
        ({"to": "elm"}, "provider-unknown"),
        ({"away_from": "elm"}, "provider-unknown"),
        ({"away_from": "cedar"}, "nothing-to-move"),
        ({"back": True}, "no-way-back"),
        ({"to": "cedar/one"}, "move-impossible"),
        ({"to": "cedar/one", "back": True}, "request-malformed"),
    ):
        assert world.refused("POST", path, body)[1] == code, body
    assert world.status()["operations"] == world.status()["operations"]


def test_two_moves_at_once_are_refused(world: World) -> None:
    world.apply(shop_file(world.push_image()))
    world.play()
    body = {"component": "files", "to": "birch/one"}
    dry = world.ask("POST", "/v1/applications/shop/moves", {**body, "dry_run": True})
    assert dry["operations"] == []
    world.ask("POST", "/v1/applications/shop/moves", body)
    assert world.refused("POST", "/v1/applications/shop/moves", body) == (422, "application-busy")


def test_a_move_is_aborted_and_its_hold_given_back(world: World) -> None:
    world.apply(shop_file(world.push_image()))
    world.play()
    asked = world.ask("POST", "/v1/applications/shop/moves", {"component": "files", "to": "birch/one"})
    name = asked["operations"][0]
    world.ask("POST", f"/v1/operations/{name}/abort")
    world.play()
    assert world.ask("GET", f"/v1/operations/{name}")["state"] == "aborted"
    files = next(each for each in world.status()["components"] if each["component"] == "files")
    assert files["site"] == "alder/one"
    assert [order.wanted for order in holds_of(world.sites["birch/one"])] == ["released"]
    assert world.refused("POST", f"/v1/operations/{name}/abort") == (422, "operation-over")


class Killed(BaseException):
    """The hub's process is gone."""


class MortalStore:
    """Ends the hub after its n-th commit."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.store = SqliteStore(file)
        self.left = -1

    @contextmanager
    def transaction(self, *, read_only: bool = False) -> Iterator[Transaction]:
        with self.store.transaction(read_only=read_only) as tx:
            yield tx
        if not read_only:
            self.left -= 1
            if self.left == 0:
                raise Killed

    def reopen(self) -> None:
        self.store.close()
        self.store = SqliteStore(self.file)


def test_killed_after_every_commit_the_hub_finishes_what_was_begun(tmp_path: Path) -> None:
    store = MortalStore(tmp_path / "hub.sqlite")
    world = World(tmp_path / "images", store=store)
    world.join("alder/one", "birch/one", "cedar/one")
    world.apply(shop_file(world.push_image()))
    deaths = die_while_playing(world, store)
    assert world.status()["state"] == "running"
    world.ask("POST", "/v1/applications/shop/moves", {"component": "files", "to": "birch/one"})
    deaths += die_while_playing(world, store)
    files = next(each for each in world.status()["components"] if each["component"] == "files")
    assert (files["site"], files["epoch"]) == ("birch/one", 2)
    world.ask("POST", "/v1/applications/shop/moves", {"to": "cedar"})
    deaths += die_while_playing(world, store)
    assert {each["site"] for each in world.status()["components"]} == {"cedar/one"}
    endpoint = world.status()["endpoints"][0]
    assert [endpoint["site"], endpoint["old_addresses"][0]["site"]] == ["cedar/one", "birch/one"]
    assert deaths > 100
    store.store.close()


def die_while_playing(world: World, store: MortalStore) -> int:
    """Let the hub die after each single commit until nothing is left to do; how often it died."""
    for deaths in range(500):
        store.left = 1
        try:
            world.play()
        except Killed:
            store.reopen()
            world.open_face()
            continue
        store.left = -1
        return deaths
    raise AssertionError("the hub finds no rest")
