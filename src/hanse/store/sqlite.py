"""The hub's memory in one SQLite file: WAL, every commit on the disk before it returns."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.pool import ConnectionPoolEntry

from hanse.ports import Temporary, Transaction
from hanse.store import schema
from hanse.store.transaction import Row, RowTransaction

_LAST = "\U0010ffff"
BUSY_SECONDS = 10.0


class SqliteStore:
    """`ports.Store` over SQLAlchemy. Safe for many threads; writers take turns."""

    def __init__(self, file: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Open or make the file (mode 0600) and bring its tables up to date."""
        self._now = now
        self._writers = threading.Lock()
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
        self._engine = sa.create_engine(f"sqlite:///{file}", pool_size=8, max_overflow=32)
        sa.event.listen(self._engine, "connect", _prepare)
        self._migrate()

    @contextmanager
    def transaction(self, *, read_only: bool = False) -> Iterator[Transaction]:
        """Begin; commit after the block, roll back on an exception. Raises Temporary(`store-busy`)."""
        if read_only:
            with self._engine.connect() as connection:
                connection.exec_driver_sql("BEGIN")
                try:
                    yield RowTransaction(_SqlRows(connection), self._now, read_only=True)
                finally:
                    connection.exec_driver_sql("ROLLBACK")
            return
        if not self._writers.acquire(timeout=BUSY_SECONDS):
            raise Temporary("store-busy", "the hub's store is busy; try again")
        try:
            with self._engine.connect() as connection:
                yield from self._write(connection)
        except sa.exc.OperationalError as error:
            raise Temporary(
                "store-failed",
                f"The hub could not write its store: {error.orig}. Nothing was changed. "
                "Is the disk of the hub's directory full?",
                delay_seconds=5.0,
            ) from error
        finally:
            self._writers.release()

    def _write(self, connection: sa.Connection) -> Iterator[Transaction]:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        transaction = RowTransaction(_SqlRows(connection), self._now, read_only=False)
        try:
            yield transaction
            transaction.refuse_unrecorded()
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        connection.exec_driver_sql("COMMIT")

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()

    def _migrate(self) -> None:
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.exec_driver_sql("COMMIT")


def _prepare(connection: SqliteConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions begin and end where this module says
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={int(BUSY_SECONDS * 1000)}",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


class _SqlRows:
    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def read(self, kind: str, key: str) -> Row | None:
        table = schema.record.c
        found = self._connection.execute(
            sa.select(table.key, table.version, table.state, table.body).where(
                table.kind == kind, table.key == key
            )
        ).first()
        return None if found is None else Row(*found)

    def scan(self, kind: str, state: str | None, prefix: str) -> Sequence[Row]:
        table = schema.record.c
        query = (
            sa.select(table.key, table.version, table.state, table.body)
            .where(table.kind == kind, table.key >= prefix, table.key < prefix + _LAST)
            .order_by(table.key)
        )
        if state is not None:
            query = query.where(table.state == state)
        return [Row(*found) for found in self._connection.execute(query)]

    def write(self, kind: str, row: Row, expect: int) -> bool:
        values: dict[str, Any] = {"version": row.version, "state": row.state, "body": row.body}
        if expect == 0:
            statement: sa.Insert | sa.Update = (
                insert(schema.record).values(kind=kind, key=row.key, **values).on_conflict_do_nothing()
            )
        else:
            statement = sa.update(schema.record).where(*_guard(kind, row.key, expect)).values(**values)
        return self._connection.execute(statement).rowcount == 1

    def remove(self, kind: str, key: str, expect: int) -> bool:
        statement = sa.delete(schema.record).where(*_guard(kind, key, expect))
        return self._connection.execute(statement).rowcount == 1

    def add_entry(self, at: str, kind: str, subject: str, payload: str) -> None:
        self._connection.execute(
            sa.insert(schema.entry).values(at=at, kind=kind, subject=subject, payload=payload)
        )

    def read_entries(self, subject_prefix: str, limit: int) -> Sequence[tuple[int, str, str, str, str]]:
        table = schema.entry.c
        query = (
            sa.select(table.id, table.at, table.kind, table.subject, table.payload)
            .where(table.subject >= subject_prefix, table.subject < subject_prefix + _LAST)
            .order_by(table.id.desc())
            .limit(limit)
        )
        return [
            (row.id, row.at, row.kind, row.subject, row.payload) for row in self._connection.execute(query)
        ]

    def grow(self, counter: str) -> int:
        statement = (
            insert(schema.counter)
            .values(name=counter, value=1)
            .on_conflict_do_update(index_elements=["name"], set_={"value": schema.counter.c.value + 1})
            .returning(schema.counter.c.value)
        )
        return int(self._connection.execute(statement).scalar_one())

    def generation(self, site: str, subject: str) -> int:
        table = schema.instruction.c
        query = sa.select(table.generation).where(table.site == site, table.subject == subject)
        return int(self._connection.execute(query).scalar() or 0)

    def put_instruction(self, site: str, subject: str, numbers: tuple[int, int], document: str) -> None:
        values = {"serial": numbers[0], "generation": numbers[1], "document": document}
        statement = insert(schema.instruction).values(site=site, subject=subject, **values)
        self._connection.execute(
            statement.on_conflict_do_update(index_elements=["site", "subject"], set_=values)
        )

    def read_instructions(self, site: str, since: int, limit: int) -> Sequence[tuple[int, str]]:
        table = schema.instruction.c
        query = (
            sa.select(table.serial, table.document)
            .where(table.site == site, table.serial > since)
            .order_by(table.serial)
            .limit(limit)
        )
        return [(row.serial, row.document) for row in self._connection.execute(query)]


def _guard(kind: str, key: str, expect: int) -> tuple[sa.ColumnElement[bool], ...]:
    table = schema.record.c
    return (table.kind == kind, table.key == key, table.version == expect)
