"""Whole applications move: in a legal order, with their addresses, and stop where a step fails."""

from pathlib import Path
from typing import Any

import pytest
from hub_answers import obedient
from hub_files import shop_file
from hub_world import PlayedSite, World

from hanse.model.replica.instruction import Instruction
from hanse.model.replica.observation import Failure, ReachState
from hanse.model.replica.order import HoldOrder, ReplicaOrder, RouteOrder

MOVES = "/v1/applications/shop/moves"
EVERYTHING = ["files", "web", "web-endpoint"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path / "images")
    made.join("alder/one", "birch/one", "cedar/one")
    made.play()
    return made


def shop(world: World, **how: str) -> World:
    """files and web at alder, the endpoint at birch."""
    world.apply(shop_file(world.push_image(), **how))
    world.play()
    assert stands(world) == {"files": "alder/one", "web": "alder/one", "web-endpoint": "birch/one"}
    return world


def stands(world: World) -> dict[str, str]:
    status = world.status()
    found = {each["component"]: each["site"] for each in status["components"]}
    return found | {f"{each['component']}-endpoint": each["site"] for each in status["endpoints"]}


def go(world: World, **asked: Any) -> Any:
    """Move to the end."""
    moves = world.ask("POST", MOVES, asked)
    world.play()
    return moves


def no(world: World, **asked: Any) -> tuple[str, str]:
    """Code and words of a move that is refused."""
    reply = world.http.request("POST", MOVES, json=asked)
    assert reply.status_code == 422, reply.text
    return reply.json()["code"], reply.json()["detail"]


def routes(world: World) -> dict[str, str | None]:
    """By site: where its address of web leads."""
    found = {}
    for name, site in world.sites.items():
        order = site.orders["route/shop/web"].order if "route/shop/web" in site.orders else None
        if isinstance(order, RouteOrder):
            found[name] = order.upstream.stream.peer.site if order.upstream else None
    return found


def failing(component: str) -> Any:
    """A site that cannot start one component."""

    def answer(site: PlayedSite, instruction: Instruction) -> Any:
        order = instruction.order
        if not isinstance(order, ReplicaOrder) or order.key.component != component or order.role != "primary":
            return None
        said = obedient(site, instruction)
        failure = Failure(code="does-not-start", message=f"{component} ends at once", temporary=False)
        return [
            (subject, state.model_copy(update={"ready": False}), by, failure) for subject, state, by in said
        ]

    return answer


def test_everything_goes_to_a_provider_with_its_address(world: World) -> None:
    moves = go(shop(world), to="cedar")
    assert [each["component"] for each in moves["moves"]] == EVERYTHING
    assert set(stands(world).values()) == {"cedar/one"}
    assert routes(world) == {"birch/one": "cedar/one", "cedar/one": "cedar/one"}
    endpoint = world.status()["endpoints"][0]
    assert [each["site"] for each in endpoint["old_addresses"]] == ["birch/one"]


def test_each_step_says_what_it_costs_and_interrupts(world: World) -> None:
    moves = shop(world).ask("POST", MOVES, {"to": "cedar", "dry_run": True})
    files, web, endpoint = moves["moves"]
    assert [line["what"] for line in files["price"]] == ["bucket standard", "way back at alder/one"]
    assert (web["price_before_micro_eur_per_month"], web["price_after_micro_eur_per_month"]) == (
        10**7,
        3 * 10**7,
    )
    assert files["gap"] == {"median_ms": None, "count": 0, "says": "not measured here yet"}
    assert endpoint["gap"]["says"].startswith("not measured: the new address answers")
    assert moves["ways_back_micro_eur_per_month"] == 10_100_000
    assert (moves["operations"], stands(world)["files"]) == ([], "alder/one")


def test_the_expected_gap_is_the_median_of_this_hubs_own_moves(world: World) -> None:
    shop(world)
    for site in ("birch/one", "cedar/one"):
        go(world, component="files", to=site)
    gap = world.ask("POST", MOVES, {"component": "files", "back": True, "dry_run": True})["moves"][0]["gap"]
    assert (gap["median_ms"], gap["count"]) == (120, 2)


