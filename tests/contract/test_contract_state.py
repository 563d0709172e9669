"""Kinds with state: what is written stays, a follower gets it all, a fence lets no write through."""

import pytest

from hanse.drivers.contract import Following, Foreseeing, Granting
from hanse.model.replica.role import ReplicaRole
from hanse.ports import Permanent


async def _serving(bench, key):
    """A primary with a writer's and a follower's credential; two objects in it."""
    served = await bench.primary(key)
    writer = bench.driver.new_credential("web@fiction/one", "write")
    follower = bench.driver.new_credential("follower@fable/two", "read")
    await bench.driver.grant(key, (writer, follower))
    await bench.kind.write(bench.driver, key, served.clients, writer, "a.txt", b"first")
    await bench.kind.write(bench.driver, key, served.clients, writer, "deep/b.bin", bytes(range(256)) * 64)
    return served, writer, follower


async def _follow(source_bench, target_bench, key, follower):
    async with source_bench.kind.source(source_bench.driver, key, follower) as source:
        return await target_bench.driver.follow(key, source, target_bench.report)


async def _catch_up(source_bench, target_bench, key, follower, position):
    async with source_bench.kind.source(source_bench.driver, key, follower) as source:
        return await target_bench.driver.catch_up(key, source, position, target_bench.report)


async def test_a_kind_with_state_follows_and_grants(source_bench):
    assert isinstance(source_bench.driver, Following)
    assert isinstance(source_bench.driver, Granting)
    assert not source_bench.driver.stateless


async def test_a_standby_knows_where_it_will_serve_before_it_serves(target_bench, key):
    assert isinstance(target_bench.driver, Foreseeing)
    with pytest.raises(Permanent):
        await target_bench.driver.will_serve(key)
    await target_bench.standby(key)
    foreseen = await target_bench.driver.will_serve(key)
    assert not await target_bench.answers(key, foreseen)
    assert await target_bench.primary(key) == foreseen
    assert await target_bench.answers(key, foreseen)


async def test_credentials_are_fresh_named_and_not_shown(source_bench):
    first = source_bench.driver.new_credential("web@fiction/one", "write")
    second = source_bench.driver.new_credential("web@fiction/one", "write")
    assert (first.name, first.access) == ("web@fiction/one", "write")
    assert dict(first.fields) != dict(second.fields)
    assert not any(value in repr(first) for value in first.fields.values())


async def test_only_granted_credentials_are_accepted(source_bench, key):
    served, writer, follower = await _serving(source_bench, key)
    write = source_bench.kind.write
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever a client of this kind raises
        await write(source_bench.driver, key, served.clients, follower, "no.txt", b"readers do not write")
    await source_bench.driver.grant(key, (follower,))
    await source_bench.driver.grant(key, (follower,))
    with pytest.raises(Exception):  # noqa: B017, PT011
        await write(source_bench.driver, key, served.clients, writer, "no.txt", b"no longer granted")


async def test_a_fence_lets_no_write_through_and_keeps_what_was_written(source_bench, key):
    served, writer, _ = await _serving(source_bench, key)
    await source_bench.driver.fence(key)
    with pytest.raises(Exception):  # noqa: B017, PT011
        await source_bench.kind.write(source_bench.driver, key, served.clients, writer, "late.txt", b"late")
    again = await source_bench.primary(key)
    read = source_bench.kind.read
    assert await read(source_bench.driver, key, again.clients, writer, "a.txt") == b"first"
    with pytest.raises(Exception):  # noqa: B017, PT011
        await read(source_bench.driver, key, again.clients, writer, "late.txt")


