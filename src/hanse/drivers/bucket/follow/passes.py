"""One pass of a follower: list both sides, copy what differs, delete what is gone, list again."""

import asyncio
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from queue import Empty, Queue
from time import monotonic

from hanse.drivers.bucket.follow.content import Amount, Content, comparison
from hanse.drivers.bucket.failure import disk_full
from hanse.drivers.bucket.s3 import S3, Account, Listed
from hanse.drivers.bucket.follow.transfer import Job, copy, free_bytes, odd, source_account
from hanse.drivers.contract import Pass, Report, Source
from hanse.model.replica.observation import Progress
from hanse.ports import Permanent, Temporary

_BATCH = 20_000
_FEW = 500
_PATIENCE_SECONDS = 120.0
_SPARE_BYTES = 64 * 1024 * 1024
_MEMORY = "content.sqlite"


@dataclass(frozen=True, slots=True)
class Target:
    """The follower: where it keeps its memory, its own store, its bucket and how much may be in it."""

    place: Path
    account: Account
    bucket: str
    disk_bytes: int


async def run_pass(target: Target, source: Source, report: Report) -> tuple[Pass, tuple[int, list[str]]]:
    """Bring the target to what the source held; returns the pass and what still differs.

    Raises Temporary(`copy-failed`, `storage-silent`), Permanent(`disk-full`, `source-refuses`).
    """
    begun = monotonic()
    theirs = source_account(source)
    with comparison(target.place / _MEMORY) as content:
        report(Progress(phase="listing"))
        both = {"source": theirs, "own": target.account}
        await asyncio.to_thread(_list, content, both, target.bucket)
        moved = await _bring_over(content, target, source, theirs, report)
        gone = [key for key, _ in content.stray()]
        await asyncio.to_thread(_delete, target, gone)
        await asyncio.to_thread(_refresh, content, target, moved, gone)
        content.finish_job(clean=True)
        total = content.amount("own")
        done = Pass(
            bytes_moved=moved.bytes,
            objects_moved=moved.objects + len(gone),
            bytes_total=total.bytes,
            objects_total=total.objects,
            position=await asyncio.to_thread(content.position, following=True),
            seconds=monotonic() - begun,
        )
        return done, content.differences()


def position_of(place: Path, account: Account, bucket: str) -> str:
    """Content digest of a bucket as its own service shows it. Blocking: call it from a thread."""
    with comparison(place / _MEMORY) as content:
        _list(content, {"own": account}, bucket)
        return content.position(following=False)


async def _bring_over(
    content: Content, target: Target, source: Source, theirs: Account, report: Report
) -> Amount:
    """Copy all that differs. What vanished at the source meanwhile fails once and is not wanted again."""
    moved = Amount(0, 0)
    complaints: list[str] = []
    for _ in range(2):
        job = content.begin_job()
        _check_room(target, content.amount("source"), job)
        complaints = await _copy_job(content, target, source, theirs, report)
        moved = Amount(moved.objects + job.objects, moved.bytes + job.bytes)
        if not complaints:
            return moved
        both = {"source": theirs, "own": target.account}
        await asyncio.to_thread(_list, content, both, target.bucket)
        content.finish_job(clean=False)
    _check_disk(target)
    raise Temporary(
        "copy-failed", f"Objects could not be copied from the source: {'; '.join(complaints[:3])}", 5.0
    )


async def _copy_job(
    content: Content, target: Target, source: Source, theirs: Account, report: Report
) -> list[str]:
    complaints: list[str] = []
    objects = content.amount("source").objects
    for batch in _batches(content.job()):
        plain = [key for key, _ in batch if not odd(key)]
        if plain:
            job = Job(target.bucket, plain, sum(size for _, size in batch), objects)
            complaints += await copy(target.place, source, target.account, job, report)
        strange = [key for key, _ in batch if odd(key)]
        complaints += await asyncio.to_thread(_copy_odd, target, theirs, strange)
    return complaints


def _batches(pairs: Iterator[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    while batch := list(islice(pairs, _BATCH)):
        yield batch


def _copy_odd(target: Target, theirs: Account, keys: Iterable[str]) -> list[str]:
    complaints = []
    with closing(S3(theirs, target.bucket)) as source, closing(S3(target.account, target.bucket)) as own:
        for key in keys:
            try:
                own.copy_from(source, key)
            except (Permanent, Temporary) as error:
                source.close()
                own.close()
                complaints.append(error.message)
    return complaints


def _delete(target: Target, keys: list[str]) -> None:
    with closing(S3(target.account, target.bucket)) as own:
        for key in reversed(keys):
            own.delete(key)


def _list(content: Content, places: dict[str, Account], bucket: str) -> None:
    """List at once all that is asked for; pages wait in a short queue, so memory stays bounded."""
    pages: Queue[tuple[str, list[Listed]]] = Queue(maxsize=4)
    with ThreadPoolExecutor(len(places)) as threads:
        for table in places:
            content.clear(table)
        running = [
            threads.submit(_produce, table, account, bucket, pages) for table, account in places.items()
        ]
        while not (all(one.done() for one in running) and pages.empty()):
            try:
                content.add(*pages.get(timeout=0.05))
            except Empty:
                continue
        for one in running:
            one.result()


def _produce(table: str, account: Account, bucket: str, pages: "Queue[tuple[str, list[Listed]]]") -> None:
    with closing(S3(account, bucket)) as service:
        try:
            for page in service.pages():
                pages.put((table, page), timeout=_PATIENCE_SECONDS)
        except Permanent as error:
            if table == "own":
                raise
            raise Permanent(
                "source-refuses", f"The source does not let this follower read: {error.message}", error.detail
            ) from error


def _refresh(content: Content, target: Target, job: Amount, gone: list[str]) -> None:
    """Look again at what this pass touched; if that was much, at everything."""
    if job.objects + len(gone) > _FEW:
        _list(content, {"own": target.account}, target.bucket)
        return
    with closing(S3(target.account, target.bucket)) as own:
        for key in [*(key for key, _ in content.job()), *gone]:
            content.drop(key)
            found = own.head(key)
            if found is not None:
                content.add("own", [found])


def _check_room(target: Target, source: Amount, job: Amount) -> None:
    if source.bytes > target.disk_bytes:
        raise disk_full(
            f"the source holds {source.bytes} bytes and this replica may hold {target.disk_bytes}"
        )
    free = free_bytes(target.place)
    if job.bytes + _SPARE_BYTES > free:
        raise disk_full(f"{job.bytes} bytes are to come and the disk has {free} left")


def _check_disk(target: Target) -> None:
    free = free_bytes(target.place)
    if free < _SPARE_BYTES:
        raise disk_full(f"the disk has {free} bytes left")
