"""Waiting with a bound: it ends in time, and whoever cancels it is heard."""

import asyncio

import pytest
from agent_world import VirtualClock, VirtualLoop

from hanse.agent.waiting import first_of


def run(work):
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


def test_what_ends_in_time_is_told_from_what_does_not():
    async def both():
        clock = VirtualClock()
        return await first_of(clock, asyncio.sleep(1), 2), await first_of(clock, asyncio.sleep(2), 1)

    assert run(both()) == (True, False)


def test_what_failed_within_the_bound_is_raised():
    async def fails():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run(first_of(VirtualClock(), fails(), 1))


def test_a_cancellation_while_the_work_is_being_ended_is_not_swallowed():
    """As when an agent ends at the very moment at which a wait is over."""
    went_on = []

    async def slow_to_end():
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(0.5)

    async def waiting():
        await first_of(VirtualClock(), slow_to_end(), 1)
        went_on.append(True)

    async def scenario():
        task = asyncio.ensure_future(waiting())
        await asyncio.sleep(1.2)
        task.cancel()
        await asyncio.wait({task})
        await asyncio.sleep(1)
        return task.cancelled()

    assert run(scenario())
    assert went_on == []
