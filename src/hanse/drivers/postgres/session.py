"""Speaking SQL to the replica's own server, as its superuser, over its private socket. Always bounded."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from hanse.drivers.postgres.failure import disk_full
from hanse.drivers.postgres.server.cluster import Cluster
from hanse.drivers.postgres.server.settings import ADMIN_DATABASE, SUPERUSER
from hanse.ports import Temporary

if TYPE_CHECKING:
    from psycopg import AsyncConnection

_FULL = {"53100"}
_STARTING = {"57P03"}


def library() -> Any:
    """psycopg, loaded at the first use: a site without databases does not pay for it."""
    return importlib.import_module("psycopg")


class NotYet(Temporary):
    """The server lives and is starting, stopping or replaying its log."""


@asynccontextmanager
async def session(
    cluster: Cluster, port: int, database: str = ADMIN_DATABASE, seconds: float = 5.0, **words: str
) -> AsyncIterator["AsyncConnection[Any]"]:
    """A connection for the block, which takes no longer than `seconds`; each statement commits.

    `words`: more of libpq's.
    Raises NotYet, Temporary(`database-silent`), Temporary(`database-refuses`), Permanent(`disk-full`).
    """
    error_class = library().Error
    try:
        # the directory stays open as long as the connection: a cancelled query is cancelled through it, too
        async with asyncio.timeout(seconds):
            with cluster.sockets() as directory:
                connection = await library().AsyncConnection.connect(
                    host=str(directory), port=port, user=SUPERUSER, dbname=database,
                    autocommit=True, connect_timeout=max(2, int(seconds)),
                    client_encoding="utf8", application_name="hanse", **words,
                )  # fmt: skip
                try:
                    yield connection
                finally:
                    await connection.close()
    except TimeoutError as error:
        raise Temporary(
            "database-silent", f"A database did not answer within {seconds:.0f} seconds.", 2.0
        ) from error
    except FileNotFoundError as error:
        raise Temporary("database-refuses", "A database's socket is not there.", 2.0) from error
    except error_class as error:
        raise in_two_words(error) from error


def in_two_words(error: Any) -> Exception:
    """A server's refusal as the failure that a driver may raise."""
    state = getattr(error, "sqlstate", None)
    text = " ".join(str(error).split())[:300]
    if state in _FULL or "No space left on device" in text:
        return disk_full("the disk of this site is full")
    if state in _STARTING or "the database system is" in text or "not yet accepting" in text:
        return NotYet("database-starting", f"A database is not ready yet: {text}", 1.0)
    return Temporary("database-refuses", f"A database refuses a step: {text}", 2.0)


async def first_answer(cluster: Cluster, port: int, seconds: float) -> bool:
    """Whether the server is in recovery. One that was just started has so long to begin to listen.

    Raises NotYet, Temporary(`database-silent`, `database-refuses`).
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        try:
            async with session(cluster, port, "template1", max(0.1, deadline - loop.time())) as connection:
                row: Any = await (await connection.execute("select pg_is_in_recovery()")).fetchone()
                return bool(row[0])
        except Temporary as failure:
            if failure.code != "database-refuses" or loop.time() > deadline or cluster.running() is None:
                raise
        await asyncio.sleep(0.05)


async def wait_until(
    cluster: Cluster,
    port: int,
    ready: Callable[[bool], bool],
    *,
    database: str = ADMIN_DATABASE,
    seconds: float = 60.0,
) -> None:
    """Return once the server answers and `ready(is it in recovery?)`.

    Raises Temporary: `database-not-started` if it ends, `database-starting` if it takes longer than
    `seconds` and goes on, `disk-full`.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    why = ""
    while True:
        try:
            async with session(cluster, port, database, 3.0) as connection:
                row = await (await connection.execute("select pg_is_in_recovery()")).fetchone()
                if row is not None and ready(bool(row[0])):
                    return
        except Temporary as failure:
            why = failure.message
        if loop.time() > deadline or cluster.running() is None:
            said = cluster.log(3) or why
            if "No space left on device" in said:
                raise Temporary(
                    "disk-full",
                    "The disk of this site is full, so a database cannot run. Free space, and it goes on.",
                    10.0,
                )
            if cluster.running() is not None:
                raise Temporary("database-starting", f"The database is still starting: {said}", 5.0)
            raise Temporary("database-not-started", f"The database did not start: {said}", 5.0)
        await asyncio.sleep(0.01)
