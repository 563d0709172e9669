"""Observations reach the hub in the end, the newest of each subject, in order."""

import asyncio
from collections.abc import Sequence

import pytest
from agent_orders import bucket
from agent_world import World, play

SUBJECT = "replica/shop/store/0/live"


def test_while_the_hub_is_away_only_the_newest_of_a_subject_is_kept() -> None:
    async def scenario(world: World) -> None:
        world.add("a/1")
        agent = world.start("a/1")
        world.order("a/1", bucket("primary", 1))
        await world.ready("a/1", SUBJECT, "primary")
        world.hub_is_up = False
        heard = len(world.history)
        for used in (1, 2, 3):
            agent.voice._used.clear()
            agent.voice.used(agent.memory.all()[0].key, used)
            agent.voice.say(agent.memory.all()[0].key, ready=True)
        world.hub_is_up = True
        await world.until(lambda: world.said("a/1", SUBJECT).used_bytes == 3)
        assert len([seen for seen in world.history[heard:] if seen.subject == SUBJECT]) == 1

    play(scenario)


def test_what_was_said_before_a_crash_is_delivered_after_it() -> None:
    async def scenario(world: World) -> None:
        world.add("a/1")
        world.start("a/1")
        world.drivers["a/1"]["bucket"].faults.delay_seconds["primary"] = 1.0
        world.order("a/1", bucket("primary", 1))
        await world.until(lambda: SUBJECT in world.journals["a/1"].tables.get("instruction", {}))
        world.hub_is_up = False
        await world.until(lambda: SUBJECT in world.journals["a/1"].tables.get("outbox", {}))
        await world.kill("a/1")
        world.hub_is_up = True
        world.start("a/1")
        await world.ready("a/1", SUBJECT, "primary")

    play(scenario)


def test_one_unexpected_fault_does_not_end_the_agent(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(world: World) -> None:
        world.add("a/1")
        agent = world.start("a/1")
        await world.until(lambda: ("a/1", "statement") in world.observed)
        whole = agent.parts.carrier.instructions
        faults = ["a strange\nanswer"]

        async def faulty(since: int, wait_seconds: float) -> Sequence[str]:
            if faults:
                raise RuntimeError(faults.pop())
            return await whole(since, wait_seconds)

        agent.parts.carrier.instructions = faulty  # type: ignore[method-assign]
        world.order("a/1", bucket("primary", 1))
        await world.ready("a/1", SUBJECT, "primary")
        assert not world.tasks["a/1"].done()
        assert not faults

    play(scenario)
    told = [each.getMessage() for each in caplog.records if "met a fault" in each.getMessage()]
    assert told == ["taking orders met a fault and begins anew: RuntimeError: a strange answer"]


def test_sequences_grow_across_restarts() -> None:
    async def scenario(world: World) -> None:
        world.add("a/1")
        for _ in range(3):
            world.start("a/1")
            await asyncio.sleep(20)
            await world.kill("a/1")
        sequences = [seen.sequence for seen in world.history]
        assert len(sequences) == 3
        assert sequences == sorted(set(sequences))

    play(scenario)


def test_a_state_that_did_not_change_is_said_once() -> None:
    async def scenario(world: World) -> None:
        world.add("a/1")
        world.start("a/1")
        world.order("a/1", bucket("primary", 1))
        await world.ready("a/1", SUBJECT, "primary")
        await asyncio.sleep(3)
        heard = len(world.history)
        await asyncio.sleep(300)
        assert len(world.history) == heard

    play(scenario)
