"""`hanse site stop`: everything ends, data is kept or erased, and nothing empty is served afterwards."""

import asyncio

from agent_orders import STORE, Move, bucket, grant
from agent_world import World, play

from hanse.agent.process.ending import end_parts, placed

SUBJECT = "replica/shop/store/0/live"


async def stopped(world: World, *, erase: bool) -> list[str]:
    world.add("a/1")
    agent = world.start("a/1")
    world.order("a/1", bucket("primary", 1, grants=(grant(world, "web@c/1"),)))
    await world.ready("a/1", SUBJECT, "primary")
    world.machines["a/1"].parts[str(STORE)].data["x"] = b"12345"
    await world.kill("a/1")
    return [f"{one.what}: {one.done}" for one in await end_parts(agent.parts, erase=erase)]


def test_stopped_parts_keep_their_data_and_are_served_again() -> None:
    async def scenario(world: World) -> None:
        said = await stopped(world, erase=False)
        assert said == [f"{STORE} (bucket): stopped, its data is kept", "proxy: stopped"]
        assert not world.proxies["a/1"].streams
        world.start("a/1")
        part = world.machines["a/1"].parts[str(STORE)]
        await world.until(lambda: part.takes_writes)
        assert part.data == {"x": b"12345"}

    play(scenario)


def test_poolers_end_too_and_are_there_again_afterwards() -> None:
    async def scenario(world: World) -> None:
        move = Move(world, kind="postgres")
        await move.deploy()
        parts = world.agents["c/1"].parts
        await world.kill("c/1")
        said = [f"{one.what}: {one.done}" for one in await end_parts(parts, erase=False)]
        assert said[1:] == ["poolers: stopped", "proxy: stopped"]
        assert not world.bouncers["c/1"].pools
        world.start("c/1")
        await world.until(lambda: world.bouncers["c/1"].pools and world.proxies["c/1"].routes)
        assert (await move.put("after")).served_by == "a/1"

    play(scenario)


def test_erased_parts_are_never_served_empty() -> None:
    async def scenario(world: World) -> None:
        said = await stopped(world, erase=True)
        assert said == [f"{STORE} (bucket): stopped and erased, 5 bytes", "proxy: stopped"]
        world.start("a/1")
        await world.until(lambda: world.said("a/1", SUBJECT).role == "absent")
        await asyncio.sleep(60)
        assert str(STORE) not in world.machines["a/1"].parts

    play(scenario)


def test_what_stands_at_a_site_is_named() -> None:
    async def scenario(world: World) -> None:
        world.add("a/1")
        agent = world.start("a/1")
        assert placed(agent.parts) == []
        world.order("a/1", bucket("primary", 1))
        await world.ready("a/1", SUBJECT, "primary")
        assert placed(agent.parts) == [f"{STORE} (bucket, primary)"]

    play(scenario)
