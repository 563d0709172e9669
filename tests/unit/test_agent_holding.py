"""Held endpoints, and who may hold: the source of a fresh ticket that the hub signed, for a while."""

import asyncio
from typing import Any

import pytest
from agent_orders import STORE, WEB, Move, grant, route, web
from agent_world import World, play

from hanse.drivers.fake.net import Request
from hanse.model.replica.order import RouteOrder
from hanse.model.replica.spec import Upstream

ENDPOINT = "endpoint:shop/web"
POOL = "connector:shop/web/store"


async def deployed(world: World, **more: Any) -> Move:
    """The database, web that uses it, and web's endpoint at the same site."""
    move = Move(world, kind="postgres", holding=("web",), **more)
    await move.deploy()
    source = world.said("a/1", f"replica/{STORE}")
    prepared = Upstream(stream=world.said("b/1", f"replica/{STORE}").clients, epoch=1)
    grants = (grant(world, "endpoint@c/1"),)
    world.order("c/1", web("primary", 1, bindings=(move.binding(source, prepared),), grants=grants))
    await world.until(lambda: world.proxies["c/1"].streams.get(f"{WEB}:clients"))
    world.order("c/1", with_endpoint(world))
    await world.until(lambda: world.proxies["c/1"].routes.get(ENDPOINT))
    return move


def with_endpoint(world: World) -> RouteOrder:
    state = world.said("c/1", f"replica/{WEB}")
    order = route(world, "c/1", 1)
    assert order.upstream is not None
    upstream = order.upstream.model_copy(update={"stream": state.clients})
    return order.model_copy(update={"upstream": upstream})


def ask(world: World) -> "asyncio.Task[Any]":
    """An outside client's request, through the endpoint."""
    address = world.proxies["c/1"].routes[ENDPOINT].listen
    return asyncio.ensure_future(world.net.ask("outside", address, Request(verb="ping")))


async def question(world: World, origin: str, message: dict[str, Any]) -> dict[str, Any]:
    return await world.agents["c/1"].answer(f"key-of-{origin}", message)


def held(world: World) -> bool:
    return world.proxies["c/1"].routes[ENDPOINT].active is None


def test_endpoints_are_held_before_the_connectors_and_let_go_after_the_switch() -> None:
    async def scenario(world: World) -> None:
        move = await deployed(world)
        world.machines["c/1"].work_seconds = 0.5
        running = ask(world)
        await asyncio.sleep(0.05)
        move.cut_over()
        await world.until(lambda: held(world))
        assert not running.done()
        assert not world.bouncers["c/1"].paused
        await world.until(lambda: world.bouncers["c/1"].paused)
        await world.until(lambda: not held(world))
        assert world.proxies["c/1"].routes[POOL].active == "b/1"
        assert not world.bouncers["c/1"].paused

    play(scenario)


@pytest.mark.parametrize(("deadline_seconds", "leads_to"), [(30.0, "b/1"), (2.0, "a/1")])
def test_requests_to_a_bucket_wait_at_the_connector_until_it_is_decided(
    deadline_seconds: float, leads_to: str
) -> None:
    async def scenario(world: World) -> None:
        move = Move(world, deadline_seconds=deadline_seconds)
        await move.deploy()
        await move.foresee()
        world.drivers["b/1"]["bucket"].faults.delay_seconds["catch_up"] = 3.0
        move.cut_over()
        await world.until(lambda: world.proxies["c/1"].routes[POOL].active is None)
        assert world.said("a/1", f"replica/{STORE}").role == "primary"
        await world.until(lambda: world.proxies["c/1"].routes[POOL].active is not None)
        assert world.proxies["c/1"].routes[POOL].active == leads_to

    play(scenario)


@pytest.mark.parametrize("busy_seconds", [0.5, 10.0])
def test_running_requests_may_end_within_two_seconds(busy_seconds: float) -> None:
    async def scenario(world: World) -> None:
        move = await deployed(world)
        world.machines["c/1"].work_seconds = busy_seconds
        running = ask(world)
        await asyncio.sleep(0.05)
        began = world.clock.monotonic()
        move.cut_over()
        await world.until(lambda: world.bouncers["c/1"].paused, 10)
        took = world.clock.monotonic() - began
        assert min(busy_seconds, 2.0) - 0.1 < took < min(busy_seconds, 2.0) + 1.0
        await running

    play(scenario)


def test_requests_that_come_meanwhile_wait_and_are_answered() -> None:
    async def scenario(world: World) -> None:
        move = await deployed(world)
        world.drivers["b/1"]["postgres"].faults.delay_seconds["catch_up"] = 3.0
        move.cut_over()
        await world.until(lambda: held(world))
        asked = ask(world)
        await asyncio.sleep(1.0)
        await world.agents["c/1"].network.check()
        assert held(world)
        assert not asked.done()
        await asked

    play(scenario)


def test_a_held_endpoint_is_let_go_at_the_deadline_when_nobody_says_so() -> None:
    async def scenario(world: World) -> None:
        move = await deployed(world, deadline_seconds=6.0)
        world.drivers["b/1"]["postgres"].faults.delay_seconds["catch_up"] = 30.0
        move.cut_over()
        await world.until(lambda: held(world))
        world.cut |= {("a/1", "c/1"), ("b/1", "c/1")}
        await asyncio.sleep(7.0)
        assert not held(world)

    play(scenario)


