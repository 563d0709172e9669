"""Wakes whoever waits for a site's instructions: long polls and wake-up lines, without a thread each."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class Notifier:
    """In-process: one event for each waiting request. `wake` may be called from any thread."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = False

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """The loop that the waiting requests run in."""
        self._loop = loop

    def wake(self, sites: Sequence[str]) -> None:
        """There is something new for these sites."""
        if self._loop is not None and sites and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._set, tuple(sites))

    def wake_all(self) -> None:
        """Let everybody go: the hub stops."""
        self._closing = True
        self._set(tuple(self._waiting))

    @property
    def closing(self) -> bool:
        """True once the hub stops."""
        return self._closing

    def is_waited_for(self, site: str) -> bool:
        """True while some request waits for this site's instructions."""
        return site in self._waiting

    @contextmanager
    def listen(self, site: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever there may be something new; clear it before looking."""
        event = asyncio.Event()
        self._waiting.setdefault(site, set()).add(event)
        try:
            yield event
        finally:
            others = self._waiting[site]
            others.discard(event)
            if not others:
                del self._waiting[site]

    def _set(self, sites: Sequence[str]) -> None:
        for site in sites:
            for event in self._waiting.get(site, ()):
                event.set()
