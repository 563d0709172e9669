"""Followers of a database: copied, cut, resumed, there and back, and never a wrong history."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from postgres_place import Place
from wire_between import wired

from hanse.drivers.postgres.server.program import programs
from hanse.model.replica.role import ReplicaRole
from hanse.model.replica.spec import MIB
from hanse.ports import Permanent, Temporary

FILL = "insert into words select repeat(md5(n::text), 20) from generate_series(1, {}) n"


@pytest_asyncio.fixture
async def source(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path / "source", "fiction/one")
    await made.serve()
    made.tell("create table words (word text)")
    yield made
    await made.end()


@pytest_asyncio.fixture
async def target(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path / "target", "fable/two")
    await made.stand_by()
    yield made
    await made.end()


async def _move(source: Place, target: Place) -> str:
    async with target.way_to(source) as way:
        await target.driver.follow(target.key, way, target.report)
        position = await source.driver.fence(source.key)
        await target.driver.catch_up(target.key, way, position, target.report)
        await target.serve()
    await source.stand_by()
    return position


def _copied_bytes(place: Place) -> list[int]:
    return [one.bytes_done for one in place.progress if one.phase == "copying"]


async def test_there_and_back_and_there_again_without_a_second_copy(source: Place, target: Place) -> None:
    for number, (here, there) in enumerate([(source, target), (target, source), (source, target)]):
        here.tell("insert into words values ('one more')")
        there.progress.clear()
        timeline = int((await _move(here, there)).split(":")[1])
        assert timeline == number + 1
        assert there.ask("select count(*) from words") == number + 1
        assert bool(_copied_bytes(there)) is (number == 0)


async def test_a_follower_goes_on_when_its_agent_is_new(source: Place, target: Place) -> None:
    async with target.way_to(source) as way:
        await target.driver.follow(target.key, way, target.report)
        target.restart_agent()
        held = await target.driver.look(target.key)
        assert (held.role, held.alive) == (ReplicaRole.STANDBY, True)
        source.tell("insert into words values ('meanwhile')")
        target.progress.clear()
        await target.driver.follow(target.key, way, target.report)
        assert _copied_bytes(target) == []


async def test_a_cut_copy_is_resumed(source: Place, target: Place) -> None:
    source.tell(FILL.format(60_000))
    async with source.driver.administer(source.key, "records") as admin:
        await admin.execute("checkpoint")
    await asyncio.sleep(3.2)  # files younger than the source's clock can tell apart are copied again
    async with target.way_to(source) as way, wired(way) as (slow, wire):
        wire.left = 50 * MIB
        with pytest.raises(Temporary) as caught:
            await target.driver.follow(target.key, slow, target.report)
        assert caught.value.code == "source-silent"
        assert (await target.driver.look(target.key)).role is ReplicaRole.STANDBY
        with pytest.raises(Permanent, match="only partly copied"):
            await target.driver.primary(target.key, target.spec, {}, target.report)
        await target.driver.standby(target.key, target.spec, target.report)
        before = max(_copied_bytes(target))
        target.progress.clear()
        wire.mend()
        wire.passed = 0
        target.restart_agent()
        done = await target.driver.follow(target.key, slow, target.report)
        assert _copied_bytes(target)[0] >= before - 40 * MIB
        assert wire.passed < done.bytes_total - 20 * MIB
    await _move(source, target)
    assert target.ask("select count(*) from words") == 60_000
    await _check_every_page(target)


async def _check_every_page(place: Place) -> None:
    """Reads the whole cluster and compares the checksum of each page. Afterwards nothing runs."""
    await place.driver.retain(place.key)
    checker = str(programs(place.record.major) / "pg_checksums")
    await _run(checker, "--check", "-D", str(place.cluster.data))


async def test_a_cut_link_stalls_a_follower_and_it_catches_up_by_itself(source: Place, target: Place) -> None:
    async with target.way_to(source) as way, wired(way) as (line, wire):
        await target.driver.follow(target.key, line, target.report)
        wire.cut()
        source.tell(FILL.format(1000))
        with pytest.raises(Temporary, match="cannot be reached"):
            await target.driver.follow(target.key, line, target.report)
        assert source.ask("select count(*) from words") == 1000
        assert (await target.driver.look(target.key)).alive
        wire.mend()
        target.progress.clear()
        await target.driver.follow(target.key, line, target.report)
        assert _copied_bytes(target) == []


async def test_a_source_is_fenced_in_time_although_its_follower_is_silent(
    source: Place, target: Place
) -> None:
    await target.follow(source)
    mark = target.driver._replica(target.key).tunnel.running()
    assert mark is not None
    mark.signal(19)
    source.tell(FILL.format(20_000))
    await asyncio.wait_for(source.driver.fence(source.key), 15)


async def test_a_follower_whose_log_was_thrown_away_copies_anew(source: Place, target: Place) -> None:
    await target.follow(source)
    await target.cluster.kill(target.record.uid)
    async with source.driver.administer(source.key, "records") as admin:
        await admin.execute("alter system set max_slot_wal_keep_size = '16MB'")
        await admin.execute("alter system set wal_keep_size = 0")
        await admin.execute("select pg_reload_conf()")
    for _ in range(4):
        source.tell(FILL.format(20_000))
        async with source.driver.administer(source.key, "records") as admin:
            await admin.execute("select pg_switch_wal()")
            await admin.execute("checkpoint")
    target.progress.clear()
    await target.follow(source)
    assert _copied_bytes(target)
    await _move(source, target)
    assert target.ask("select count(*) from words") == 80_000


async def test_a_primary_that_wrote_on_alone_is_copied_over(source: Place, target: Place) -> None:
    await target.follow(source)
    await target.serve()
    target.tell("insert into words values ('the right one')")
    source.tell("insert into words values ('the lost one')")
    await source.stand_by()
    await source.follow(target)
    await _move(target, source)
    assert source.ask("select string_agg(word, ' ') from words") == "the right one"


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0


async def test_a_full_disk_at_the_target_leaves_nothing_and_touches_nothing(
    source: Place, tmp_path: Path
) -> None:
    source.tell(FILL.format(60_000))
    mount = tmp_path / "small"
    mount.mkdir()
    await _run("mount", "-t", "tmpfs", "-o", "size=60m", "none", str(mount))
    small = Place(mount / "site", "fable/two")
    try:
        await small.stand_by()
        with pytest.raises(Permanent) as caught:
            await small.follow(source)
        assert caught.value.code == "disk-full"
        assert "untouched" in caught.value.message
        assert (await small.driver.look(small.key)).used_bytes < MIB
        assert source.ask("select count(*) from words") == 60_000
        assert source.ask("select count(*) from pg_replication_slots") == 0
    finally:
        await small.end()
        await _run("umount", str(mount))


async def test_a_database_larger_than_its_size_is_refused(source: Place, tmp_path: Path) -> None:
    small = Place(tmp_path / "small", "fable/two", disk_bytes=16 * MIB)
    await small.stand_by()
    try:
        with pytest.raises(Permanent, match="the component's size allows 16777216"):
            await small.follow(source)
    finally:
        await small.end()


async def test_a_copy_tells_how_far_it_is(source: Place, target: Place) -> None:
    source.tell(FILL.format(40_000))
    async with target.way_to(source) as way, wired(way, 25 * MIB) as (slow, _):
        await target.driver.follow(target.key, slow, target.report)
    told = [one for one in target.progress if one.phase == "copying"]
    assert told[-1].bytes_done == told[-1].bytes_total
    assert [one.bytes_done for one in told] == sorted(one.bytes_done for one in told)
    assert all(one.seconds_left is not None for one in told[2:])
    assert told[-1].bytes_total is not None


async def test_an_interrupted_copy_can_be_erased(source: Place, target: Place) -> None:
    source.tell(FILL.format(40_000))
    async with target.way_to(source) as way, wired(way, 5 * MIB) as (slow, _):
        copying = asyncio.create_task(target.driver.follow(target.key, slow, target.report))
        while not _copied_bytes(target):  # noqa: ASYNC110 - a driver's report is a plain call
            await asyncio.sleep(0.05)
        assert await target.driver.erase(target.key) > 0
        with pytest.raises(Temporary, match="interrupted"):
            await copying
    assert (await target.driver.look(target.key)).role is ReplicaRole.ABSENT
    assert not target.driver._shelf.place(target.key).exists()


async def test_an_aborted_move_keeps_its_follower(source: Place, target: Place) -> None:
    async with target.way_to(source) as way:
        await target.driver.follow(target.key, way, target.report)
        position = await source.driver.fence(source.key)
        await target.driver.catch_up(target.key, way, position, target.report)
        await source.driver.primary(source.key, source.spec, {}, source.report)
        source.tell("insert into words values ('after the abort')")
        target.progress.clear()
        await target.driver.follow(target.key, way, target.report)
        assert _copied_bytes(target) == []


async def test_a_standby_follows_a_source_that_allows_more_connections(source: Place, target: Place) -> None:
    await target.follow(source)
    larger = source.spec.size.model_copy(update={"memory_bytes": 1024 * MIB})
    source.spec = source.spec.model_copy(update={"size": larger})
    await source.serve()
    source.tell("insert into words values ('more')")
    await _move(source, target)
    assert target.ask("select word from words") == "more"


async def test_a_retained_standby_never_serves_an_old_history_as_its_source(
    source: Place, target: Place
) -> None:
    await target.follow(source)
    await target.driver.retain(target.key)
    assert target.cluster.running() is None
    await target.serve()
    assert target.ask("select count(*) from words") == 0
    position = await target.driver.fence(target.key)
    assert position.split(":")[1] == "2"
