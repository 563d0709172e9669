"""Clients of a real pooler while the database behind it becomes another one."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from pooler_bench import NAMES, OWN, RealBench, Writer, pool

pytestmark = pytest.mark.real


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[RealBench]:
    made = RealBench(tmp_path)
    await made.pooler.hold((pool(made),))
    yield made
    await asyncio.wait_for(made.end(), 60)


async def switch(bench: RealBench, database: int, clients: str = "transaction-safe") -> bool:
    quiet = await bench.pooler.pause(NAMES[0], 2.0)
    await bench.pooler.hold((pool(bench, database=database, clients=clients),))
    await bench.pooler.resume(NAMES[0])
    return quiet


async def test_four_writers_see_no_error_and_lose_nothing_in_six_switches(bench: RealBench) -> None:
    writers = [Writer(bench, number) for number in range(4)]
    quiet = []
    for database in (1, 0, 1, 0, 1, 0):
        await asyncio.sleep(0.3)
        quiet.append(await switch(bench, database))
    for writer in writers:
        await writer.finish()
    assert all(quiet)
    assert [writer.errors for writer in writers] == [[]] * 4
    acknowledged = [text for writer in writers for text in writer.acknowledged]
    assert sorted(bench.stored(0) + bench.stored(1)) == sorted(acknowledged)
    assert bench.stored(1)
    assert max(writer.slowest_seconds for writer in writers) < 15


async def test_session_clients_are_dropped_and_come_back_at_once(bench: RealBench) -> None:
    await bench.pooler.hold((pool(bench, clients="session"),))
    writers = [Writer(bench, number) for number in range(3)]
    await asyncio.sleep(0.5)
    assert not await switch(bench, 1, "session")
    await asyncio.sleep(0.5)
    for writer in writers:
        await writer.finish()
    assert [len(writer.errors) for writer in writers] == [1, 1, 1]
    assert max(seconds for writer in writers for seconds in writer.reconnected_seconds) < 5
    stored = set(bench.stored(0) + bench.stored(1))
    assert stored >= {text for writer in writers for text in writer.acknowledged}


async def test_a_session_ends_its_transaction_before_it_is_dropped(bench: RealBench) -> None:
    await bench.pooler.hold((pool(bench, clients="session"),))
    idle = await bench.connect(0)
    await idle.execute("SELECT 1")
    running = asyncio.create_task(bench.write(0, "committed", seconds=1.0))
    await asyncio.sleep(0.4)
    begun = time.monotonic()
    assert not await bench.pooler.pause(NAMES[0], 20.0)
    assert time.monotonic() - begun < 15
    await running
    assert bench.stored(0) == ["committed"]
    with pytest.raises(psycopg.OperationalError):
        await idle.execute("SELECT 1")


async def test_a_session_keeps_its_state_until_a_switch(bench: RealBench) -> None:
    await bench.pooler.hold((pool(bench, clients="session"),))
    first, second = await bench.connect(0), await bench.connect(0)
    await first.execute("SELECT pg_advisory_lock(7)")
    await first.execute("PREPARE answer AS SELECT 42")
    await second.execute("SELECT 1")
    assert await (await first.execute("EXECUTE answer")).fetchone() == (42,)
    await switch(bench, 0, "session")
    back = await bench.connect(0)
    assert await (await back.execute("SELECT pg_try_advisory_lock(7)")).fetchone() == (True,)
    for one in (first, second, back):
        await one.close()


async def test_who_idles_in_a_transaction_is_cut_off_after_the_deadline(bench: RealBench) -> None:
    idle, writer = await bench.connect(0), Writer(bench, 1)
    await idle.execute("BEGIN")
    await idle.execute("INSERT INTO written VALUES ('never committed')")
    begun = time.monotonic()
    assert not await bench.pooler.pause(NAMES[0], 0.5)
    assert 0.5 <= time.monotonic() - begun < 15
    assert bench.databases[0].connections() == 0
    await bench.pooler.resume(NAMES[0])
    with pytest.raises(psycopg.OperationalError):
        await idle.execute("COMMIT")
    await writer.finish()
    assert writer.errors == []
    assert "never committed" not in bench.stored(0)


async def test_who_connects_during_a_pause_waits_and_gets_in(bench: RealBench) -> None:
    await bench.pooler.pause(NAMES[0], 1.0)
    waiting = [asyncio.create_task(bench.write(0, f"new {number}")) for number in range(30)]
    await asyncio.sleep(0.3)
    await bench.pooler.hold((pool(bench, database=1),))
    await bench.pooler.resume(NAMES[0])
    await asyncio.gather(*waiting)
    assert len(bench.stored(1)) == 30


async def test_a_login_that_does_not_work_yet_is_waited_for(bench: RealBench) -> None:
    """The moment after a promotion: clients are held as before, and see no error."""
    writers = [Writer(bench, number) for number in range(4)]
    await asyncio.sleep(0.3)
    await bench.pooler.pause(NAMES[0], 1.0)
    later = replace(pool(bench, database=1), login={"user": "later", "password": "later"})
    await bench.pooler.hold((later,))
    resuming = asyncio.create_task(bench.pooler.resume(NAMES[0]))
    await asyncio.sleep(0.5)
    bench.databases[1].allow("later", "later")
    await resuming
    await asyncio.sleep(0.3)
    for writer in writers:
        await writer.finish()
    assert [writer.errors for writer in writers] == [[]] * 4
    assert bench.stored(1)


async def test_a_changed_login_without_a_pause_breaks_nobody(bench: RealBench) -> None:
    writers = [Writer(bench, number) for number in range(4)]
    await asyncio.sleep(0.3)
    for number in range(3):
        login = bench.databases[0].allow(f"next{number}", "other")
        await bench.pooler.hold((replace(pool(bench), login=login),))
        await asyncio.sleep(0.3)
    for writer in writers:
        await writer.finish()
    assert [writer.errors for writer in writers] == [[]] * 4
    assert sorted(bench.stored(0)) == sorted(text for one in writers for text in one.acknowledged)


async def test_a_changed_password_alone_is_used_for_new_connections(bench: RealBench) -> None:
    await bench.write(0, "before")
    bench.databases[0].root("postgres", "ALTER ROLE w0 PASSWORD 'new'")
    await bench.pooler.hold((replace(pool(bench), login={"user": "w0", "password": "new"}),))
    bench.databases[0].root(
        "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'w0'"
    )
    await bench.write(0, "after")
    assert bench.stored(0) == ["before", "after"]


async def test_any_database_of_the_cluster_is_passed_on_and_paused_with_the_others(bench: RealBench) -> None:
    bench.databases[0].root("postgres", "CREATE DATABASE images")
    connection = await bench.connect(0, dbname="images")
    assert await (await connection.execute("SELECT current_database()")).fetchone() == ("images",)
    await bench.write(0, "shop")
    assert await bench.pooler.pause(NAMES[0], 1.0)
    assert bench.databases[0].connections() == 0
    asking = asyncio.create_task(connection.execute("SELECT 1"))
    await asyncio.sleep(0.2)
    assert not asking.done()
    await bench.pooler.resume(NAMES[0])
    await asyncio.wait_for(asking, 5)
    await connection.close()


async def test_a_drivers_wish_is_ignored_and_what_would_change_data_is_refused(
    bench: RealBench,
) -> None:
    host, port = bench.listens[0]
    words = f"host={host} port={port} user={OWN['user']} dbname=shop"
    secret = {"password": OWN["password"]}
    with pytest.raises(psycopg.OperationalError, match="unsupported startup parameter: options"):
        await psycopg.AsyncConnection.connect(words, options="-c search_path=other", **secret)
    assert (await bench.pooler.probe()).missing == ()
    reply = await asyncio.to_thread(startup_reply, (host, port), b"extra_float_digits\0003\0")
    assert reply.startswith(b"R")
    reply = await asyncio.to_thread(startup_reply, (host, port), b"search_path\0other\0")
    assert b"unsupported startup parameter: search_path" in reply


def startup_reply(address: tuple[str, int], parameter: bytes) -> bytes:
    """The first words to somebody who sends this parameter when it connects."""
    body = (196608).to_bytes(4, "big") + b"user\0web\0database\0shop\0" + parameter + b"\0"
    with socket.create_connection(address, 5) as line:
        line.sendall((len(body) + 4).to_bytes(4, "big") + body)
        return line.recv(4096)
