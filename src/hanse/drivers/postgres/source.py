"""A source as its follower sees it: facts and slots, over SQL through the tunnel. Blocking: for threads."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hanse.drivers.postgres.record import Login
from hanse.drivers.postgres.server.control import Position, lsn_of
from hanse.drivers.postgres.server.program import machine_of
from hanse.drivers.postgres.server.settings import ADMIN_DATABASE
from hanse.drivers.postgres.session import library
from hanse.ports import Permanent, Temporary

if TYPE_CHECKING:
    from psycopg import Connection

T = TypeVar("T")
_CONNECT_SECONDS = 10

_FACTS = """
select current_setting('server_version_num')::int / 10000, version(),
       coalesce((select sum(pg_database_size(oid)) from pg_database), 0)::bigint,
       (select count(*) from pg_database where datname not in ('template0', 'template1', %s)),
       (select wal_status from pg_replication_slots where slot_name = %s),
       case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_flush_lsn() end
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a source says of itself."""

    major: int
    machine: str
    """Its processor, as `x86_64`."""
    bytes_total: int
    databases: int
    slot: str | None
    """`reserved`, `extended`, `unreserved`, `lost`; None if there is no slot for this follower."""
    position: Position


class Interrupted(Temporary):
    """Somebody here wants to do something else with the replica."""


class Stop:
    """Ends a thread's waiting for a source."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._links: list[Link] = []

    def add(self, link: "Link") -> None:
        """End this one, too."""
        self._links.append(link)
        self.check()

    def check(self) -> None:
        """Raises Interrupted once `now` was called."""
        if self._event.is_set():
            raise Interrupted("interrupted", "The copy of a database was interrupted here.", 0.5)

    def now(self) -> None:
        """Break off."""
        self._event.set()
        for link in self._links:
            link.shut()


class Link:
    """One connection to a source."""

    def __init__(self, connection: "Connection[Any]") -> None:
        self.connection = connection

    def facts(self, slot: str) -> Facts:
        """What the source says of itself now."""
        with self.connection.cursor() as cursor:
            identity: Any = cursor.execute("IDENTIFY_SYSTEM").fetchone()
            row: Any = cursor.execute(_FACTS, (ADMIN_DATABASE, slot)).fetchone()
        position = Position(int(identity[0]), int(identity[1]), lsn_of(str(row[5])))
        return Facts(int(row[0]), machine_of(str(row[1])), int(row[2]), int(row[3]), row[4], position)

    def renew_slot(self, slot: str) -> None:
        """A fresh slot that keeps the source's log from its last checkpoint on."""
        self.drop_slot(slot)
        self._say(f"CREATE_REPLICATION_SLOT {slot} PHYSICAL (RESERVE_WAL)")

    def drop_slot(self, slot: str) -> None:
        """The source keeps no log for this follower any more."""
        query = "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %s"
        stop = "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = %s"
        with self.connection.cursor() as cursor:
            found = cursor.execute(
                "select active_pid from pg_replication_slots where slot_name = %s", (slot,)
            ).fetchone()
            if found is not None and found[0] is not None:
                cursor.execute(stop, (slot,))
            if found is not None:
                cursor.execute(query, (slot,))

    def fork(self, timeline: int, of: int) -> int | None:
        """Where the source's timeline `of` left `timeline`; None if it does not descend from it."""
        with self.connection.cursor() as cursor:
            row = cursor.execute(f"TIMELINE_HISTORY {int(of)}").fetchone() or ("", b"")
        text = bytes(row[1]).decode() if isinstance(row[1], bytes | memoryview) else str(row[1])
        for line in text.splitlines():
            words = line.split()
            if len(words) > 1 and words[0] == str(timeline):
                return lsn_of(words[1])
        return None

    def shut(self) -> None:
        """Break the connection from another thread."""
        with suppress(OSError, library().Error):
            handle = os.dup(self.connection.fileno())
            with socket.socket(fileno=handle) as half:
                half.shutdown(socket.SHUT_RDWR)

    def _say(self, command: Any) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(command)


@contextmanager
def link(sockets: Path, login: Login, stop: Stop) -> Iterator[Link]:
    """A connection for the block. Raises Temporary(`source-silent`), Interrupted, Permanent."""
    error_class = library().Error
    handle = os.open(sockets, os.O_PATH | os.O_DIRECTORY)
    try:
        stop.check()
        connection = library().connect(
            host=f"/proc/self/fd/{handle}", port=5432, user=login.user, password=login.password,
            dbname=ADMIN_DATABASE, replication="database", autocommit=True,
            connect_timeout=_CONNECT_SECONDS, cursor_factory=library().ClientCursor,
            sslmode="disable", gssencmode="disable", client_encoding="utf8",
        )  # fmt: skip
        with connection:
            made = Link(connection)
            stop.add(made)
            yield made
    except error_class as error:
        stop.check()
        raise _in_two_words(error) from error
    finally:
        os.close(handle)


async def in_thread(work: Callable[[], T], stop: Stop) -> T:
    """Run blocking work; a cancelled call ends it before it goes on."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.now()
        with suppress(Temporary, Permanent, OSError):
            await task
        raise


def _in_two_words(error: Any) -> Exception:
    text = " ".join(str(error).split())[:300]
    if getattr(error, "sqlstate", None) in {"28P01", "28000"} or "authentication failed" in text:
        return Temporary(
            "source-refuses", f"The followed database does not accept this site's login (yet): {text}", 2.0
        )
    if getattr(error, "sqlstate", None) is not None:
        return Temporary("source-refuses", f"The followed database refuses a step: {text}", 5.0)
    return Temporary("source-silent", f"The followed database cannot be reached: {text}", 2.0)
