"""Whatever goes wrong, a driver says it in two words, and the next call finishes what was begun."""

import asyncio
import contextlib
import re

import pytest

from hanse.model.replica.role import ReplicaRole
from hanse.ports import Permanent, Temporary


async def test_a_dead_part_is_seen_and_started_again(bench, key):
    served = await bench.primary(key)
    await bench.kind.kill(bench.driver, key)
    held = await bench.driver.look(key)
    assert (held.role, held.alive) == (ReplicaRole.PRIMARY, False)
    assert not await bench.answers(key, served)
    assert await bench.answers(key, await bench.primary(key))
    assert (await bench.driver.look(key)).alive


async def test_what_cannot_run_is_refused_in_words_and_leaves_nothing(bench, key):
    broken = bench.kind.broken()
    if broken is None:
        return
    spec, code = broken
    for _ in range(2):
        with pytest.raises(Permanent) as caught:
            await bench.driver.primary(key, spec, bench.kind.environment(), bench.report)
        assert caught.value.code == code
        assert re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", code)
        assert key.component in caught.value.message
    await bench.driver.erase(key)
    assert await bench.leftovers() == []


@pytest.mark.parametrize("method", ["fence", "retain", "erase", "logs"])
async def test_methods_on_nothing_never_fail_oddly(bench, key, method):
    arguments = (key, 20) if method == "logs" else (key,)
    for _ in range(2):
        with contextlib.suppress(Temporary, Permanent):
            await getattr(bench.driver, method)(*arguments)
    await bench.driver.erase(key)
    assert await bench.leftovers() == []


@pytest.mark.parametrize("after_seconds", [0.0, 0.02, 0.1, 0.3, 0.6, 1.0])
async def test_primary_finishes_what_a_crash_interrupted(bench, key, after_seconds):
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(bench.primary(key), after_seconds)
    bench.restart_agent()
    assert await bench.answers(key, await bench.primary(key))
    await bench.driver.erase(key)
    assert await bench.leftovers() == []


@pytest.mark.parametrize("method", ["fence", "retain", "erase"])
async def test_leaving_a_role_finishes_what_a_crash_interrupted(bench, key, method):
    await bench.primary(key)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(getattr(bench.driver, method)(key), 0.05)
    bench.restart_agent()
    await getattr(bench.driver, method)(key)
    wanted = {"fence": ReplicaRole.FENCED, "retain": ReplicaRole.RETAINED, "erase": ReplicaRole.ABSENT}
    assert (await bench.driver.look(key)).role is wanted[method]


async def test_erase_finishes_an_interrupted_primary_without_a_second_one(bench, key):
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(bench.primary(key), 0.2)
    bench.restart_agent()
    await bench.driver.erase(key)
    assert (await bench.driver.look(key)).role is ReplicaRole.ABSENT
    assert await bench.leftovers() == []


async def test_logs_are_bounded_text(bench, key):
    await bench.primary(key)
    text = await bench.driver.logs(key, 3)
    assert isinstance(text, str)
    assert len(text.splitlines()) <= 3