def test_everything_goes_back_in_the_reverse_order(world: World) -> None:
    go(shop(world), to="cedar")
    moves = go(world, back=True)
    assert [each["component"] for each in moves["moves"]] == EVERYTHING[::-1]
    assert all(each["uses_way_back"] for each in moves["moves"])
    assert stands(world) == {"files": "alder/one", "web": "alder/one", "web-endpoint": "birch/one"}
    assert routes(world) == {"birch/one": "alder/one", "cedar/one": "alder/one"}


def test_a_full_site_takes_back_what_still_has_its_place_there(world: World) -> None:
    go(shop(world), to="cedar")
    world.sites["alder/one"].units = 0
    world.sites["alder/one"].state()
    go(world, back=True)
    assert stands(world)["web"] == "alder/one"


def test_leaving_the_provider_of_the_address_moves_it_and_ends_the_old_one(world: World) -> None:
    moves = go(shop(world), away_from="birch")
    assert [each["component"] for each in moves["moves"]] == ["web-endpoint"]
    assert routes(world) == {"birch/one": None, "cedar/one": "alder/one"}
    assert world.status()["endpoints"][0]["old_addresses"] == []
    assert no(world, away_from="birch")[0] == "nothing-to-move"


def test_an_old_address_goes_on_as_long_as_asked_and_ends_by_itself(world: World) -> None:
    go(shop(world), away_from="birch", keep_old_address_seconds=3600)
    old = world.status()["endpoints"][0]["old_addresses"]
    assert [(each["site"], each["until"]) for each in old] == [("birch/one", "2026-05-01T13:00:00Z")]
    assert routes(world)["birch/one"] == "alder/one"
    world.watch.time = world.watch.time.replace(hour=14)
    world.play()
    assert routes(world)["birch/one"] is None
    assert world.status()["endpoints"][0]["old_addresses"] == []


def test_leaving_a_provider_ends_old_addresses_that_stand_there(world: World) -> None:
    go(shop(world), component="web-endpoint", to="cedar")
    moves = go(world, away_from="birch")
    assert (moves["moves"], moves["ways_back_ended"]) == ([], ["web-endpoint"])
    assert routes(world)["birch/one"] is None


def test_everything_goes_to_a_country(world: World) -> None:
    moves = go(shop(world), country="FR")
    assert [each["component"] for each in moves["moves"]] == ["files", "web"]
    assert set(stands(world).values()) == {"birch/one"}
    assert no(world, country="FR")[0] == "same-site"
    assert no(world, country="UK") == (
        "country-unknown",
        "UK is no country code of ISO 3166-1. GB is usually meant. Two capital letters, such as IT or NO.",
    )


def test_parts_that_must_stay_together_cannot_go_one_by_one(world: World) -> None:
    policy = "policy:\n  together:\n    - {components: [files, web], at: provider}\n"
    code, words = no(shop(world, policy=policy), to="cedar")
    assert code == "no-order"
    assert "moving files to cedar/one: breaks together-1: files and web stand at one provider" in words
    assert "Nothing was changed" in words
    assert world.status()["operations"][0]["kind"] == "deploy"


def test_ways_back_count_in_the_budget(world: World) -> None:
    shop(world, policy="policy:\n  budget_eur_per_month: 35\n")
    code, words = no(world, to="cedar")
    assert code == "no-order"
    assert "ways back would take 10.10 EUR of it" in words
    go(world, away_from="alder")
    assert "alder/one" not in stands(world).values()


def test_an_address_moves_before_a_place_that_it_would_not_reach(world: World) -> None:
    shop(world)
    birch = world.sites["birch/one"]
    state = ReachState(rtt_ms={"alder/one": 1.0}, unreachable={"cedar/one": "no way there"})
    birch.say("reach", state, birch.orders["reach"])
    code, words = no(world, to="cedar")
    assert code == "no-reach"
    assert "the old address of web at birch/one would not reach web at cedar/one" in words
    moves = go(world, to="cedar", keep_old_address_seconds=0)
    assert [each["component"] for each in moves["moves"]] == ["files", "web-endpoint", "web"]
    assert routes(world) == {"birch/one": None, "cedar/one": "cedar/one"}


