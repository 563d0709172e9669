"""The copy itself: a backup over SQL, file by file, going on where an earlier one was cut."""

import os
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hanse.drivers.postgres.failure import disk_full
from hanse.drivers.postgres.seed.kept import Kept
from hanse.drivers.postgres.seed.listing import CONTROL, EMPTY, LIST, File, Listing, listing_of
from hanse.drivers.postgres.seed.pace import Pace
from hanse.model.replica.observation import Progress
from hanse.ports import Permanent

if TYPE_CHECKING:
    from psycopg import Connection

CHUNK = 128 * 1024
"""Bytes of a row; larger ones cost more time in copying memory than they save."""
_BATCH_BYTES = 32 * 1024 * 1024
_BATCH_CHUNKS = 2000
_SPARE = 64 * 1024 * 1024
"""Free bytes that must be left on the disk besides the copy, for its log."""
_REPORT_SECONDS = 0.5
_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_READ = (
    "copy (select pg_read_binary_file(path, first, length, true)"
    " from unnest(%s::text[], %s::bigint[], %s::bigint[])"
    " with ordinality as piece(path, first, length, number)"
    " order by number) to stdout (format binary)"
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a file, read in one row."""

    path: str
    first: int
    length: int


@dataclass(frozen=True, slots=True)
class Target:
    """Where a copy goes: the data directory, its owner, how much it may hold."""

    data: Path
    uid: int
    disk_bytes: int
    own: Callable[[Path, int], None]


class Copying:
    """One attempt. Blocking: for a thread; `check` is called often and may raise to end it."""

    def __init__(
        self, connection: "Connection[Any]", target: Target, kept: Kept, check: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._target = target
        self._kept = kept
        self._check = check
        self._moved = 0
        self._done_before = 0
        self._finished = 0
        self._reported = 0.0
        self._total: Listing | None = None

    @property
    def moved(self) -> int:
        """Bytes that came over the line in this attempt."""
        return self._moved

    def run(self, label: str, report: Callable[[Progress], None]) -> Listing:
        """Copy everything; afterwards the directory can be started as a standby.

        Raises Permanent(`disk-full`), psycopg's errors, OSError.
        """
        self._report = report
        report(Progress(phase="checkpoint"))
        with self._connection.cursor() as cursor:
            cursor.execute("select pg_backup_start(%s, true)", (label,))
            rows = cursor.execute(LIST, (sorted(EMPTY),)).fetchall()
        listing = self._total = listing_of(rows)
        self._directories(listing)
        plan = self._plan(listing)
        self._room(listing)
        self._pace = Pace(time.monotonic())
        for batch in _batches(plan):
            self._take(batch)
        self._tell(force=True)
        self._finish()
        return listing

    def _plan(self, listing: Listing) -> list[tuple[File, int]]:
        """Files with the byte from which each is needed; what is no longer in the source goes."""
        data = self._target.data
        wanted = {one.path for one in listing.files} | {CONTROL}
        for path in _local_files(data):
            if path not in wanted:
                (data / path).unlink(missing_ok=True)
        plan = []
        for file in listing.files:
            good = self._kept.good_bytes(file, data / file.path)
            self._done_before += good
            if good < file.size or good == file.size == 0:
                plan.append((file, good))
            else:
                self._finished += 1
        return plan

    def _directories(self, listing: Listing) -> None:
        for path in listing.directories:
            directory = self._target.data / path
            directory.mkdir(mode=0o700, exist_ok=True)
            self._target.own(directory, self._target.uid)

    def _room(self, listing: Listing) -> None:
        """Raises Permanent(`disk-full`) before anything is moved that cannot fit."""
        numbers = os.statvfs(self._target.data)
        free = numbers.f_bavail * numbers.f_frsize
        missing = listing.bytes - self._done_before + _SPARE
        if listing.bytes > self._target.disk_bytes:
            raise disk_full(
                f"it is {listing.bytes} bytes, and the component's size allows {self._target.disk_bytes}"
            )
        if missing > free:
            raise disk_full(f"{missing} bytes are needed, {free} are free")

    def _take(self, batch: list[tuple[File, int]]) -> None:
        self._check()
        data = self._target.data
        fresh = [file for file, good in batch if good == 0]
        for file in fresh:
            (data / file.path).unlink(missing_ok=True)
        with self._connection.cursor() as cursor:
            now = cursor.execute("select extract(epoch from clock_timestamp())::float8").fetchone() or (0.0,)
        self._kept.begin(fresh, float(now[0]))
        for file, _ in batch:
            self._target.own(_made(data / file.path), self._target.uid)
        pieces = [piece for file, good in batch for piece in _pieces(file, good)]
        self._read(pieces)
        self._finished += len(batch)

    def _read(self, pieces: list[Piece]) -> None:
        columns = (
            [one.path for one in pieces],
            [one.first for one in pieces],
            [one.length for one in pieces],
        )
        handle, opened = -1, ""
        try:
            with self._connection.cursor() as cursor, cursor.copy(_READ, columns) as copy:
                for piece, content in zip(pieces, _rows(copy), strict=True):
                    if piece.path != opened:
                        if handle >= 0:
                            os.close(handle)
                        handle, opened = os.open(self._target.data / piece.path, os.O_WRONLY), piece.path
                    _write(handle, content, piece.first)
                    self._moved += piece.length
                    self._tell()
        finally:
            if handle >= 0:
                os.close(handle)

    def _finish(self) -> None:
        """The control file, then the label that tells the server where to begin."""
        with self._connection.cursor() as cursor:
            row = cursor.execute("select pg_read_binary_file(%s, 0, 65536, false)", (CONTROL,)).fetchone()
            ended = cursor.execute("select labelfile, spcmapfile from pg_backup_stop(false)").fetchone()
        if row is None or ended is None:
            raise Permanent("source-wrong", "The followed database gave no backup label.")
        if str(ended[1]).strip():
            raise Permanent(
                "tablespaces",
                "The followed database keeps tables outside its directory; it cannot be copied.",
            )
        for name, content in ((CONTROL, bytes(row[0])), ("backup_label", str(ended[0]).encode())):
            path = self._target.data / name
            path.unlink(missing_ok=True)
            self._target.own(_made(path), self._target.uid)
            path.write_bytes(content)

    def _tell(self, *, force: bool = False) -> None:
        now = time.monotonic()
        if self._total is None or (now - self._reported < _REPORT_SECONDS and not force):
            return
        self._check()
        self._reported = now
        self._pace.add(now, self._moved)
        done = min(self._done_before + self._moved, self._total.bytes)
        self._report(
            Progress(
                phase="copying",
                bytes_done=done,
                bytes_total=self._total.bytes,
                objects_done=self._finished,
                objects_total=len(self._total.files),
                seconds_left=self._pace.seconds_left(self._total.bytes - done),
            )
        )


def _batches(plan: list[tuple[File, int]]) -> Iterator[list[tuple[File, int]]]:
    batch: list[tuple[File, int]] = []
    size = chunks = 0
    for file, good in plan:
        batch.append((file, good))
        size += file.size - good
        chunks += 1 + (file.size - good) // CHUNK
        if size >= _BATCH_BYTES or chunks >= _BATCH_CHUNKS:
            yield batch
            batch, size, chunks = [], 0, 0
    if batch:
        yield batch


def _pieces(file: File, good: int) -> Iterator[Piece]:
    for first in range(good, file.size, CHUNK):
        yield Piece(file.path, first, min(CHUNK, file.size - first))


def _rows(copy: Any) -> Iterator[bytes | memoryview]:
    """The one column of each row; a file that is gone or shorter gives less."""
    begun = False
    for message in copy:
        view = memoryview(message)
        if not begun:
            if bytes(view[: len(_SIGNATURE)]) != _SIGNATURE:
                raise Permanent("source-wrong", "The followed database speaks another copy format.")
            view, begun = view[len(_SIGNATURE) + 8 :], True
        while len(view) >= 2:
            if struct.unpack_from("!h", view)[0] < 0:
                break
            (length,) = struct.unpack_from("!i", view, 2)
            end = 6 + max(0, length)
            yield view[6:end]
            view = view[end:]


def _write(handle: int, content: bytes | memoryview, offset: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(handle, view, offset)
        view, offset = view[written:], offset + written


def _made(path: Path) -> Path:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    return path


def _local_files(data: Path) -> list[str]:
    found = []
    for directory, _, names in os.walk(data):
        found += [os.path.relpath(os.path.join(directory, name), data) for name in names]  # noqa: PTH118
    return found
