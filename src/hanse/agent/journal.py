"""The agent's durable memory: one sqlite3 file that survives a power cut."""

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hanse.ports import Permanent, Temporary

_SCHEMA = """
CREATE TABLE IF NOT EXISTS document (
    place TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (place, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
_MODE = 0o600


class SqliteJournal:
    """`ports.Journal` on one file, readable by its owner only. One process at a time.

    Raises Permanent(`journal-in-use`) when another agent holds the file, and
    Permanent(`journal-unreadable`) when the file is not a journal. A write that the disk refuses
    raises Temporary(`journal-not-written`); who must know whether it is there reads it back.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, _MODE))
        path.chmod(_MODE)
        self._database = sqlite3.connect(path, isolation_level=None, timeout=0.0)
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._database.close()
            raise _unusable(path, error) from error

    def _prepare(self) -> None:
        run = self._database.execute
        run("PRAGMA locking_mode=EXCLUSIVE")
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=FULL")
        self._database.executescript(_SCHEMA)
        run("INSERT INTO counter VALUES ('opened', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1")

    def get(self, table: str, key: str) -> dict[str, Any] | None:
        """A document or None."""
        row = self._database.execute(
            "SELECT value FROM document WHERE place = ? AND key = ?", (table, key)
        ).fetchone()
        return None if row is None else json.loads(row[0])

    def put(self, table: str, key: str, value: Mapping[str, Any]) -> None:
        """Insert or replace, on disk when this returns."""
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        with self._writing():
            self._database.execute(
                "INSERT INTO document VALUES (?, ?, ?)"
                " ON CONFLICT (place, key) DO UPDATE SET value = excluded.value",
                (table, key, text),
            )

    def delete(self, table: str, key: str) -> None:
        """Gone; no error if it never was."""
        with self._writing():
            self._database.execute("DELETE FROM document WHERE place = ? AND key = ?", (table, key))

    def items(self, table: str) -> Sequence[tuple[str, dict[str, Any]]]:
        """All of a table, by key."""
        rows = self._database.execute(
            "SELECT key, value FROM document WHERE place = ? ORDER BY key", (table,)
        ).fetchall()
        return [(key, json.loads(value)) for key, value in rows]

    def next_number(self, counter: str) -> int:
        """1, 2, 3 …; never the same twice, also after a crash."""
        with self._writing():
            row = self._database.execute(
                "INSERT INTO counter VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1"
                " RETURNING value",
                (counter,),
            ).fetchone()
        return int(row[0])

    def close(self) -> None:
        """Let go of the file; another agent may open it."""
        self._database.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise _not_written(self._path, error) from error


def _not_written(path: Path, error: sqlite3.Error) -> Temporary:
    return Temporary(
        "journal-not-written",
        f"This site cannot write its journal {path}: {error}. Free space on that disk;"
        " until then it serves what it serves and takes no new role.",
        delay_seconds=5.0,
    )


def _unusable(path: Path, error: sqlite3.Error) -> Permanent | Temporary:
    if "locked" in str(error) or "busy" in str(error):
        return Permanent(
            "journal-in-use",
            f"Another agent already runs on {path}. Stop it with `hanse site stop`, or use another --dir.",
        )
    if "disk is full" in str(error):
        return _not_written(path, error)
    return Permanent(
        "journal-unreadable",
        f"{path} cannot be used as this site's journal: {error}. Put back a copy of it from before;"
        " without it the site cannot know which epochs it gave away, so it must not start.",
    )
