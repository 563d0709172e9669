"""A route keeps its address and never goes back to an older epoch."""

from typing import Any

from agent_orders import route, stream
from agent_world import World, play

from hanse.model.replica.spec import Upstream

SUBJECT = "route/shop/web"
NAME = "endpoint:shop/web"


async def held(world: World, order: Any) -> Any:
    world.order("e/1", order)
    number = world.serial

    def fact() -> Any:
        seen = world.observed.get(("e/1", SUBJECT))
        return seen if seen is not None and seen.generation.number == number else None

    return await world.until(fact)


async def begin(world: World) -> None:
    for site in ("e/1", "a/1", "b/1"):
        world.add(site)
    world.start("e/1")


def test_an_endpoint_has_one_address_for_ever() -> None:
    async def scenario(world: World) -> None:
        await begin(world)
        first = (await held(world, route(world, "a/1", 1))).state
        await world.kill("e/1")
        world.start("e/1")
        second = (await held(world, route(world, "b/1", 2))).state
        assert (first.address, first.port) == (second.address, second.port) == ("e/1.example", 8000)
        assert (first.epoch, first.upstream_site, second.epoch, second.upstream_site) == (1, "a/1", 2, "b/1")

    play(scenario)


def test_an_order_for_an_older_epoch_does_not_turn_a_switched_route_back() -> None:
    async def scenario(world: World) -> None:
        await begin(world)
        await held(world, route(world, "a/1", 1))
        later = Upstream(stream=stream(world, "b/1"), epoch=2)
        await world.agents["e/1"].network.switch(NAME, later)
        state = (await held(world, route(world, "a/1", 1, listen_port=8000))).state
        assert (state.epoch, state.upstream_site) == (2, "b/1")
        assert world.proxies["e/1"].routes[NAME].active == "b/1"

    play(scenario)


def test_a_wished_port_outside_the_range_is_refused_with_the_range() -> None:
    async def scenario(world: World) -> None:
        await begin(world)
        seen = await held(world, route(world, "a/1", 1, listen_port=9999))
        assert (seen.state.ready, seen.failure.code) == (False, "port-outside-range")
        assert "8000-8099" in seen.failure.message

    play(scenario)


def test_a_port_that_another_route_has_is_named() -> None:
    async def scenario(world: World) -> None:
        await begin(world)
        await held(world, route(world, "a/1", 1, listen_port=8000))
        world.order("e/1", route(world, "a/1", 1, listen_port=8000).model_copy(update={"component": "api"}))
        seen = await world.until(lambda: world.observed.get(("e/1", "route/shop/api")))
        assert seen.failure.code == "no-port-free"
        assert NAME in seen.failure.message

    play(scenario)


def test_a_route_without_upstream_is_taken_away() -> None:
    async def scenario(world: World) -> None:
        await begin(world)
        await held(world, route(world, "a/1", 1))
        state = (await held(world, route(world, "a/1", 1, upstream=None))).state
        assert (state.ready, state.upstream_site) == (True, None)
        assert not world.proxies["e/1"].routes
        assert not world.journals["e/1"].tables["port"]

    play(scenario)


def test_a_proxy_that_was_ended_by_somebody_is_filled_again() -> None:
    async def scenario(world: World) -> None:
        await begin(world)
        await held(world, route(world, "a/1", 1))
        world.proxies["e/1"].routes.clear()
        await world.until(lambda: NAME in world.proxies["e/1"].routes, 10)

    play(scenario)
