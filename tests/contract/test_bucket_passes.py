"""A pass ends: when it is cut short at once, when its source falls silent in time; what came over stays."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from bucket_client import begin_upload, client, complete_upload, get, put, put_part
from bucket_place import Place
from bucket_world import follower_source
from wire_between import wired

from hanse.drivers.contract import Pass, Source
from hanse.model.replica.observation import Progress
from hanse.model.replica.spec import MIB
from hanse.ports import Temporary

PROMPT_SECONDS = 10.0
SLOW_BYTES_PER_SECOND = 6e6
"""Of one connection: what is large takes seconds longer than what is small."""


@dataclass
class Pair:
    """A bucket, and another that follows it."""

    source: Place
    target: Place
    stream: Source

    def upload(self, key: str, filling: bytes, parts: int = 2) -> None:
        with closing(client(self.source.at("clients"), self.source.writer)) as s3:
            upload = begin_upload(s3, key)
            etags = [put_part(s3, key, upload, 1 + part, filling * 5 * MIB) for part in range(parts)]
            complete_upload(s3, key, upload, etags)

    async def follow(self, report: Callable[[Progress], None] | None = None) -> Pass:
        return await self.target.driver.follow(self.target.key, self.stream, report or self.target.report)

    @asynccontextmanager
    async def silence(self) -> AsyncIterator[None]:
        """The source's machine takes everything and answers nothing."""
        service = self.source.driver._service(self.source.key)
        marks = [mark for part in ("followers", "store") if (mark := service.running(part))]
        for mark in marks:
            mark.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for mark in marks:
                mark.signal(signal.SIGCONT)


@pytest_asyncio.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    source, target = Place(tmp_path / "source", "fiction/one"), Place(tmp_path / "target", "fable/two")
    await asyncio.gather(source.serve(), target.follow())
    async with follower_source(tmp_path / "tls", source.at("followers"), source.reader) as stream:
        yield Pair(source, target, stream)
    await asyncio.gather(source.end(), target.end())


async def test_a_pass_ends_at_once_while_its_source_is_silent(pair: Pair) -> None:
    async with pair.silence():
        running = asyncio.ensure_future(pair.follow())
        await asyncio.sleep(1.0)
        began = time.monotonic()
        running.cancel()
        await asyncio.wait({running})
        assert time.monotonic() - began < PROMPT_SECONDS
    assert (await pair.follow()).objects_total == 0


async def test_a_pass_ends_at_once_while_it_copies(pair: Pair) -> None:
    pair.upload("large", b"x", parts=20)
    copies = asyncio.Event()
    running = asyncio.ensure_future(pair.follow(lambda now: copies.set() if now.phase == "copying" else None))
    await copies.wait()
    began = time.monotonic()
    running.cancel()
    await asyncio.wait({running})
    assert time.monotonic() - began < PROMPT_SECONDS
    assert running.cancelled()
    assert (await pair.follow()).bytes_total == 100 * MIB


async def test_a_source_that_falls_silent_is_named_in_time(pair: Pair) -> None:
    async with pair.silence():
        began = time.monotonic()
        with pytest.raises(Temporary) as caught:
            await pair.follow()
        assert time.monotonic() - began < 30
    assert caught.value.code == "source-unreachable"
    assert "fiction/one" in caught.value.message


async def test_uploads_in_parts_that_came_over_are_not_copied_again_after_a_cut(pair: Pair) -> None:
    for number in range(9):
        pair.upload(f"small{number}", bytes([number]))
    for number in range(3):
        pair.upload(f"large{number}", bytes([number]), parts=6)

    def cut(progress: Progress) -> None:
        if progress.objects_done > 0:
            running.cancel()

    async with wired(pair.stream, bytes_per_second=SLOW_BYTES_PER_SECOND) as (slow, _):
        running = asyncio.ensure_future(pair.target.driver.follow(pair.target.key, slow, cut))
        await asyncio.wait({running})
    assert running.cancelled()
    passed = await pair.follow()
    assert 3 <= passed.objects_moved < 12
    assert (await pair.follow()).objects_moved == 0


async def test_the_way_back_reads_uploads_in_parts_and_copies_none(pair: Pair) -> None:
    source, target = pair.source, pair.target
    pair.upload("kept", b"k")
    pair.upload("rewritten", b"r")
    await pair.follow()
    position = await source.driver.fence(source.key)
    await target.driver.catch_up(target.key, pair.stream, position, target.report)
    target.writer, target.reader = source.writer, source.reader
    await target.serve()
    await source.follow()
    with closing(client(target.at("clients"), target.writer)) as s3:
        put(s3, "rewritten", b"R" * 10 * MIB)
    async with follower_source(source.directory / "tls", target.at("followers"), target.reader) as back:
        passed = await source.driver.follow(source.key, back, source.report)
        assert (passed.objects_moved, passed.bytes_moved) == (1, 10 * MIB)
        position = await target.driver.fence(target.key)
        await source.driver.catch_up(source.key, back, position, source.report)
    await source.serve()
    with closing(client(source.at("clients"), source.writer)) as s3:
        assert get(s3, "kept")[0] == b"k" * 10 * MIB
        assert get(s3, "rewritten")[0] == b"R" * 10 * MIB