def test_a_failed_step_leaves_a_legal_prefix_and_says_how_to_go_on(world: World) -> None:
    shop(world)
    world.sites["cedar/one"].answer = failing("web")
    names = go(world, to="cedar")["operations"]
    assert stands(world) == {"files": "cedar/one", "web": "alder/one", "web-endpoint": "birch/one"}
    last = world.status()["last_move"]
    assert (last["state"], [each["state"] for each in last["steps"]]) == (
        "stopped",
        ["done", "aborted", "aborted"],
    )
    assert last["why"] == f"{names[1]} (move web alder/one → cedar/one) was aborted: web ends at once"
    assert last["go_on"] == ["hanse move shop --to cedar"]
    assert last["go_back"] == ["hanse move shop --back"]
    reason = world.ask("GET", f"/v1/operations/{names[2]}")["reason"]
    assert reason == f"needs {names[1]}, which was aborted; not begun"


def test_after_a_failed_step_the_same_words_do_the_rest(world: World) -> None:
    shop(world)
    world.sites["cedar/one"].answer = failing("web")
    go(world, to="cedar")
    world.sites["cedar/one"].answer = None
    moves = go(world, to="cedar")
    assert [each["component"] for each in moves["moves"]] == EVERYTHING[1:]
    assert set(stands(world).values()) == {"cedar/one"}
    assert world.status()["last_move"]["state"] == "done"


def test_after_a_failed_step_what_moved_can_go_back(world: World) -> None:
    shop(world)
    world.sites["cedar/one"].answer = failing("web")
    go(world, to="cedar")
    go(world, back=True)
    assert stands(world) == {"files": "alder/one", "web": "alder/one", "web-endpoint": "birch/one"}


def test_a_way_back_that_stops_names_the_parts_that_are_left(world: World) -> None:
    go(shop(world), to="cedar")
    world.sites["alder/one"].answer = failing("web")
    go(world, back=True)
    last = world.status()["last_move"]
    assert last["go_on"] == ["hanse move shop/web --back", "hanse move shop/files --back"]
    assert last["go_back"] == ["hanse move shop/web-endpoint --back"]


def test_holds_of_steps_that_were_not_begun_are_given_back(world: World) -> None:
    shop(world)
    cedar = world.sites["cedar/one"]
    order = world.ask("POST", MOVES, {"to": "cedar"})
    world.ask("POST", f"/v1/operations/{order['operations'][0]}/abort")
    world.play()
    holds = {
        subject: each.order.wanted
        for subject, each in cedar.orders.items()
        if isinstance(each.order, HoldOrder) and order["order"] in subject
    }
    assert holds == {f"hold/{order['order']}-{name}": "released" for name in ("files", "web")}
    assert world.status()["last_move"]["go_back"] == []


def test_a_step_that_has_not_begun_is_aborted_at_once_and_those_before_it_go_on(world: World) -> None:
    shop(world)
    names = world.ask("POST", MOVES, {"to": "cedar"})["operations"]
    world.ask("POST", f"/v1/operations/{names[1]}/abort")
    world.play()
    assert stands(world) == {"files": "cedar/one", "web": "alder/one", "web-endpoint": "birch/one"}
    last = world.status()["last_move"]
    assert last["why"].endswith("was aborted: abort was asked for; not begun")


def test_the_port_that_the_file_names_is_kept_at_the_new_place(world: World) -> None:
    text = shop_file(world.push_image()).replace("port: 8080", "port: 8080, listen_port: 8077")
    world.apply(text)
    world.play()
    go(world, to="cedar")
    order = world.sites["cedar/one"].orders["route/shop/web"].order
    assert isinstance(order, RouteOrder)
    assert order.listen_port == 8077
