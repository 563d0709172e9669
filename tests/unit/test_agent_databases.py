"""A database moves by the agents alone: clients held, credentials made anew, nothing left behind."""

import asyncio
from typing import Any

from agent_orders import STORE, WEB, Move, web
from agent_world import World, play

POOL = "connector:shop/web/store"
SUBJECT = "replica/shop/store/0/live"


async def deployed(world: World, **more: Any) -> Move:
    move = Move(world, kind="postgres", **more)
    await move.deploy()
    await move.foresee()
    return move


async def done(world: World, move: Move) -> None:
    move.cut_over()
    await world.until(lambda: (out := move.outcome("b/1")) is not None and out.outcome == "done")


async def writing(world: World, move: Move, count: int = 150) -> asyncio.Task[None]:
    async def write() -> None:
        for number in range(count):
            await move.put(f"n{number}")
            await asyncio.sleep(0.02)

    return asyncio.ensure_future(write())


def test_a_consumer_is_given_a_local_address_and_a_login_of_its_own() -> None:
    async def scenario(world: World) -> None:
        await deployed(world)
        given = world.machines["c/1"].parts[str(WEB)].environment
        pool = world.bouncers["c/1"].pools[POOL]
        assert (given["store.host"], int(given["store.port"])) == pool.listen
        assert given["store.user"] == "web" == pool.own["user"]
        assert given["store.password"] == pool.own["password"] != pool.login["password"]
        place = f"{given['store.host']}:{given['store.port']}"
        assert given["store.url"] == f"postgresql://web:{given['store.password']}@{place}/store"
        assert pool.upstream == world.proxies["c/1"].routes[POOL].listen

    play(scenario)


def test_a_writer_without_pause_sees_no_error_while_the_database_moves() -> None:
    async def scenario(world: World) -> None:
        move = await deployed(world)
        writer = await writing(world, move)
        await done(world, move)
        await writer
        written = {entry.name for entry in world.acknowledged.writes}
        assert len(written) == 150
        assert written <= set(world.machines["b/1"].parts[str(STORE)].data)
        assert {entry.site for entry in world.acknowledged.writes} == {"a/1", "b/1"}

    play(scenario)


def test_the_login_upstream_is_new_and_the_container_is_not_started_again() -> None:
    async def scenario(world: World) -> None:
        move = await deployed(world)
        before, part = world.bouncers["c/1"].pools[POOL], world.machines["c/1"].parts[str(WEB)]
        lines, given = list(part.lines), dict(part.environment)
        await done(world, move)
        await world.until(
            lambda: (await_ := world.bouncers["c/1"].pools[POOL]).login != before.login and await_
        )
        after = world.bouncers["c/1"].pools[POOL]
        assert (after.own, after.listen, after.upstream) == (before.own, before.listen, before.upstream)
        assert (part.lines, dict(part.environment)) == (lines, given)
        accepted = {one.fields["user"] for one in world.machines["b/1"].parts[str(STORE)].credentials}
        assert after.login["user"] in accepted
        assert before.login["user"] not in accepted

    play(scenario)


def test_an_older_order_does_not_bring_the_old_login_back() -> None:
    async def scenario(world: World) -> None:
        move = await deployed(world)
        old = world.said("a/1", SUBJECT)
        binding = move.binding(old)
        await done(world, move)
        login = world.bouncers["c/1"].pools[POOL].login
        world.order("c/1", web("primary", 1, bindings=(binding,)))
        await asyncio.sleep(10)
        assert world.bouncers["c/1"].pools[POOL].login == login
        assert (await move.put("after")).served_by == "b/1"

    play(scenario)


def test_a_missed_switch_is_healed_by_the_hubs_order_with_the_new_credential() -> None:
    async def scenario(world: World) -> None:
        move = await deployed(world)
        world.cut |= {("b/1", "c/1")}
        await done(world, move)
        state = world.said("b/1", SUBJECT)
        world.order("c/1", web("primary", 1, bindings=(move.binding(state),)))
        await world.until(lambda: world.proxies["c/1"].routes[POOL].active == "b/1")
        await world.until(lambda: not world.bouncers["c/1"].paused, 2)
        assert (await move.put("after")).served_by == "b/1"

    play(scenario)


def test_a_route_that_does_not_answer_costs_seconds_and_never_the_move() -> None:
    async def scenario(world: World) -> None:
        move = await deployed(world)
        world.cut |= {("a/1", "c/1")}
        began = world.clock.monotonic()
        await done(world, move)
        assert world.clock.monotonic() - began < 6.0
        assert (await move.put("after")).served_by == "b/1"

    play(scenario)


def test_a_called_off_move_lets_the_held_clients_go_on_at_the_source() -> None:
    async def scenario(world: World) -> None:
        move = await deployed(world)
        world.drivers["b/1"]["postgres"].faults.delay_seconds["catch_up"] = 10.0
        move.cut_over()
        await world.until(lambda: world.bouncers["c/1"].paused)
        asked = asyncio.ensure_future(move.put("held"))
        await world.until(lambda: world.machines["a/1"].parts[str(STORE)].role == "fenced")
        world.order("a/1", move.ticket_order(wanted="abort"))
        assert (await asked).served_by == "a/1"
        assert not world.bouncers["c/1"].paused

    play(scenario)


def test_a_hold_whose_end_is_never_told_ends_at_the_tickets_deadline() -> None:
    async def scenario(world: World) -> None:
        move = await deployed(world, deadline_seconds=8.0)
        world.drivers["b/1"]["postgres"].faults.delay_seconds["catch_up"] = 20.0
        move.cut_over()
        await world.until(lambda: world.bouncers["c/1"].paused)
        world.cut |= {("a/1", "c/1"), ("b/1", "c/1")}
        began = world.clock.monotonic()
        await world.until(lambda: not world.bouncers["c/1"].paused)
        assert 7.0 < world.clock.monotonic() - began < 14.0

    play(scenario)


def test_an_agent_that_comes_back_holds_nothing() -> None:
    async def scenario(world: World) -> None:
        move = await deployed(world)
        world.drivers["b/1"]["postgres"].faults.delay_seconds["catch_up"] = 10.0
        move.cut_over()
        await world.until(lambda: world.bouncers["c/1"].paused)
        await world.kill("c/1")
        world.start("c/1")
        await world.until(lambda: not world.bouncers["c/1"].paused, 5)
        await world.until(lambda: (out := move.outcome("b/1")) is not None and out.outcome == "done")
        assert (await move.put("after")).served_by == "b/1"

    play(scenario)


def test_an_ended_pooler_is_held_again_within_seconds() -> None:
    async def scenario(world: World) -> None:
        move = await deployed(world)
        await world.agents["c/1"].parts.pooler.stop()
        await world.until(lambda: world.bouncers["c/1"].pools, 10)
        assert (await move.put("after")).served_by == "a/1"

    play(scenario)


def test_nothing_is_left_of_a_pool_when_its_consumer_leaves() -> None:
    async def scenario(world: World) -> None:
        await deployed(world)
        world.order("c/1", web("absent", 1))
        await world.ready("c/1", f"replica/{WEB}", "absent")
        assert not world.bouncers["c/1"].pools
        assert not world.journals["c/1"].tables["pool"]
        assert not [name for name in world.journals["c/1"].tables["port"] if "store" in name]

    play(scenario)
