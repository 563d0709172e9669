"""What the pooler's own login does upstream: see whether it works, end its own connections."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import psycopg

from hanse.drivers.contract import Pool

_STEP_SECONDS = 0.03
_TERMINATE = "SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid"
_TERMINATE_IDLE = (
    "SELECT CASE WHEN state = 'idle' THEN pg_terminate_backend(pid) END FROM pg_stat_activity "
    "WHERE pid = ANY(%s::int[])"
)
_unfinished: set[asyncio.Task[Any]] = set()
"""Conversations whose patience is over; they end by themselves, and nobody waits for it."""


async def answers(pool: Pool, database: str, seconds: float) -> bool:
    """Wait until a login works; False if it did not within so many seconds."""
    return await _within(seconds, _until_answered(pool, database)) is True


async def terminate(pool: Pool, backends: Mapping[str, Sequence[int]], seconds: float) -> None:
    """End these server processes of the own login, by database. Tries, and is not sure of it."""
    ending = (_terminate(pool, database, pids) for database, pids in backends.items())
    await asyncio.gather(*(_within(seconds, one) for one in ending))


def terminate_idle(pool: Pool, backends: Mapping[str, Sequence[int]], seconds: float) -> None:
    """Begin to end these server processes of the own login, each as soon as its transaction is over."""
    for database, pids in backends.items():
        _begin(_bounded(seconds, _terminate_idle(pool, database, pids)))


async def _until_answered(pool: Pool, database: str) -> bool:
    while True:
        try:
            connection = await _connect(pool, database)
        except psycopg.Error as error:
            if f'database "{database}" does not exist' in str(error):
                return True  # the login did work
            await asyncio.sleep(_STEP_SECONDS)
        else:
            await connection.close()
            return True


async def _terminate(pool: Pool, database: str, pids: Sequence[int]) -> None:
    """As itself: a login that becomes another role may end only its own connections while it is itself."""
    async with await _connect(pool, database) as connection:
        await connection.execute("SET ROLE NONE")
        await connection.execute(_TERMINATE, [list(pids)])


async def _terminate_idle(pool: Pool, database: str, pids: Sequence[int]) -> None:
    async with await _connect(pool, database) as connection:
        await connection.execute("SET ROLE NONE")
        left: Sequence[object] = pids
        while left:
            left = await (await connection.execute(_TERMINATE_IDLE, [list(pids)])).fetchall()
            await asyncio.sleep(_STEP_SECONDS / 2)


async def _connect(pool: Pool, database: str) -> psycopg.AsyncConnection[Any]:
    return await psycopg.AsyncConnection.connect(
        host=pool.upstream[0],
        port=pool.upstream[1],
        user=pool.login["user"],
        password=pool.login["password"],
        dbname=database,
        sslmode="disable",
        gssencmode="disable",
        connect_timeout=5,
        autocommit=True,
        application_name="hanse",
    )


async def _within(seconds: float, work: Coroutine[Any, Any, Any]) -> Any:
    """The result, or None once the patience is over or the login failed."""
    task = _begin(work)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        task.cancel()
        return None
    return None if task.cancelled() or task.exception() else task.result()


async def _bounded(seconds: float, work: Coroutine[Any, Any, None]) -> None:
    async with asyncio.timeout(seconds):
        await work


def _begin(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    task = asyncio.create_task(work)
    _unfinished.add(task)
    task.add_done_callback(_heard)
    return task


def _heard(task: asyncio.Task[Any]) -> None:
    _unfinished.discard(task)
    if not task.cancelled():
        task.exception()
