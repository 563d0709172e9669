"""Which process is ours: a pid alone is not enough, the kernel gives it to others later."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_THREADS_FIELD, _START_FIELD = 17, 19  # fields 20 and 22 of /proc/PID/stat, counted after the name


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """A process as it was started: pid, start tick and boot. Equal marks are the same process."""

    pid: int
    start_ticks: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> "ProcessMark | None":
        """The mark of a living process; None if there is none or it only waits to be reaped.

        While any of its threads still ends, a process may hold ports and finish what it was writing.
        """
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            return None
        if not fields or (fields[0] in {"Z", "X"} and int(fields[_THREADS_FIELD]) <= 1):
            return None
        return cls(pid, int(fields[_START_FIELD]), _boot())

    @classmethod
    def load(cls, path: Path) -> "ProcessMark | None":
        """The process that `save` wrote down, if it still lives; None otherwise."""
        try:
            mark = cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return mark if mark.alive() else None

    def save(self, path: Path) -> None:
        """Write durably enough to survive the agent: a whole file or none."""
        text = json.dumps({"pid": self.pid, "start_ticks": self.start_ticks, "boot": self.boot})
        write_file(path, text.encode())

    def alive(self) -> bool:
        """True while this very process runs."""
        return ProcessMark.of(self.pid) == self

    def signal(self, number: int) -> bool:
        """Send a signal to this very process; False if it is gone."""
        with self._handle() as handle:
            if handle is None:
                return False
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
                return True
            return False

    async def end(self, patience_seconds: float) -> None:
        """SIGTERM, after the patience SIGKILL; returns when it is gone."""
        self.signal(signal.SIGTERM)
        if not await self.gone(patience_seconds):
            self.signal(signal.SIGKILL)
            await self.gone(patience_seconds)

    async def gone(self, patience_seconds: float) -> bool:
        """Wait until it ended; False if it still runs after so many seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience_seconds
        while self.alive():
            if loop.time() > deadline:
                return False
            await asyncio.sleep(0.02)
        self._reap()
        return True

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)

    @contextmanager
    def _handle(self) -> Iterator[int | None]:
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            yield None
            return
        try:
            yield handle if self.alive() else None
        finally:
            os.close(handle)


def write_file(path: Path, data: bytes, mode: int = 0o600, *, durable: bool = True) -> None:
    """Replace a file as a whole: readers see the old or the new bytes, also after a power cut.

    Not `durable`: after a power cut it may be empty; for what is written anew whenever it is needed.
    """
    draft = path.with_name(path.name + ".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        os.fchmod(handle, mode)
        _write_all(handle, data)
        if durable:
            os.fsync(handle)
    finally:
        os.close(handle)
    draft.replace(path)


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
