"""Waiting on the agent's own clock, so that a simulation may turn it."""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable

from hanse.ports import Clock, Random

_BACKOFF_FIRST_SECONDS = 0.5
_FAULT_SECONDS = 5.0
_log = logging.getLogger("hanse.agent")


class Bell:
    """Rung by anybody, any number of times; one task waits for it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake the waiting task, or let its next wait end at once."""
        self._event.set()

    async def wait(self, seconds: float | None) -> None:
        """Until it is rung, at most `seconds` (None: however long it takes)."""
        if seconds is None:
            await self._event.wait()
        else:
            await first_of(self._clock, self._event.wait(), seconds)
        self._event.clear()


async def kept_up(clock: Clock, what: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do `work` until it returns; a fault that nobody expected is logged in one line, and it begins anew."""
    while True:
        try:
            return await work()
        except Exception as error:  # noqa: BLE001 - one fault must not end all that a site does
            words = " ".join(str(error).split())
            _log.error("%s met a fault and begins anew: %s: %s", what, type(error).__name__, words)
            await clock.sleep(_FAULT_SECONDS)


async def first_of(clock: Clock, work: Awaitable[object], seconds: float) -> bool:
    """Let `work` run for at most `seconds`; cancel it then. True if it ended by itself."""
    task = asyncio.ensure_future(work)
    alarm = asyncio.ensure_future(clock.sleep(max(0.0, seconds)))
    try:
        await asyncio.wait({task, alarm}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
            return True
        return False
    finally:
        left = {each for each in (task, alarm) if each.cancel()}
        if left:
            await asyncio.wait(left)  # not awaited themselves: whoever cancels this call must be heard


def backoff_seconds(random: Random, failures: int, longest: float) -> float:
    """Doubles with each failure in a row up to `longest`; between half and all of that, by chance."""
    whole: float = min(longest, _BACKOFF_FIRST_SECONDS * 2 ** min(failures - 1, 16))
    return whole * (0.5 + 0.5 * fraction(random))


def fraction(random: Random) -> float:
    """A number from 0 to below 1."""
    return int.from_bytes(hashlib.sha256(random.token(8).encode()).digest()[:6]) / 2**48
