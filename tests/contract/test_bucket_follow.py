"""A follower holds the same objects: content, metadata, odd names, deletions; and says so when it cannot."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio
from bucket_client import REFUSED, begin_upload, client, complete_upload, get, put, put_part
from bucket_place import Place
from bucket_world import follower_source

from hanse.drivers.bucket.s3 import S3
from hanse.drivers.contract import Source
from hanse.model.replica.spec import MIB
from hanse.ports import Permanent, Temporary

ODD = ["a b+c%41", "ü/é", "a/b", "a.txt", "a-b", "line\nbreak", "mark/", "amp&<>", " edge ", "ｆｕｌｌ"]


@pytest_asyncio.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Place, Place]]:
    source, target = Place(tmp_path / "source", "fiction/one"), Place(tmp_path / "target", "fable/two")
    await asyncio.gather(source.serve(), target.follow())
    yield source, target
    await asyncio.gather(source.end(), target.end())


@pytest.fixture
def source(pair: tuple[Place, Place]) -> Place:
    return pair[0]


@pytest.fixture
def target(pair: tuple[Place, Place]) -> Place:
    return pair[1]


@pytest_asyncio.fixture
async def stream(source: Place, tmp_path: Path) -> AsyncIterator[Source]:
    async with follower_source(tmp_path / "tls", source.at("followers"), source.reader) as made:
        yield made


def _listing(place: Place, port: str) -> dict[str, tuple[int, str]]:
    with closing(client(place.at(port), place.reader)) as s3:
        return {one.key: (one.size, one.etag) for one in s3.objects()}


async def _taken_over(source: Place, target: Place, stream: Source) -> None:
    position = await source.driver.fence(source.key)
    await target.driver.catch_up(target.key, stream, position, target.report)
    target.writer, target.reader = source.writer, source.reader
    await target.serve()


async def test_content_metadata_and_names_come_over(source: Place, target: Place, stream: Source) -> None:
    with closing(client(source.at("clients"), source.writer)) as s3:
        for key in ODD:
            put(
                s3,
                key,
                b"" if key.endswith("/") else key.encode(),
                content_type="text/x-odd",
                x_amz_meta_who="me",
            )
    before = _listing(source, "clients")
    assert (await target.driver.follow(target.key, stream, target.report)).objects_moved == len(ODD)
    await _taken_over(source, target, stream)
    assert _listing(target, "clients") == before
    with closing(client(target.at("clients"), target.writer)) as s3:
        for key in ODD[:-4]:
            body, headers = get(s3, key)
            assert body == key.encode()
            assert (headers["content-type"], headers["x-amz-meta-who"]) == ("text/x-odd", "me")


async def test_multipart_objects_compare_and_their_rewriting_is_seen(
    source: Place, target: Place, stream: Source
) -> None:
    for filling in (b"a", b"b"):
        with closing(client(source.at("clients"), source.writer)) as s3:
            upload = begin_upload(s3, "parts")
            etags = [put_part(s3, "parts", upload, number, filling * 5 * MIB) for number in (1, 2)]
            complete_upload(s3, "parts", upload, etags)
        assert (await target.driver.follow(target.key, stream, target.report)).objects_moved == 1
        assert (await target.driver.follow(target.key, stream, target.report)).objects_moved == 0
    await _taken_over(source, target, stream)
    with closing(client(target.at("clients"), target.writer)) as s3:
        assert get(s3, "parts")[0] == b"b" * 10 * MIB


async def test_new_metadata_of_the_same_content_comes_over(
    source: Place, target: Place, stream: Source
) -> None:
    with closing(client(source.at("clients"), source.writer)) as s3:
        put(s3, "page", b"same", content_type="text/plain")
        await target.driver.follow(target.key, stream, target.report)
        await asyncio.sleep(1.1)  # S3 shows whole seconds
        put(s3, "page", b"same", content_type="text/html")
    await _taken_over(source, target, stream)
    with closing(client(target.at("clients"), target.writer)) as s3:
        assert get(s3, "page")[1]["content-type"] == "text/html"


async def test_the_way_back_copies_only_what_is_new(source: Place, target: Place, stream: Source) -> None:
    with closing(client(source.at("clients"), source.writer)) as s3:
        for number in range(30):
            put(s3, f"o{number}", b"x" * 1000)
    await target.driver.follow(target.key, stream, target.report)
    await _taken_over(source, target, stream)
    await source.follow()
    with closing(client(target.at("clients"), target.writer)) as s3:
        put(s3, "new", b"new")
        s3.delete("o1")
    async with follower_source(source.directory / "tls", target.at("followers"), target.reader) as back:
        passed = await source.driver.follow(source.key, back, source.report)
    assert (passed.objects_moved, passed.bytes_moved, passed.objects_total) == (2, 3, 30)


async def test_an_interrupted_pass_goes_on_where_it_was(source: Place, target: Place, stream: Source) -> None:
    with closing(client(source.at("clients"), source.writer)) as s3:
        for number in range(400):
            put(s3, f"o{number}", b"x" * 20_000)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(target.driver.follow(target.key, stream, target.report), 1.0)
    target.restart_agent()
    passed = await target.driver.follow(target.key, stream, target.report)
    assert passed.objects_total == 400
    assert not [one for one in _programs() if str(target.directory) in one]


async def test_a_copy_that_the_disk_once_did_not_keep_is_made_anew(
    source: Place, target: Place, stream: Source
) -> None:
    with closing(client(source.at("clients"), source.writer)) as s3:
        put(s3, "o", b"x" * 1000)
    await target.driver.follow(target.key, stream, target.report)
    assert (await target.driver.follow(target.key, stream, target.report)).objects_moved == 0
    (target.driver._shelf.place(target.key) / "flush-failed").touch()
    target.restart_agent()
    assert (await target.driver.follow(target.key, stream, target.report)).objects_moved == 1
    assert (await target.driver.follow(target.key, stream, target.report)).objects_moved == 0
    await _taken_over(source, target, stream)
    assert _listing(target, "clients").keys() == {"o"}


async def test_progress_tells_bytes_and_time(source: Place, target: Place, stream: Source) -> None:
    with closing(client(source.at("clients"), source.writer)) as s3:
        for number in range(10):
            put(s3, f"o{number}", b"x" * 100_000)
    await target.driver.follow(target.key, stream, target.report)
    last = [one for one in target.progress if one.phase == "copying"][-1]
    assert (last.bytes_done, last.bytes_total, last.objects_total) == (1_000_000, 1_000_000, 10)


async def test_a_follower_that_is_not_granted_hears_so(source: Place, target: Place, stream: Source) -> None:
    await source.driver.grant(source.key, (source.writer,))
    with pytest.raises(Permanent) as caught:
        await target.driver.follow(target.key, stream, target.report)
    assert caught.value.code == "source-refuses"


async def test_a_silent_source_is_tried_again_later(source: Place, target: Place, stream: Source) -> None:
    for part in ("followers", "store"):
        await source.driver._service(source.key).kill(part)
    with pytest.raises(Temporary) as caught:
        await target.driver.follow(target.key, stream, target.report)
    assert caught.value.code == "source-unreachable"
    assert "Nothing can be read from fiction/one at " in caught.value.message


async def test_a_follower_without_room_says_disk_full(source: Place, stream: Source, tmp_path: Path) -> None:
    small = Place(tmp_path / "small", "fable/three", disk_bytes=2 * MIB)
    with closing(client(source.at("clients"), source.writer)) as s3:
        put(s3, "big", b"x" * 3 * MIB)
    try:
        await small.follow()
        with pytest.raises(Permanent) as caught:
            await small.driver.follow(small.key, stream, small.report)
    finally:
        await small.end()
    assert caught.value.code == "disk-full"
    assert "may hold 2097152" in caught.value.message


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


async def test_a_full_disk_at_the_target_leaves_the_source_serving(
    source: Place, stream: Source, small_disk: Path
) -> None:
    full = Place(small_disk / "site", "fable/four")
    with closing(client(source.at("clients"), source.writer)) as s3:
        for number in range(4):
            put(s3, f"big{number}", bytes(20 * MIB))
    try:
        await full.follow()
        with pytest.raises(Permanent) as caught:
            await full.driver.follow(full.key, stream, full.report)
    finally:
        await full.end()
    assert caught.value.code == "disk-full"
    assert list((small_disk / "site" / "buckets").iterdir()) == []
    with closing(client(source.at("clients"), source.writer)) as s3:
        put(s3, "still", b"served")


async def test_writes_above_the_size_are_refused_and_reading_goes_on(tmp_path: Path) -> None:
    place = Place(tmp_path / "site", "fiction/one", disk_bytes=8 * MIB)
    await place.serve()
    try:
        with closing(client(place.at("clients"), place.writer)) as s3:
            with pytest.raises(REFUSED):
                _fill(s3, objects=40)
            assert get(s3, "o0")[0] == bytes(MIB)
        assert "full" in (await place.driver.look(place.key)).detail
    finally:
        await place.end()


def _fill(s3: S3, objects: int) -> None:
    for number in range(objects):
        put(s3, f"o{number}", bytes(MIB))


def _programs() -> list[str]:
    found = []
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(one.read_text(errors="replace"))
        except OSError:
            continue
    return [one for one in found if "rclone" in one]
