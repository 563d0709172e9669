"""What the SQL store and the store in memory have in common: guards, numbers and entries.

A transaction is written against a small `Rows` interface; the two stores differ in nothing else.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from hanse.ledger.entry import ENTRY_KINDS
from hanse.model.replica.instruction import Instruction
from hanse.ports import InstructionBuilder, Temporary


@dataclass(slots=True)
class StoredRecord:
    """A noun as it was read."""

    kind: str
    key: str
    version: int
    state: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """A record's row; `body` is JSON text."""

    key: str
    version: int
    state: str
    body: str


class Rows(Protocol):
    """The least that a place for rows must do. No method commits."""

    def read(self, kind: str, key: str) -> Row | None:
        """One row or None."""
        ...

    def scan(self, kind: str, state: str | None, prefix: str) -> Sequence[Row]:
        """Rows by key order."""
        ...

    def write(self, kind: str, row: Row, expect: int) -> bool:
        """True if the stored version was `expect` and the row is written."""
        ...

    def remove(self, kind: str, key: str, expect: int) -> bool:
        """True if the stored version was `expect` and the row is gone."""
        ...

    def add_entry(self, at: str, kind: str, subject: str, payload: str) -> None:
        """Append to the ledger."""
        ...

    def read_entries(self, subject_prefix: str, limit: int) -> Sequence[tuple[int, str, str, str, str]]:
        """(id, at, kind, subject, payload), newest first."""
        ...

    def grow(self, counter: str) -> int:
        """The counter's next value."""
        ...

    def generation(self, site: str, subject: str) -> int:
        """The newest generation of a subject at a site; 0 if there is none."""
        ...

    def put_instruction(self, site: str, subject: str, numbers: tuple[int, int], document: str) -> None:
        """Keep (serial, generation) and document as the newest of the subject at the site."""
        ...

    def read_instructions(self, site: str, since: int, limit: int) -> Sequence[tuple[int, str]]:
        """(serial, document), oldest first."""
        ...


class UnrecordedChangeError(AssertionError):
    """A transaction wanted to change something without a ledger entry: a fault in Hanse."""


def conflict(kind: str, key: str) -> Temporary:
    """Somebody else wrote first; reading again and trying again is right."""
    return Temporary(
        "conflict", f"{kind} {key} was changed by somebody else at the same moment; try again", 0.05
    )


class RowTransaction:
    """`ports.Transaction` over rows."""

    def __init__(self, rows: Rows, now: Callable[[], datetime], *, read_only: bool) -> None:
        self._rows = rows
        self._now = now
        self._read_only = read_only
        self._changed = False
        self._recorded = False

    def get(self, kind: str, key: str) -> StoredRecord | None:
        """The record or None."""
        row = self._rows.read(kind, key)
        return None if row is None else _record(kind, row)

    def select(self, kind: str, *, state: str | None = None, prefix: str = "") -> Sequence[StoredRecord]:
        """Records by key order, of a state, with keys that start with `prefix`."""
        return [_record(kind, row) for row in self._rows.scan(kind, state, prefix)]

    def put(self, kind: str, key: str, body: Mapping[str, Any], *, state: str = "", expect: int) -> None:
        """Write if the stored version is `expect` (0 = must not exist). Raises Temporary(`conflict`)."""
        self._change()
        text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
        if not self._rows.write(kind, Row(key, expect + 1, state, text), expect):
            raise conflict(kind, key)

    def delete(self, kind: str, key: str, *, expect: int) -> None:
        """Remove under the same guard."""
        self._change()
        if not self._rows.remove(kind, key, expect):
            raise conflict(kind, key)

    def append_entry(self, kind: str, subject: str, payload: Mapping[str, Any]) -> None:
        """A ledger entry of this transaction. Raises ValueError for a kind that the ledger does not know."""
        if kind not in ENTRY_KINDS:
            raise ValueError(f"{kind!r} is not a kind of ledger entry")
        self._change()
        self._recorded = True
        text = json.dumps(payload, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
        self._rows.add_entry(self._now().isoformat(), kind, subject, text)

    def entries(self, subject_prefix: str, limit: int = 200) -> Sequence[dict[str, Any]]:
        """Ledger entries, newest first: `{id, at, kind, subject, payload}`."""
        return [
            {"id": number, "at": at, "kind": kind, "subject": subject, "payload": json.loads(payload)}
            for number, at, kind, subject, payload in self._rows.read_entries(subject_prefix, limit)
        ]

    def issue(self, site: str, subject: str, build: InstructionBuilder) -> Instruction:
        """Number an instruction (serial and generation grow), sign and store it as bytes."""
        self._change()
        serial = self._rows.grow("serial")
        generation = self._rows.generation(site, subject) + 1
        instruction, document = build(serial, generation)
        self._rows.put_instruction(site, subject, (serial, generation), document)
        return instruction

    def instructions(self, site: str, since: int, limit: int = 100) -> Sequence[tuple[int, str]]:
        """(serial, JWS) for a site, oldest first; only the newest of each subject."""
        return self._rows.read_instructions(site, since, limit)

    def next_number(self, counter: str) -> int:
        """1, 2, 3 … within the store."""
        self._change()
        return self._rows.grow(f"number:{counter}")

    def refuse_unrecorded(self) -> None:
        """Called before commit. Raises UnrecordedChangeError if the ledger knows nothing of a change."""
        if self._changed and not self._recorded:
            raise UnrecordedChangeError("a change without its ledger entry is refused")

    def _change(self) -> None:
        if self._read_only:
            raise UnrecordedChangeError("a read-only transaction cannot write")
        self._changed = True


def _record(kind: str, row: Row) -> StoredRecord:
    return StoredRecord(kind, row.key, row.version, row.state, json.loads(row.body))
