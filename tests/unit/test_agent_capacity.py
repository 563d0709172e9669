"""The site alone says what is free and what it costs."""

from typing import Any

from agent_orders import later
from agent_world import World, play, site_file

from hanse.model.replica.order import HoldOrder

SMALL = "a/1:vm:small"
PRICE = 7_300_000


def hold(name: str, wanted: str = "held", units: int = 1, **more: Any) -> HoldOrder:
    line = {"offer": SMALL, "units": units, "price_micro_eur_per_month": PRICE * units}
    return HoldOrder.model_validate(
        {"hold": name, "lines": [line], "wanted": wanted, "expires_at": later(600), **more}
    )


async def answer(world: World, order: HoldOrder) -> Any:
    subject = world.order("a/1", order)
    generation = world.serial

    def fact() -> Any:
        seen = world.observed.get(("a/1", subject))
        return seen.state if seen is not None and seen.generation.number == generation else None

    return await world.until(fact)


async def begin(world: World) -> None:
    world.add("a/1")
    world.start("a/1")


def test_units_are_held_until_none_is_left() -> None:
    async def scenario(world: World) -> None:
        await begin(world)
        assert (await answer(world, hold("h1"))).state == "held"
        assert (await answer(world, hold("h2"))).state == "held"
        third = await answer(world, hold("h3"))
        assert third.state == "declined"
        assert "sold out" in third.reason

    play(scenario)


def test_one_hold_for_more_than_there_is_takes_nothing() -> None:
    async def scenario(world: World) -> None:
        await begin(world)
        assert (await answer(world, hold("h1", units=3))).state == "declined"
        assert (await answer(world, hold("h2", units=2))).state == "held"

    play(scenario)


def test_an_expired_hold_gives_its_units_back_and_cannot_be_accepted() -> None:
    async def scenario(world: World) -> None:
        await begin(world)
        await answer(world, hold("h1", units=2, expires_at=later(60)))
        await world.until(lambda: world.said("a/1", "hold/h1").state == "expired")
        late = hold("h1", "accepted", units=2, expires_at=later(900))
        assert (await answer(world, late)).state == "expired"
        assert (await answer(world, hold("h2", units=2))).state == "held"

    play(scenario)


def test_an_accepted_hold_outlives_its_expiry_and_restarts() -> None:
    async def scenario(world: World) -> None:
        await begin(world)
        await answer(world, hold("h1", units=2, expires_at=later(60)))
        assert (
            await answer(world, hold("h1", "accepted", units=2, expires_at=later(60)))
        ).state == "accepted"
        await world.until(lambda: world.clock.monotonic() > 90)
        await world.kill("a/1")
        world.start("a/1")
        assert (await answer(world, hold("h2"))).state == "declined"
        assert (await answer(world, hold("h1", "released", units=2))).state == "released"
        assert (await answer(world, hold("h3", units=2))).state == "held"

    play(scenario)


def test_another_price_than_the_site_files_is_declined() -> None:
    async def scenario(world: World) -> None:
        await begin(world)
        world.site_files["a/1"] = site_file(
            "a/1", offers=[{"kind": "vm", "name": "small", "price_eur_per_hour": 0.02}]
        )
        declined = await answer(world, hold("h1"))
        assert declined.state == "declined"
        assert "14.60 EUR" in declined.reason

    play(scenario)


def test_the_statement_says_how_many_are_left() -> None:
    async def scenario(world: World) -> None:
        await begin(world)
        await answer(world, hold("h1"))
        await world.until(lambda: world.said("a/1", "statement").statement.offers[0].free_units == 1)

    play(scenario)
