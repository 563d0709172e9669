"""What every pooler promises: fixed logins here, changing ones upstream, pauses with a bound."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from pooler_bench import KINDS, NAMES, REFUSALS, Bench, pool

from hanse.ports import Permanent


@pytest_asyncio.fixture(params=["fake", pytest.param("pgbouncer", marks=pytest.mark.real)])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    made = KINDS[request.param](tmp_path)
    yield made
    await asyncio.wait_for(made.end(), 60)


async def test_a_consumer_logs_in_with_its_own_password_only(bench: Bench) -> None:
    assert (await bench.pooler.probe()).usable
    await bench.pooler.hold((pool(bench),))
    await bench.write(0, "mine")
    for wrong in ("guessed", bench.logins[0]["password"]):
        with pytest.raises(REFUSALS):
            await bench.write(0, "not mine", wrong)
    assert bench.stored(0) == ["mine"]


async def test_a_changed_login_and_upstream_are_used_at_once(bench: Bench) -> None:
    await bench.pooler.hold((pool(bench),))
    await bench.write(0, "before")
    await bench.pooler.hold((pool(bench, database=1),))
    await bench.write(0, "after")
    assert (bench.stored(0), bench.stored(1)) == (["before"], ["after"])


async def test_a_pause_holds_what_comes_until_it_is_resumed(bench: Bench) -> None:
    await bench.pooler.hold((pool(bench),))
    await bench.write(0, "before")
    assert await bench.pooler.pause(NAMES[0], 1.0)
    waiting = asyncio.create_task(bench.write(0, "held"))
    await asyncio.sleep(0.3)
    assert bench.stored(0) == ["before"]
    await bench.pooler.hold((pool(bench, database=1),))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await bench.pooler.resume(NAMES[0])
    await asyncio.wait_for(waiting, 5)
    assert bench.stored(1) == ["held"]


async def test_a_pause_waits_for_what_runs(bench: Bench) -> None:
    await bench.pooler.hold((pool(bench),))
    running = asyncio.create_task(bench.write(0, "long", seconds=0.6))
    await asyncio.sleep(0.3)
    assert await bench.pooler.pause(NAMES[0], 3.0)
    assert bench.stored(0) == ["long"]
    await asyncio.wait_for(running, 2)


async def test_a_pause_cuts_off_what_runs_too_long_and_nobody_else(bench: Bench) -> None:
    await bench.pooler.hold((pool(bench),))
    running = asyncio.create_task(bench.write(0, "too long", seconds=8))
    await asyncio.sleep(0.3)
    pausing = asyncio.create_task(bench.pooler.pause(NAMES[0], 0.5))
    await asyncio.sleep(0.1)
    waiting = asyncio.create_task(bench.write(0, "waits"))
    begun = time.monotonic()
    assert not await pausing
    assert time.monotonic() - begun < 7
    await bench.pooler.resume(NAMES[0])
    await asyncio.wait_for(waiting, 30)
    with pytest.raises(REFUSALS):
        await asyncio.wait_for(running, 12)


async def test_clients_that_keep_sessions_are_dropped_and_come_back(bench: Bench) -> None:
    await bench.pooler.hold((pool(bench, clients="session"),))
    running = asyncio.create_task(bench.write(0, "session", seconds=0.4))
    await asyncio.sleep(0.2)
    assert not await bench.pooler.pause(NAMES[0], 2.0)
    await asyncio.gather(running, return_exceptions=True)
    back = asyncio.create_task(bench.write(0, "back"))
    await asyncio.sleep(0.2)
    assert not back.done()
    await bench.pooler.hold((pool(bench, database=1, clients="session"),))
    await bench.pooler.resume(NAMES[0])
    await asyncio.wait_for(back, 5)
    assert bench.stored(1) == ["back"]


async def test_pausing_and_resuming_may_be_repeated_and_may_be_about_nobody(bench: Bench) -> None:
    assert await bench.pooler.pause("connector:shop/nobody/db", 1.0)
    await bench.pooler.resume("connector:shop/nobody/db")
    await bench.pooler.hold((pool(bench),))
    await bench.pooler.resume(NAMES[0])
    assert await bench.pooler.pause(NAMES[0], 1.0)
    assert await bench.pooler.pause(NAMES[0], 1.0)
    await bench.pooler.resume(NAMES[0])
    await bench.pooler.resume(NAMES[0])
    await bench.write(0, "on")


async def test_a_pause_is_about_one_consumer(bench: Bench) -> None:
    await bench.pooler.hold((pool(bench), pool(bench, consumer=1)))
    assert await bench.pooler.pause(NAMES[0], 1.0)
    await asyncio.wait_for(bench.write(1, "other"), 5)
    await bench.pooler.hold((pool(bench), pool(bench, consumer=1, database=1)))
    await asyncio.wait_for(bench.write(1, "moved"), 5)
    assert (bench.stored(0), bench.stored(1)) == (["other"], ["moved"])


async def test_a_pool_that_is_not_held_any_more_lets_nobody_in(bench: Bench) -> None:
    await bench.pooler.hold((pool(bench), pool(bench, consumer=1)))
    await bench.pooler.hold((pool(bench, consumer=1),))
    with pytest.raises(REFUSALS):
        await bench.write(0, "gone")
    await bench.write(1, "here")
    await bench.pooler.hold(())
    with pytest.raises(REFUSALS):
        await bench.write(1, "gone too")


async def test_a_new_agent_finds_everything_as_it_was(bench: Bench) -> None:
    await bench.pooler.hold((pool(bench),))
    await bench.write(0, "before")
    bench.pooler = bench.restarted()
    await bench.write(0, "between")
    await bench.pooler.hold((pool(bench),))
    assert await bench.pooler.pause(NAMES[0], 1.0)
    bench.pooler = bench.restarted()
    await bench.pooler.resume(NAMES[0])
    await bench.write(0, "after")
    assert bench.stored(0) == ["before", "between", "after"]


async def test_a_dead_pooler_is_brought_back_by_the_next_hold(bench: Bench) -> None:
    await bench.pooler.hold((pool(bench),))
    await bench.kill(0)
    with pytest.raises(REFUSALS):
        await bench.write(0, "dead")
    assert await bench.pooler.pause("connector:shop/nobody/db", 1.0)
    await bench.pooler.hold((pool(bench),))
    await bench.write(0, "alive")
    assert bench.stored(0) == ["alive"]


async def test_two_pools_at_one_port_are_refused_and_nothing_changes(bench: Bench) -> None:
    await bench.pooler.hold((pool(bench),))
    with pytest.raises(Permanent) as caught:
        await bench.pooler.hold((pool(bench), replace(pool(bench, consumer=1), listen=bench.listens[0])))
    assert caught.value.code == "port-taken"
    await bench.write(0, "still here")
