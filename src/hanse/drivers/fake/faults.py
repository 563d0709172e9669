"""Fault knobs: how long things take, what fails next, and where an agent dies."""

from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from hanse.ports import Clock


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong once, at one method. `error` is raised before or after the effect took place."""

    error: BaseException
    when: Literal["before", "after"] = "before"


@dataclass(slots=True)
class Faults:
    """Turned by tests while the fake runs."""

    delay_seconds: dict[str, float] = field(default_factory=dict)
    """By method, or `*` for all others: half of it before the effect, half after."""
    _next: defaultdict[str, deque[Fault]] = field(default_factory=lambda: defaultdict(deque))

    def fail_next(self, method: str, *faults: Fault) -> None:
        """The next calls of `method` meet these faults, one each, in order."""
        self._next[method].extend(faults)

    @asynccontextmanager
    async def around(self, method: str, clock: Clock) -> AsyncIterator[None]:
        """Wrap the effect of one call. A cancelled call dies before or after its effect, never within."""
        fault = self._next[method].popleft() if self._next[method] else None
        half = self.delay_seconds.get(method, self.delay_seconds.get("*", 0.0)) / 2
        if half:
            await clock.sleep(half)
        if fault is not None and fault.when == "before":
            raise fault.error
        yield
        if half:
            await clock.sleep(half)
        if fault is not None:
            raise fault.error
