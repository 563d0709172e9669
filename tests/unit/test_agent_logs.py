"""What a component writes is told to whoever the hub names, sealed for him, bounded, for a while."""

import json
from datetime import timedelta
from typing import Any

from agent_orders import STORE, bucket
from agent_world import START, World, play

from hanse.agent.logs import TEXT_BYTES_MAX, bounded
from hanse.model.replica.order import LogReader, LogsOrder

SUBJECT = f"logs/{STORE}"


def reader(name: str, seconds: float = 60, **more: Any) -> LogReader:
    expires_at = START + timedelta(seconds=seconds)
    known = {"reader": name, "sealing_key": f"seal-of-{name}", "lines": 100, "expires_at": expires_at}
    return LogReader.model_validate({**known, **more})


async def running(world: World, *lines: str) -> list[str]:
    """A store at a/1, and the lines that it wrote."""
    world.add("a/1")
    world.start("a/1")
    await world.ready("a/1", world.order("a/1", bucket("primary", 1)), "primary")
    written = world.machines["a/1"].parts[str(STORE)].lines
    written[:] = lines
    return written


async def told(world: World, *readers: LogReader) -> dict[str, Any]:
    world.order("a/1", LogsOrder(key=STORE, readers=readers))
    number = world.serial

    def fact() -> Any:
        seen = world.observed.get(("a/1", SUBJECT))
        return seen if seen is not None and seen.generation.number == number else None

    return opened(await world.until(fact))


def opened(seen: Any) -> dict[str, Any]:
    return {name: json.loads(sealed) for name, sealed in seen.state.sealed.items()}


def test_each_reader_gets_as_many_lines_as_wished_sealed_for_him() -> None:
    async def scenario(world: World) -> None:
        await running(world, "one", "two", "three")
        assert await told(world, reader("ann"), reader("ben", lines=2)) == {
            "ann": ["seal-of-ann", "one\ntwo\nthree"],
            "ben": ["seal-of-ben", "two\nthree"],
        }

    play(scenario)


def test_who_follows_hears_of_what_is_new_and_nothing_twice() -> None:
    async def scenario(world: World) -> None:
        written = await running(world, "one")
        await told(world, reader("ann", follows=True))
        before = world.observed["a/1", SUBJECT].sequence
        await world.until(lambda: world.clock.monotonic() > 20)
        assert world.observed["a/1", SUBJECT].sequence == before
        written.append("two")
        heard = await world.until(lambda: "two" in str(world.said("a/1", SUBJECT)), 5)
        assert heard

    play(scenario)


def test_a_reader_whose_time_is_over_is_told_no_more() -> None:
    async def scenario(world: World) -> None:
        await running(world, "one")
        assert set(await told(world, reader("ann", 30, follows=True), reader("ben", 90))) == {"ann", "ben"}
        await world.until(lambda: set(opened(world.observed["a/1", SUBJECT])) == {"ben"}, 40)
        await world.until(lambda: not opened(world.observed["a/1", SUBJECT]), 70)
        assert await told(world) == {}

    play(scenario)


def test_a_site_that_holds_nothing_says_so() -> None:
    async def scenario(world: World) -> None:
        world.add("a/1")
        world.start("a/1")
        world.order("a/1", LogsOrder(key=STORE, readers=(reader("ann"),)))
        seen = await world.until(lambda: world.observed.get(("a/1", SUBJECT)))
        assert seen.failure.code == "replica-unknown"
        assert "a/1 holds nothing of shop/store" in seen.failure.message

    play(scenario)


def test_the_text_is_bounded_at_a_line() -> None:
    lines = [f"{number:05} é" for number in range(20_000)]
    kept = bounded("\n".join(lines))
    assert TEXT_BYTES_MAX - 20 < len(kept.encode()) <= TEXT_BYTES_MAX
    assert kept.splitlines() == lines[-len(kept.splitlines()) :]
    assert len(bounded("é" * TEXT_BYTES_MAX).encode()) == TEXT_BYTES_MAX
