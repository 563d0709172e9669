"""A pass may be cut short at any moment: what it does in threads ends then, too, within a second or so."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from hanse.drivers.bucket.s3 import S3, Account

_T = TypeVar("_T")


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """The pass was cut short."""


class Brake:
    """For one pass. Threads ask `check` between steps, and lose their connections when it is pulled."""

    def __init__(self) -> None:
        self._pulled = threading.Event()
        self._lock = threading.Lock()
        self._lines: set[S3] = set()

    @contextmanager
    def line(self, account: Account, bucket: str, timeout_seconds: float = 60.0) -> Iterator[S3]:
        """A connection that ends with the pass."""
        made = S3(account, bucket, timeout_seconds)
        with self._lock:
            self.check()
            self._lines.add(made)
        try:
            yield made
        finally:
            with self._lock:
                self._lines.discard(made)
            made.close()

    @property
    def is_pulled(self) -> bool:
        """True once the pass is over before its end."""
        return self._pulled.is_set()

    def check(self) -> None:
        """Raises Stopped once the brake is pulled."""
        if self._pulled.is_set():
            raise Stopped

    def pull(self) -> None:
        """From any thread: nothing of this pass goes on."""
        self._pulled.set()
        with self._lock:
            for line in self._lines:
                line.break_off()

    async def run(self, work: Callable[..., _T], *arguments: Any) -> _T:
        """Do blocking work in a thread; cancelled, this returns only after the thread has ended."""
        running = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            self.pull()
            while not running.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({running})
            if not running.cancelled():
                running.exception()  # said by nobody: the pass is over
            raise
