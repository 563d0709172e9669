"""A planned move by the agents alone: who serves when, whatever breaks."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from agent_orders import STORE, Move, bucket
from agent_world import World, play

from hanse.ports import Temporary

SUBJECT = "replica/shop/store/0/live"


async def moved(world: World) -> Move:
    move = Move(world)
    await move.deploy()
    await move.put("before")
    move.cut_over()
    await world.until(lambda: (done := move.outcome("b/1")) is not None and done.outcome == "done")
    return move


def test_the_target_serves_the_next_epoch_with_every_acknowledged_write() -> None:
    async def scenario(world: World) -> None:
        move = await moved(world)
        assert move.takes_writes() == ["b/1"]
        assert "before" in world.machines["b/1"].parts[str(STORE)].data
        state = await world.ready("b/1", SUBJECT, "primary")
        assert state.epoch == 2

    play(scenario)


def test_the_source_says_relinquished_and_stays_fenced() -> None:
    async def scenario(world: World) -> None:
        move = await moved(world)
        await world.until(lambda: move.outcome("a/1").outcome == "done")
        assert move.outcome("a/1").relinquishment
        state = await world.ready("a/1", SUBJECT, "fenced")
        assert (state.epoch, state.relinquishment) == (1, move.outcome("a/1").relinquishment)

    play(scenario)


def test_a_consumer_goes_on_with_its_address_and_credential() -> None:
    async def scenario(world: World) -> None:
        move = await moved(world)
        reply = await move.put("after")
        assert reply.served_by == "b/1"

    play(scenario)


def test_a_writer_without_pause_sees_no_error_and_loses_nothing() -> None:
    async def scenario(world: World) -> None:
        move = Move(world)
        await move.deploy()
        written: list[str] = []

        async def write() -> None:
            for number in range(400):
                name = f"n{number}"
                await move.put(name)
                written.append(name)
                await asyncio.sleep(0.02)

        writer = asyncio.ensure_future(write())
        move.cut_over()
        await writer
        assert set(written) == set(world.machines["b/1"].parts[str(STORE)].data)
        assert {entry.site for entry in world.acknowledged.writes} == {"a/1", "b/1"}

    play(scenario)


def test_the_cut_over_ends_without_the_hub() -> None:
    async def scenario(world: World) -> None:
        move = Move(world)
        await move.deploy()
        move.cut_over()
        await world.until(lambda: world.journals["a/1"].tables.get("ticket"))
        world.hub_is_up = False
        await world.until(lambda: move.takes_writes() == ["b/1"])
        assert (await move.put("later")).served_by == "b/1"
        world.hub_is_up = True
        await world.until(lambda: move.outcome("b/1") is not None and move.outcome("b/1").outcome == "done")

    play(scenario)


def test_an_unreachable_target_leaves_the_source_serving() -> None:
    async def scenario(world: World) -> None:
        move = Move(world)
        await move.deploy()
        world.cut |= {("a/1", "b/1")}
        move.cut_over()
        await world.until(lambda: (out := move.outcome("a/1")) is not None and out.outcome == "aborted")
        await world.until(lambda: move.takes_writes() == ["a/1"])
        assert (await move.put("still")).served_by == "a/1"

    play(scenario)


def test_a_target_that_cannot_catch_up_makes_the_source_resume_and_follows_on() -> None:
    async def scenario(world: World) -> None:
        move = Move(world, deadline_seconds=5.0)
        await move.deploy()
        world.drivers["b/1"]["bucket"].faults.delay_seconds["catch_up"] = 60.0
        move.cut_over()
        await world.until(lambda: (out := move.outcome("a/1")) is not None and out.outcome == "aborted")
        await world.until(lambda: move.takes_writes() == ["a/1"])
        await move.put("kept")
        data = world.machines["b/1"].parts[str(STORE)].data
        await world.until(lambda: "kept" in world.machines["b/1"].parts[str(STORE)].data, 300)
        assert data is not None

    play(scenario)


def test_the_answer_to_catch_up_lost_means_resume_and_the_target_learns_it() -> None:
    async def scenario(world: World) -> None:
        move = Move(world, deadline_seconds=10.0)
        await move.deploy()
        world.drivers["b/1"]["bucket"].faults.delay_seconds["catch_up"] = 1.0
        move.cut_over()
        await world.until(lambda: world.machines["a/1"].parts[str(STORE)].role == "fenced")
        world.cut |= {("b/1", "a/1")}
        await world.until(lambda: (out := move.outcome("a/1")) is not None and out.outcome == "aborted")
        assert move.takes_writes() == ["a/1"]
        world.cut.clear()
        await world.until(lambda: move.outcome("b/1").outcome == "aborted")
        assert move.takes_writes() == ["a/1"]

    play(scenario)


@pytest.mark.parametrize("kind", ["bucket", "postgres"])
@pytest.mark.parametrize("site", ["a/1", "b/1", "c/1"])
@pytest.mark.parametrize("kill_at", range(1, 22))
def test_an_agent_killed_at_any_write_never_makes_two_writers(kind: str, site: str, kill_at: int) -> None:
    async def scenario(world: World) -> None:
        move = Move(world, deadline_seconds=10.0, kind=kind)
        await move.deploy()
        await move.put("before")
        arm(world, site, kill_at)
        move.cut_over()
        await world.until(lambda: watch(move) and settled(move), 200)
        served = move.takes_writes()
        assert served in (["a/1"], ["b/1"])
        assert "before" in world.machines[served[0]].parts[str(STORE)].data
        assert (await move.put("after")).served_by == served[0]

    play(scenario)


def arm(world: World, site: str, kill_at: int) -> None:
    """The agent dies in its nth write to the journal, and comes back two seconds later."""
    journal, count = world.journals[site], 0

    def before_put(_table: str, _key: str) -> None:
        nonlocal count
        count += 1
        if count == kill_at:
            world.tasks["restart"] = asyncio.ensure_future(restart())
        if count >= kill_at:
            raise asyncio.CancelledError

    async def restart() -> None:
        await world.kill(site)
        journal.before_put = lambda _table, _key: None
        await asyncio.sleep(2.0)
        world.start(site)
        del world.tasks["restart"]

    journal.before_put = before_put


def watch(move: Move) -> bool:
    assert len(move.takes_writes()) <= 1
    return True


def settled(move: Move) -> Any:
    outcomes = [move.outcome(site) for site in ("a/1", "b/1")]
    return all(out is not None and out.outcome != "open" for out in outcomes) and move.takes_writes()


def test_the_way_back_is_an_ordinary_move() -> None:
    async def scenario(world: World) -> None:
        move = await moved(world)
        state = await world.ready("b/1", SUBJECT, "primary")
        world.order("b/1", bucket("primary", 2, grants=move.grants(), handed_over_from=1))
        state = await world.until(
            lambda: (now := world.said("b/1", SUBJECT)).sealed_credentials.get("follower@a/1") and now
        )
        world.order("a/1", move.standby(state, 2, "a/1"))
        await world.ready("a/1", SUBJECT, "standby")
        back = Move(world, source="b/1", target="a/1", ticket="t2")
        back.cut_over()
        await world.until(lambda: (out := back.outcome("a/1")) is not None and out.outcome == "done")
        assert back.takes_writes() == ["a/1"]
        assert (await back.put("home")).served_by == "a/1"
        assert (await world.ready("a/1", SUBJECT, "primary")).epoch == 3

    play(scenario)


def test_an_old_order_for_the_epoch_given_away_is_not_obeyed() -> None:
    async def scenario(world: World) -> None:
        move = await moved(world)
        world.order("a/1", bucket("primary", 1, grants=move.grants()))
        await asyncio.sleep(30)
        assert move.takes_writes() == ["b/1"]
        assert world.said("a/1", SUBJECT).role == "fenced"

    play(scenario)


def test_a_used_ticket_is_good_for_nothing() -> None:
    async def scenario(world: World) -> None:
        move = await moved(world)
        before = len(world.history)
        world.order("a/1", move.ticket_order())
        await world.until(lambda: len(world.history) > before)
        await asyncio.sleep(30)
        assert move.takes_writes() == ["b/1"]

    play(scenario)


def test_abort_before_the_point_of_no_return_restores_everything() -> None:
    async def scenario(world: World) -> None:
        move = Move(world)
        await move.deploy()
        world.drivers["b/1"]["bucket"].faults.delay_seconds["catch_up"] = 10.0
        move.cut_over()
        await world.until(lambda: world.machines["a/1"].parts[str(STORE)].role == "fenced")
        world.order("a/1", move.ticket_order(wanted="abort"))
        await world.until(lambda: (out := move.outcome("a/1")) is not None and out.outcome == "aborted")
        await world.until(lambda: move.takes_writes() == ["a/1"])

    play(scenario)


def test_the_dark_time_is_measured_at_both_ends() -> None:
    async def scenario(world: World) -> None:
        move = Move(world)
        await move.deploy()
        for site in ("a/1", "b/1"):
            world.drivers[site]["bucket"].faults.delay_seconds["*"] = 0.2
        move.cut_over()
        await world.until(lambda: (out := move.outcome("b/1")) is not None and out.outcome == "done")
        await world.until(lambda: move.outcome("a/1").dark_ms)
        assert 400 <= move.outcome("b/1").dark_ms <= 3000

    play(scenario)


def test_no_proxy_is_reloaded_while_clients_wait() -> None:
    async def scenario(world: World) -> None:
        move = Move(world)
        await move.deploy()
        await move.foresee()
        world.drivers["b/1"]["bucket"].faults.delay_seconds["catch_up"] = 1.0
        move.cut_over()
        proxies = world.proxies
        await world.until(lambda: not proxies["a/1"].streams[f"{STORE}:clients"].open)
        before = {site: proxies[site].reloads for site in ("b/1", "c/1")}
        await world.until(lambda: proxies["c/1"].routes["connector:shop/web/store"].active == "b/1")
        assert proxies["b/1"].streams[f"{STORE}:clients"].open
        assert {site: proxies[site].reloads for site in ("b/1", "c/1")} == before

    play(scenario)


def test_a_source_whose_disk_is_full_goes_on_serving_its_epoch() -> None:
    async def scenario(world: World) -> None:
        move = Move(world)
        await move.deploy()
        journal, full = world.journals["a/1"], [False]
        write = journal.put

        def put(table: str, key: str, value: Mapping[str, Any]) -> None:
            full[0] = full[0] or value.get("phase") == "prepared"
            if full[0]:
                raise Temporary("journal-not-written", "the disk is full")
            write(table, key, value)

        journal.put = put  # type: ignore[method-assign]
        move.cut_over()
        await world.until(lambda: full[0] and move.takes_writes() == ["a/1"])
        full[0] = False
        await move.put("after")
        assert move.takes_writes() == ["a/1"]

    play(scenario)
