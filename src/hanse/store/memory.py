"""A store in memory: the same promises within one process, nothing kept. For simulations and tests."""

import threading
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from hanse.ports import Transaction
from hanse.store.transaction import Row, RowTransaction

_Undo = Callable[[], None]


class MemoryStore:
    """`ports.Store` in dictionaries, undone by a log when a transaction fails."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._rows = _MemoryRows()
        self._lock = threading.Lock()

    @contextmanager
    def transaction(self, *, read_only: bool = False) -> Iterator[Transaction]:
        """Begin; commit at the end of the block, roll back on an exception."""
        with self._lock:
            transaction = RowTransaction(self._rows, self._now, read_only=read_only)
            try:
                yield transaction
                transaction.refuse_unrecorded()
            except BaseException:
                self._rows.undo_all()
                raise
            self._rows.forget_undo()


class _MemoryRows:
    def __init__(self) -> None:
        self._records: dict[str, dict[str, Row]] = {}
        self._keys: dict[str, list[str]] = {}
        self._entries: list[tuple[int, str, str, str, str]] = []
        self._counters: dict[str, int] = {}
        self._instructions: dict[str, dict[str, tuple[int, int, str]]] = {}
        self._undo: list[_Undo] = []

    def undo_all(self) -> None:
        while self._undo:
            self._undo.pop()()

    def forget_undo(self) -> None:
        self._undo.clear()

    def read(self, kind: str, key: str) -> Row | None:
        return self._records.get(kind, {}).get(key)

    def scan(self, kind: str, state: str | None, prefix: str) -> Sequence[Row]:
        table, keys = self._records.get(kind, {}), self._keys.get(kind, [])
        found = []
        for index in range(bisect_left(keys, prefix), len(keys)):
            if not keys[index].startswith(prefix):
                break
            row = table[keys[index]]
            if state is None or row.state == state:
                found.append(row)
        return found

    def write(self, kind: str, row: Row, expect: int) -> bool:
        old = self.read(kind, row.key)
        if (old.version if old else 0) != expect:
            return False
        self._set(kind, row.key, row)
        self._undo.append(lambda: self._set(kind, row.key, old))
        return True

    def remove(self, kind: str, key: str, expect: int) -> bool:
        old = self.read(kind, key)
        if old is None or old.version != expect:
            return False
        self._set(kind, key, None)
        self._undo.append(lambda: self._set(kind, key, old))
        return True

    def add_entry(self, at: str, kind: str, subject: str, payload: str) -> None:
        self._entries.append((len(self._entries) + 1, at, kind, subject, payload))
        self._undo.append(lambda: self._entries.pop() and None)

    def read_entries(self, subject_prefix: str, limit: int) -> Sequence[tuple[int, str, str, str, str]]:
        found: list[tuple[int, str, str, str, str]] = []
        for entry in reversed(self._entries):
            if len(found) == limit:
                break
            if entry[3].startswith(subject_prefix):
                found.append(entry)
        return found

    def grow(self, counter: str) -> int:
        old = self._counters.get(counter, 0)
        self._counters[counter] = old + 1
        self._undo.append(lambda: self._counters.__setitem__(counter, old))
        return old + 1

    def generation(self, site: str, subject: str) -> int:
        newest = self._instructions.get(site, {}).get(subject)
        return newest[1] if newest else 0

    def put_instruction(self, site: str, subject: str, numbers: tuple[int, int], document: str) -> None:
        at_site = self._instructions.setdefault(site, {})
        old = at_site.get(subject)
        at_site[subject] = (*numbers, document)

        def undo() -> None:
            if old is None:
                del at_site[subject]
            else:
                at_site[subject] = old

        self._undo.append(undo)

    def read_instructions(self, site: str, since: int, limit: int) -> Sequence[tuple[int, str]]:
        found = [
            (serial, document)
            for serial, _, document in self._instructions.get(site, {}).values()
            if serial > since
        ]
        return sorted(found)[:limit]

    def _set(self, kind: str, key: str, row: Row | None) -> None:
        table, keys = self._records.setdefault(kind, {}), self._keys.setdefault(kind, [])
        if row is None:
            del table[key]
            del keys[bisect_left(keys, key)]
            return
        if key not in table:
            insort(keys, key)
        table[key] = row