def test_a_pool_waits_for_its_new_credential_when_the_hub_relays_the_relinquishment_first() -> None:
    async def scenario(world: World) -> None:
        move = await deployed(world)
        world.drivers["b/1"]["postgres"].faults.delay_seconds["primary"] = 3.0
        order = move.ticket_order()
        move.cut_over()
        shown = await world.until(lambda: (said := move.outcome("a/1")) and said.relinquishment)
        world.order("c/1", order.model_copy(update={"relinquishment": shown}))
        await world.until(lambda: world.proxies["c/1"].routes[POOL].active == "b/1")
        await asyncio.sleep(1.0)
        assert world.bouncers["c/1"].paused == {POOL}
        before = world.clock.monotonic()
        await world.until(lambda: not world.bouncers["c/1"].paused)
        assert world.clock.monotonic() - before < 3.0

    play(scenario)


def test_a_word_about_connectors_that_is_said_twice_lets_no_endpoint_go() -> None:
    async def scenario(world: World) -> None:
        move = await deployed(world)
        move.cut_over()
        await world.until(lambda: held(world))
        world.cut |= {("b/1", "c/1")}
        shown = await world.until(lambda: (said := move.outcome("a/1")) and said.relinquishment)
        document = world.orders["a/1"][f"ticket/{move.ticket}"][1]
        words = {"ask": "switch", "ticket": document, "relinquishment": shown}
        for _ in range(2):
            told = words | {"stage": "connectors", "credentials": {"web@c/1": "unreadable"}}
            assert (await question(world, "b/1", told))["ok"]
            await asyncio.sleep(0.5)
            assert world.proxies["c/1"].routes[POOL].active == "b/1"
            assert held(world)

    play(scenario)


async def ticket(world: World, move: Move) -> str:
    """A ticket that the hub signed, known to nobody yet but the source's own papers."""
    world.cut |= {("a/1", "b/1"), ("a/1", "c/1")}
    world.order("a/1", move.ticket_order())
    return str(await world.until(lambda: world.orders["a/1"].get(f"ticket/{move.ticket}", ("", ""))[1]))


@pytest.mark.parametrize("ask_for", ["hold", "release"])
@pytest.mark.parametrize("origin", ["b/1", "c/1"])
def test_only_the_source_may_hold_or_let_go(ask_for: str, origin: str) -> None:
    async def scenario(world: World) -> None:
        move = await deployed(world)
        document = await ticket(world, move)
        message = {"ask": ask_for, "ticket": document, "stage": "connectors"}
        reply = await question(world, origin, message)
        assert reply["code"] in ("party-wrong", "peer-unknown")
        assert not world.bouncers["c/1"].paused

    play(scenario)


def test_a_ticket_that_the_hub_did_not_sign_holds_nothing() -> None:
    async def scenario(world: World) -> None:
        move = await deployed(world)
        document = await ticket(world, move)
        world.order("c/1", move.ticket_order(wanted="abort"))
        await asyncio.sleep(1)
        forged = {"ask": "hold", "ticket": f"e30{document}", "stage": "connectors"}
        assert (await question(world, "a/1", forged))["ok"] is False
        assert not world.bouncers["c/1"].paused

    play(scenario)


def test_a_ticket_that_was_let_go_or_used_holds_nothing_again() -> None:
    async def scenario(world: World) -> None:
        move = await deployed(world)
        world.order("c/1", move.ticket_order())
        document = await ticket(world, move)
        hold = {"ask": "hold", "ticket": document, "stage": "connectors"}
        assert (await question(world, "a/1", hold))["ok"]
        assert (await question(world, "a/1", hold))["ok"]
        assert world.bouncers["c/1"].paused
        assert (await question(world, "a/1", {"ask": "release", "ticket": document}))["ok"]
        assert not world.bouncers["c/1"].paused
        assert (await question(world, "a/1", hold))["code"] == "ticket-over"
        assert not world.bouncers["c/1"].paused

    play(scenario)


def test_a_release_that_overtakes_its_hold_wins() -> None:
    async def scenario(world: World) -> None:
        move = await deployed(world)
        document = await ticket(world, move)
        message = {"ask": "release", "ticket": document}
        await question(world, "a/1", message)
        reply = await question(world, "a/1", {"ask": "hold", "ticket": document, "stage": "endpoints"})
        assert reply["code"] in ("ticket-over", "peer-unknown")
        assert not held(world)

    play(scenario)


def test_a_late_word_about_an_old_ticket_does_not_end_the_hold_of_a_newer_one() -> None:
    async def scenario(world: World) -> None:
        move = await deployed(world)
        world.order("c/1", move.ticket_order())
        old = await ticket(world, move)
        newer = Move(world, kind="postgres", ticket="t2")
        world.order("c/1", newer.ticket_order())
        new = await ticket(world, newer)
        await question(world, "a/1", {"ask": "hold", "ticket": new, "stage": "connectors"})
        await question(world, "a/1", {"ask": "release", "ticket": old})
        assert world.bouncers["c/1"].paused == {POOL}

    play(scenario)


def test_credentials_made_for_a_move_stay_the_same_when_prepare_is_asked_twice() -> None:
    async def scenario(world: World) -> None:
        move = await deployed(world)
        world.drivers["b/1"]["postgres"].faults.delay_seconds["catch_up"] = 5.0
        move.cut_over()
        await world.until(lambda: world.machines["a/1"].parts[str(STORE)].role == "fenced")
        grants = world.journals["b/1"].tables["credential"]
        before = {name: entry for name, entry in grants.items() if "web@c/1" in name}
        document = world.orders["a/1"]["ticket/t1"][1]
        live = world.journals["a/1"].tables["credential"][f"{STORE}|web@c/1"]
        handed = {"name": "web@c/1", **live}
        message = {"ask": "prepare", "ticket": document, "grants": [handed]}
        asyncio.ensure_future(world.agents["b/1"].answer("key-of-a/1", message))  # noqa: RUF006
        await world.until(lambda: (out := move.outcome("b/1")) is not None and out.outcome == "done")
        assert {name: grants[name] for name in before} == before
        assert next(iter(before.values()))["fields"] != live["fields"]

    play(scenario)
