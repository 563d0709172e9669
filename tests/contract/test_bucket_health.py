"""What runs but does not answer is noticed and healed; what has lost its data is ended."""

import signal
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio
from bucket_client import client, get, put
from bucket_place import Place

from hanse.drivers.identity import ProcessMark
from hanse.model.replica.role import ReplicaRole

PARTS = ("store", "clients", "followers")


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path / "site", "fiction/one")
    await made.serve()
    yield made
    await made.end()


def _marks(place: Place) -> dict[str, ProcessMark]:
    service = place.driver._service(place.key)
    return {part: mark for part in PARTS if (mark := service.running(part)) is not None}


def _works(place: Place) -> bool:
    with closing(client(place.at("clients"), place.writer)) as s3:
        put(s3, "one", b"1")
        return get(s3, "one")[0] == b"1"


@pytest.mark.parametrize("part", PARTS)
async def test_a_part_that_hangs_is_noticed_at_the_second_look_and_started_anew(
    place: Place, part: str
) -> None:
    before = _marks(place)
    before[part].signal(signal.SIGSTOP)
    assert (await place.driver.look(place.key)).alive
    held = await place.driver.look(place.key)
    assert (held.alive, held.detail) == (False, f"running but not answering: {part}")
    await place.serve()
    assert (await place.driver.look(place.key)).alive
    assert not before[part].alive()
    assert _works(place)
    if part == "clients":
        assert {one for one in PARTS if _marks(place)[one] != before[one]} == {part}


async def test_a_part_that_only_paused_is_left_alone(place: Place) -> None:
    before = _marks(place)
    before["store"].signal(signal.SIGSTOP)
    for _ in range(2):
        await place.driver.look(place.key)
    before["store"].signal(signal.SIGCONT)
    await place.serve()
    assert _marks(place) == before
    assert (await place.driver.look(place.key)).alive


@pytest.mark.parametrize("restarted", [False, True])
async def test_processes_of_a_vanished_directory_are_ended_and_come_back_with_it(
    place: Place, restarted: bool
) -> None:
    assert _works(place)
    here = place.directory / "buckets" / "shop.files.0.live"
    away = here.rename(place.directory / "away")
    if restarted:
        place.restart_agent()
    held = await place.driver.look(place.key)
    assert (held.role, place.processes()) == (ReplicaRole.ABSENT, [])
    away.rename(here)
    assert not (await place.driver.look(place.key)).alive
    await place.serve()
    with closing(client(place.at("clients"), place.writer)) as s3:
        assert get(s3, "one")[0] == b"1"


async def test_erasing_what_has_vanished_leaves_no_process(place: Place) -> None:
    (place.directory / "buckets").rename(place.directory / "away")
    await place.driver.erase(place.key)
    assert place.processes() == []
    assert list(place.directory.glob("buckets*/*")) == []
