"""One pass of a follower: list both sides, copy what differs, delete what is gone, list again."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import monotonic

from hanse.drivers.bucket.failure import disk_full
from hanse.drivers.bucket.follow.brake import Brake
from hanse.drivers.bucket.follow.content import Amount, Content, comparison
from hanse.drivers.bucket.follow.listing import SILENT_SECONDS, Side, list_sides
from hanse.drivers.bucket.follow.proof import prove_own
from hanse.drivers.bucket.follow.transfer import Job, copy, free_bytes, odd, source_account
from hanse.drivers.bucket.s3 import Account
from hanse.drivers.contract import Pass, Report, Source
from hanse.model.replica.observation import Progress
from hanse.ports import Permanent, Temporary

_BATCH = 20_000
_FEW = 500
_SPARE_BYTES = 64 * 1024 * 1024
_MEMORY = "content.sqlite"
_TELL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Target:
    """The follower: where it keeps its memory, its own store, its bucket and how much may be in it."""

    place: Path
    account: Account
    bucket: str
    disk_bytes: int


@dataclass(frozen=True, slots=True)
class _Work:
    """What one pass works with."""

    content: Content
    target: Target
    source: Source
    theirs: Account
    report: Report
    brake: Brake

    def list_both(self) -> None:
        sides = {"source": Side(self.theirs, self.source.stream.peer.site), "own": Side(self.target.account)}
        list_sides(self.content, sides, self.target.bucket, self.brake)

    def list_own(self) -> None:
        list_sides(self.content, {"own": Side(self.target.account)}, self.target.bucket, self.brake)


async def run_pass(target: Target, source: Source, report: Report) -> tuple[Pass, tuple[int, list[str]]]:
    """Bring the target to what the source held; returns the pass and what still differs.

    Cancelled, it ends within a second or two, and the next pass goes on where it was.
    Raises Temporary(`copy-failed`, `source-unreachable`, `storage-silent`), Permanent(`disk-full`,
    `source-refuses`).
    """
    begun = monotonic()
    theirs, brake = source_account(source), Brake()
    with comparison(target.place / _MEMORY) as content:
        work = _Work(content, target, source, theirs, report, brake)
        report(Progress(phase="listing"))
        await brake.run(work.list_both)
        await brake.run(_recall, work, asyncio.get_running_loop())
        moved = await _bring_over(work)
        total, gone, differing, position = await brake.run(_finish, work, moved)
        done = Pass(
            bytes_moved=moved.bytes,
            objects_moved=moved.objects + gone,
            bytes_total=total.bytes,
            objects_total=total.objects,
            position=position,
            seconds=monotonic() - begun,
        )
        return done, differing


def position_of(place: Path, account: Account, bucket: str) -> str:
    """Content digest of a bucket as its own service shows it. Blocking: call it from a thread."""
    with comparison(place / _MEMORY) as content:
        list_sides(content, {"own": Side(account)}, bucket, Brake())
        return content.position(following=False)


def _recall(work: _Work, loop: asyncio.AbstractEventLoop) -> None:
    last = 0.0

    def tell(done: int, whole: int) -> None:
        nonlocal last
        if monotonic() - last < _TELL_SECONDS and done < whole:
            return
        last = monotonic()
        loop.call_soon_threadsafe(report, Progress(phase="comparing", bytes_done=done, bytes_total=whole))

    def report(progress: Progress) -> None:
        if not work.brake.is_pulled:
            work.report(progress)

    work.content.recall()
    prove_own(work.content, work.target.account, work.target.bucket, work.brake, tell)


async def _bring_over(work: _Work) -> Amount:
    """Copy all that differs. What vanished at the source meanwhile fails once and is not wanted again."""
    moved = Amount(0, 0)
    complaints: list[str] = []
    for _ in range(2):
        job = await work.brake.run(work.content.begin_job)
        _check_room(work.target, work.content.amount("source"), job)
        complaints = await _copy_job(work, job)
        moved = Amount(moved.objects + job.objects, moved.bytes + job.bytes)
        if not complaints:
            return moved
        await work.brake.run(work.list_both)
        work.content.finish_job(clean=False)
        work.content.recall()
    _check_disk(work.target)
    raise Temporary(
        "copy-failed",
        f"Objects could not be copied from {work.source.stream.peer.site}: {'; '.join(complaints[:3])}",
        5.0,
    )


async def _copy_job(work: _Work, whole: Amount) -> list[str]:
    complaints: list[str] = []
    content, before = work.content, Amount(0, 0)
    objects = content.amount("source").objects
    arrived = content.note if content.has_parts() else None
    for batch in _batches(content.job()):
        plain = [key for key, _ in batch if not odd(key)]
        if plain:
            job = Job(
                bucket=work.target.bucket,
                keys=plain,
                before=(before.objects, before.bytes),
                whole=(whole.objects, whole.bytes),
                source_objects=objects,
                arrived=arrived,
            )
            complaints += await copy(work.target.place, work.source, work.target.account, job, work.report)
        strange = [key for key, _ in batch if odd(key)]
        complaints += await work.brake.run(_copy_odd, work, strange)
        before = Amount(before.objects + len(batch), before.bytes + sum(size for _, size in batch))
    return complaints


def _batches(pairs: Iterator[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    while batch := list(islice(pairs, _BATCH)):
        yield batch


def _copy_odd(work: _Work, keys: Iterable[str]) -> list[str]:
    complaints = []
    bucket, brake = work.target.bucket, work.brake
    with (
        brake.line(work.theirs, bucket, SILENT_SECONDS) as source,
        brake.line(work.target.account, bucket) as own,
    ):
        for key in keys:
            try:
                own.copy_from(source, key)
            except (Permanent, Temporary) as error:
                brake.check()
                source.close()
                own.close()
                complaints.append(error.message)
    return complaints


def _finish(work: _Work, moved: Amount) -> tuple[Amount, int, tuple[int, list[str]], str]:
    """Delete what the source has not; what is here then, how much was deleted, what differs, the position."""
    content = work.content
    gone = [key for key, _ in content.stray()]
    with work.brake.line(work.target.account, work.target.bucket) as own:
        for key in reversed(gone):
            work.brake.check()
            own.delete(key)
    _refresh(work, moved, gone)
    content.finish_job(clean=True)
    return content.amount("own"), len(gone), content.differences(), content.position(following=True)


def _refresh(work: _Work, job: Amount, gone: list[str]) -> None:
    """Look again at what this pass touched; if that was much, at everything."""
    content = work.content
    if job.objects + len(gone) > _FEW:
        work.list_own()
        return
    with work.brake.line(work.target.account, work.target.bucket) as own:
        for key in [*(key for key, _ in content.job()), *gone]:
            work.brake.check()
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
