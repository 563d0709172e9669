"""What the stores wrote, put on the disk; a disk that once failed to keep something is remembered."""

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path

_EVERY_SECONDS = 2.0
_FAILED = "flush-failed"


class Flushes:
    """One driver's. A place is a replica's directory; what its store wrote is in `work/data`."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(4, "flush")

    async def flush(self, place: Path) -> None:
        """Return once all that was written is on the disk.

        Raises OSError where the disk did not keep something: the kernel says so once, so it is noted.
        """
        await asyncio.get_running_loop().run_in_executor(self._threads, _flush, place)

    def has_failed(self, place: Path) -> bool:
        """Whether the disk ever failed to keep something of this place."""
        return (place / _FAILED).exists()

    def forget(self, place: Path) -> None:
        """What was written before is no longer there."""
        (place / _FAILED).unlink(missing_ok=True)

    @asynccontextmanager
    async def beside(self, place: Path) -> AsyncIterator[None]:
        """What is written during the block goes on the disk meanwhile. Raises OSError as `flush` does."""
        over = asyncio.Event()

        async def now_and_then() -> None:
            while not over.is_set():
                try:
                    await asyncio.wait_for(over.wait(), _EVERY_SECONDS)
                except TimeoutError:
                    await self.flush(place)

        task = asyncio.ensure_future(now_and_then())
        try:
            yield
        except BaseException:
            task.cancel()  # a flush under way goes on in its thread, and notes what it hears
            await asyncio.wait({task})
            if not task.cancelled():
                task.exception()
            raise
        over.set()
        await task


def _flush(place: Path) -> None:
    for path in (place / "work" / "data").rglob("*"):
        if not path.is_file():
            continue
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:  # the store compacts files while this looks
            continue
        try:
            os.fsync(handle)
        except OSError:
            with suppress(OSError):
                (place / _FAILED).touch()
            raise
        finally:
            os.close(handle)
