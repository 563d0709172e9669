"""The copy itself: a backup over SQL, file by file, going on where an earlier one was cut."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hanse.drivers.postgres.failure import disk_full
from hanse.drivers.postgres.seed.kept import Kept
from hanse.drivers.postgres.seed.lane import Lane
from hanse.drivers.postgres.seed.listing import CONTROL, EMPTY, LIST, Listing, listing_of
from hanse.drivers.postgres.seed.pace import Pace
from hanse.drivers.postgres.seed.stretch import STRETCH_BYTES, Stretch, batches, whole
from hanse.drivers.postgres.source import Link
from hanse.model.replica.observation import Progress
from hanse.ports import Permanent

_SPARE = 64 * 1024 * 1024
"""Free bytes that must be left on the disk besides the copy, for its log."""
_REPORT_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Target:
    """Where a copy goes: the data directory, its owner, how much it may hold."""

    data: Path
    uid: int
    disk_bytes: int
    own: Callable[[Path, int], None]


class Copying:
    """One attempt. Blocking: for a thread; `check` is called often and may raise to end it.

    The first of the connections holds the backup open; all of them read, each in a thread of its own.
    """

    def __init__(self, links: Sequence[Link], target: Target, kept: Kept, check: Callable[[], None]) -> None:
        self._links = links
        self._target = target
        self._kept = kept
        self._check = check
        self._lock = threading.Lock()
        self._left: Iterator[list[Stretch]] = iter(())
        self._failure: BaseException | None = None
        self._anew: set[str] = set()
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
        with self._links[0].connection.cursor() as cursor:
            cursor.execute("select pg_backup_start(%s, true)", (label,))
            rows = cursor.execute(LIST, (sorted(EMPTY),)).fetchall()
        listing = self._total = listing_of(rows)
        self._directories(listing)
        plan = self._plan(listing)
        self._room(listing)
        self._pace = Pace(time.monotonic())
        self._left = batches(plan)
        with ThreadPoolExecutor(len(self._links), "copy") as pool:
            for link in self._links:
                pool.submit(self._run_lane, link)
        if self._failure is not None:
            raise self._failure
        self._tell(force=True)
        self._finish()
        return listing

    def _plan(self, listing: Listing) -> list[Stretch]:
        """What is needed, file by file; what is no longer in the source goes."""
        data = self._target.data
        wanted = {one.path for one in listing.files} | {CONTROL}
        for path in _local_files(data):
            if path not in wanted:
                (data / path).unlink(missing_ok=True)
        plan: list[Stretch] = []
        for file in listing.files:
            missing = self._kept.missing(file, data / file.path)
            if missing is None:
                self._anew.add(file.path)
                missing = [whole(file)]
            self._done_before += file.size - sum(one.length for one in missing)
            self._finished += not any(one.is_last for one in missing)
            plan += missing
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

    def _run_lane(self, link: Link) -> None:
        """One batch after another; where one connection fails, all are broken off."""
        lane = Lane(link.connection)
        try:
            while batch := self._next(lane.clock()):
                here: list[Stretch] = []
                for stretch in lane.read(batch, self._target.data, self._add):
                    here.append(stretch)
                    if sum(one.length for one in here) >= STRETCH_BYTES:
                        self._keep(here)
                        here = []
                self._keep(here)
        except BaseException as failure:  # noqa: BLE001 - raised by `run`
            with self._lock:
                self._failure = self._failure or failure
                self._left = iter(())
            for other in self._links:
                other.shut()

    def _next(self, now: float) -> list[Stretch]:
        """A batch whose files are there to be written; empty at the end. `now`: by the source's clock."""
        with self._lock:
            self._check()
            batch = next(self._left, [])
            fresh = [one.file for one in batch if one.first == 0 and one.file.path in self._anew]
            for file in fresh:
                (self._target.data / file.path).unlink(missing_ok=True)
            self._kept.begin(fresh, now)
            for stretch in batch:
                self._target.own(_made(self._target.data / stretch.file.path), self._target.uid)
            return batch

    def _keep(self, here: list[Stretch]) -> None:
        with self._lock:
            self._kept.add(here)
            self._finished += sum(stretch.is_last for stretch in here)

    def _add(self, moved: int) -> None:
        with self._lock:
            self._moved += moved
            self._tell()

    def _finish(self) -> None:
        """The control file, then the label that tells the server where to begin."""
        with self._links[0].connection.cursor() as cursor:
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


def _made(path: Path) -> Path:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    return path


def _local_files(data: Path) -> list[str]:
    found = []
    for directory, _, names in os.walk(data):
        found += [os.path.relpath(os.path.join(directory, name), data) for name in names]  # noqa: PTH118
    return found
