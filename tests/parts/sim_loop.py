"""Virtual time, and a look at the world after every turn of the loop. One seed gives one run."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from agent_world import VirtualLoop

START = datetime(2030, 1, 1, tzinfo=UTC)


class WatchedLoop(VirtualLoop):
    """Calls `watch` after each turn; what it raises ends the run."""

    def __init__(self) -> None:
        super().__init__()
        self.watch: Callable[[], None] = lambda: None
        self.turns = 0

    def _run_once(self) -> None:
        super()._run_once()
        self.turns += 1
        self.watch()


class SimClock:
    """The world's time; a site's monotonic clock starts anywhere."""

    def __init__(self, offset: float = 0.0) -> None:
        self._offset = offset

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time() + self._offset

    def now(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SeededRandom:
    """Names and secrets from a seed."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._count = 0

    def token(self, nbytes: int = 16) -> str:
        self._count += 1
        return hashlib.sha256(f"{self._seed}/{self._count}".encode()).hexdigest()[: 2 * nbytes]


class KeptJournal:
    """A site's durable memory: survives its agent; every row is text, as on disk."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[str, str]] = {}
        self._counters: dict[str, int] = {}
        self.on_put: Callable[[str], None] = lambda _table: None

    def get(self, table: str, key: str) -> dict[str, Any] | None:
        row = self._tables.get(table, {}).get(key)
        return None if row is None else json.loads(row)

    def put(self, table: str, key: str, value: Mapping[str, Any]) -> None:
        self._tables.setdefault(table, {})[key] = json.dumps(value)
        self.on_put(table)

    def delete(self, table: str, key: str) -> None:
        self._tables.get(table, {}).pop(key, None)

    def items(self, table: str) -> Sequence[tuple[str, dict[str, Any]]]:
        return [(key, json.loads(row)) for key, row in sorted(self._tables.get(table, {}).items())]

    def next_number(self, counter: str) -> int:
        self._counters[counter] = self._counters.get(counter, 0) + 1
        return self._counters[counter]


def chance(random: Random, percent: float) -> bool:
    """True in so many of a hundred cases."""
    return random.random() * 100 < percent
