"""A running pass makes way for what is newer, and one that fails leaves its reason to be read."""

import asyncio
from typing import Any

from agent_orders import STORE, Move, bucket
from agent_world import World, play

from hanse.drivers.fake.faults import Fault
from hanse.model.replica.observation import Progress
from hanse.model.replica.order import ReachOrder
from hanse.ports import Temporary

SUBJECT = "replica/shop/store/0/live"
LONG = 145.0


async def copying(world: World, site: str = "b/1") -> Move:
    """A pass at `site` has just begun that will take very long."""
    move = Move(world)
    await move.deploy()
    faults = world.drivers[site]["bucket"].faults
    faults.delay_seconds["follow"] = LONG
    await asyncio.sleep(20)
    return move


def test_a_retire_does_not_wait_for_a_running_pass() -> None:
    async def scenario(world: World) -> None:
        await copying(world)
        began = world.clock.monotonic()
        world.order("b/1", bucket("absent", 1))
        await world.ready("b/1", SUBJECT, "absent")
        assert world.clock.monotonic() - began < 2
        assert str(STORE) not in world.machines["b/1"].parts

    play(scenario)


def test_a_newer_order_that_follows_the_same_lets_the_pass_go_on() -> None:
    async def scenario(world: World) -> None:
        move = await copying(world)
        calls = 0
        driver = world.drivers["b/1"]["bucket"]
        follow = driver.follow

        async def counted(*given: Any) -> Any:
            nonlocal calls
            calls += 1
            return await follow(*given)

        driver.follow = counted
        source = world.said("a/1", SUBJECT)
        world.order("b/1", move.standby(source, 1, "b/1").model_copy(update={"grants": move.grants()}))
        await asyncio.sleep(30)
        assert calls == 0

    play(scenario)


def test_a_cut_over_does_not_wait_for_a_running_pass() -> None:
    async def scenario(world: World) -> None:
        move = await copying(world)
        began = world.clock.monotonic()
        move.cut_over()
        await world.until(lambda: move.takes_writes() == ["b/1"])
        assert world.clock.monotonic() - began < 5

    play(scenario)


def test_a_cut_over_lets_a_pass_end_that_is_almost_done() -> None:
    async def scenario(world: World) -> None:
        move = Move(world)
        await move.deploy()
        await move.put("last")
        driver = world.drivers["b/1"]["bucket"]
        driver.faults.delay_seconds["follow"] = 0.8
        ended = []
        follow = driver.follow

        async def watched(*given: Any) -> Any:
            done = await follow(*given)
            ended.append(done)
            return done

        driver.follow = watched
        await world.until(lambda: world.clock.monotonic() > 30)
        world.machines["b/1"].parts[str(STORE)].data.clear()
        await world.until(lambda: "last" in world.machines["b/1"].parts[str(STORE)].data)
        before = len(ended)
        move.cut_over()
        await world.until(lambda: move.takes_writes() == ["b/1"])
        assert len(ended) == before + 1

    play(scenario)


def test_a_cut_over_that_is_called_off_ends_its_last_pass() -> None:
    async def scenario(world: World) -> None:
        move = Move(world)
        await move.deploy()
        world.drivers["b/1"]["bucket"].faults.delay_seconds["catch_up"] = LONG
        move.cut_over()
        await world.until(lambda: world.machines["a/1"].parts[str(STORE)].role == "fenced")
        world.order("a/1", move.ticket_order(wanted="abort"))
        await world.until(lambda: move.takes_writes() == ["a/1"])
        began = world.clock.monotonic()
        world.order("b/1", bucket("absent", 1))
        await world.ready("b/1", SUBJECT, "absent")
        assert world.clock.monotonic() - began < 2

    play(scenario)


def test_an_order_never_cuts_the_last_pass_of_a_cut_over_short() -> None:
    async def scenario(world: World) -> None:
        move = Move(world)
        await move.deploy()
        world.drivers["b/1"]["bucket"].faults.delay_seconds["catch_up"] = 10.0
        move.cut_over()
        await world.until(lambda: world.machines["a/1"].parts[str(STORE)].role == "fenced")
        world.order("b/1", bucket("absent", 1))
        await world.until(lambda: (out := move.outcome("b/1")) is not None and out.outcome == "done")
        assert move.takes_writes() == ["b/1"]

    play(scenario)


def test_why_following_fails_is_said_until_something_moves() -> None:
    async def scenario(world: World) -> None:
        move = Move(world)
        await move.deploy()
        driver = world.drivers["b/1"]["bucket"]
        follow = driver.follow

        async def lists_first(key: Any, source: Any, report: Any) -> Any:
            report(Progress(phase="listing"))
            return await follow(key, source, report)

        driver.follow = lists_first
        silent = Fault(Temporary("source-silent", "a/1 is silent.", 2.0), "after")
        driver.faults.fail_next("follow", *[silent] * 5)
        driver.faults.delay_seconds["follow"] = 8.0
        await world.until(lambda: world.observed["b/1", SUBJECT].failure is not None, 100)
        for _ in range(30):
            await asyncio.sleep(1)
            assert world.observed["b/1", SUBJECT].failure.code == "source-silent"
        await world.until(lambda: world.observed["b/1", SUBJECT].failure is None, 200)

    play(scenario)


def test_a_silent_target_lets_the_way_there_be_measured_anew() -> None:
    async def scenario(world: World) -> None:
        move = Move(world)
        await move.deploy()
        world.order("a/1", ReachOrder(peers=(world.peer("b/1"),)))
        await world.until(lambda: (seen := world.said("a/1", "reach")) is not None and seen.rtt_ms)
        world.cut |= {("a/1", "b/1")}
        move.cut_over()
        await world.until(lambda: "b/1" in world.said("a/1", "reach").unreachable, 20)

    play(scenario)