async def test_a_follower_holds_what_the_source_held(source_bench, target_bench, key):
    _, _, follower = await _serving(source_bench, key)
    await target_bench.standby(key)
    first = await _follow(source_bench, target_bench, key, follower)
    assert first.bytes_moved >= len(b"first") + 256 * 64
    second = await _follow(source_bench, target_bench, key, follower)
    assert second.bytes_total >= len(b"first") + 256 * 64
    if not source_bench.kind.positions_are_digests:
        return
    assert first.objects_moved == 2
    assert (second.objects_moved, second.bytes_moved) == (0, 0)
    assert (second.objects_total, second.bytes_total) == (2, len(b"first") + 256 * 64)
    assert second.position == first.position


async def test_a_cut_over_loses_no_write(source_bench, target_bench, key):
    served, writer, follower = await _serving(source_bench, key)
    await target_bench.standby(key)
    await _follow(source_bench, target_bench, key, follower)
    await source_bench.kind.write(source_bench.driver, key, served.clients, writer, "c.txt", b"just before")
    position = await source_bench.driver.fence(key)
    for _ in range(2):
        done = await _catch_up(source_bench, target_bench, key, follower, position)
        assert done.position == position
    taken = await target_bench.primary(key)
    await target_bench.driver.grant(key, (writer, follower))
    read = target_bench.kind.read
    assert await read(target_bench.driver, key, taken.clients, writer, "c.txt") == b"just before"
    assert await read(target_bench.driver, key, taken.clients, writer, "deep/b.bin") == bytes(range(256)) * 64


async def test_what_the_source_deleted_is_gone_at_the_follower(source_bench, target_bench, key):
    await _serving(source_bench, key)
    follower = source_bench.driver.new_credential("follower@fable/two", "read")
    await source_bench.driver.grant(key, (follower,))
    await target_bench.primary(key)
    stray = target_bench.driver.new_credential("web@fable/two", "write")
    await target_bench.driver.grant(key, (stray,))
    served = await target_bench.primary(key)
    await target_bench.kind.write(target_bench.driver, key, served.clients, stray, "stray.txt", b"old life")
    await target_bench.driver.fence(key)
    await target_bench.standby(key)
    passed = await _follow(source_bench, target_bench, key, follower)
    position = await source_bench.driver.fence(key)
    if source_bench.kind.positions_are_digests:
        assert (passed.objects_total, passed.position) == (2, position)
    await _catch_up(source_bench, target_bench, key, follower, position)
    taken = await target_bench.primary(key)
    await target_bench.driver.grant(key, (stray,))
    with pytest.raises(Exception):  # noqa: B017, PT011
        await target_bench.kind.read(target_bench.driver, key, taken.clients, stray, "stray.txt")


async def test_a_wrong_position_is_not_taken_for_the_right_one(source_bench, target_bench, key):
    _, _, follower = await _serving(source_bench, key)
    await target_bench.standby(key)
    await source_bench.driver.fence(key)
    with pytest.raises(Permanent) as caught:
        await _catch_up(source_bench, target_bench, key, follower, "sha256:" + "0" * 64)
    assert caught.value.code == "content-differs"


async def test_followers_read_from_a_fenced_source(source_bench, target_bench, key):
    _, _, follower = await _serving(source_bench, key)
    served = await source_bench.primary(key)
    await source_bench.driver.fence(key)
    assert await source_bench.driver.serve_followers(key) == await source_bench.driver.serve_followers(key)
    assert served.followers is not None
    await target_bench.standby(key)
    assert (await _follow(source_bench, target_bench, key, follower)).objects_total >= 2
    assert (await source_bench.driver.look(key)).role is ReplicaRole.FENCED


async def test_retained_data_is_still_there(source_bench, key):
    _, writer, _ = await _serving(source_bench, key)
    await source_bench.driver.retain(key)
    assert (await source_bench.driver.look(key)).used_bytes > 0
    again = await source_bench.primary(key)
    read = source_bench.kind.read
    assert await read(source_bench.driver, key, again.clients, writer, "a.txt") == b"first"


async def test_erasing_data_says_how_much_it_was(source_bench, key):
    await _serving(source_bench, key)
    assert await source_bench.driver.erase(key) >= len(b"first") + 256 * 64
    assert await source_bench.leftovers() == []
