"""A real pooler's process, files and secrets: what outlives what, and who may read it."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from pooler_bench import NAMES, OWN, RealBench, Way, Writer, pool

from hanse.drivers.identity import ProcessMark
from hanse.ports import Permanent, Temporary

pytestmark = pytest.mark.real


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[RealBench]:
    made = RealBench(tmp_path)
    await made.pooler.hold((pool(made),))
    yield made
    await asyncio.wait_for(made.end(), 60)


def of_process(mark: ProcessMark | None, name: str) -> str:
    assert mark is not None
    return Path(f"/proc/{mark.pid}/{name}").read_text()


async def test_the_process_outlives_the_agent_and_is_not_started_twice(bench: RealBench) -> None:
    before, connection = bench.mark(0), await bench.connect(0)
    bench.pooler = bench.restarted()
    await bench.pooler.hold((pool(bench),))
    await bench.pooler.hold((pool(bench, database=1),))
    await connection.execute("INSERT INTO written VALUES ('same connection')")
    await connection.close()
    assert bench.mark(0) == before
    assert bench.stored(1) == ["same connection"]


async def test_other_clients_or_another_port_take_a_new_process(bench: RealBench) -> None:
    before = bench.mark(0)
    await bench.pooler.hold((pool(bench, clients="session"),))
    between = bench.mark(0)
    moved = (bench.listens[0][0], bench.listens[0][1] + 1)
    await bench.pooler.hold((replace(pool(bench), listen=moved),))
    assert len({before, between, bench.mark(0)}) == 3
    with pytest.raises(psycopg.OperationalError):
        await bench.connect(0)


async def test_a_killed_one_that_was_paused_comes_back_paused(bench: RealBench) -> None:
    await bench.pooler.pause(NAMES[0], 1.0)
    await bench.kill(0)
    assert await bench.pooler.pause(NAMES[0], 1.0)
    await bench.pooler.hold((pool(bench),))
    waiting = asyncio.create_task(bench.write(0, "held"))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await bench.pooler.resume(NAMES[0])
    await asyncio.wait_for(waiting, 5)


async def test_a_hanging_one_holds_nobody_up_and_is_started_anew(bench: RealBench) -> None:
    mark = bench.mark(0)
    assert mark is not None
    mark.signal(signal.SIGSTOP)
    for asked in (bench.pooler.pause(NAMES[0], 1.0), bench.pooler.resume(NAMES[0])):
        begun = time.monotonic()
        with pytest.raises(Temporary, match="does not answer"):
            await asked
        assert time.monotonic() - begun < 30
    await bench.pooler.hold((pool(bench),))
    assert bench.mark(0) != mark
    await bench.write(0, "again")


async def test_one_that_hangs_does_not_keep_another_from_being_paused(bench: RealBench) -> None:
    await bench.pooler.hold((pool(bench), pool(bench, consumer=1)))
    mark = bench.mark(0)
    assert mark is not None
    mark.signal(signal.SIGSTOP)
    healing = asyncio.create_task(bench.pooler.hold((pool(bench), pool(bench, consumer=1))))
    await asyncio.sleep(0.1)
    assert await bench.pooler.pause(NAMES[1], 1.0)
    assert not healing.done()
    await healing


async def test_a_taken_port_is_named_and_the_other_pool_is_held(bench: RealBench) -> None:
    with socket.create_server((bench.listens[1][0], 0)) as taken:
        port = taken.getsockname()[1]
        wanted = replace(pool(bench, consumer=1), listen=(bench.listens[1][0], port))
        with pytest.raises(Permanent, match=str(port)) as caught:
            await bench.pooler.hold((wanted, pool(bench, database=1)))
    assert caught.value.code == "port-taken"
    await bench.write(0, "held")
    assert bench.stored(1) == ["held"]


async def test_an_address_that_is_not_here_is_named(bench: RealBench) -> None:
    with pytest.raises(Permanent, match=r"192\.0\.2\.1") as caught:
        await bench.pooler.hold((replace(pool(bench), listen=("192.0.2.1", 5432)),))
    assert caught.value.code == "address-unusable"


async def test_secrets_are_in_files_of_the_owner_and_nowhere_else(bench: RealBench) -> None:
    await bench.write(0, "something to log")
    await bench.pooler.pause(NAMES[0], 1.0)
    secrets = (OWN["password"], bench.logins[0]["password"])
    place, mark = bench.place(0), bench.mark(0)
    assert mark is not None
    seen = of_process(mark, "cmdline") + of_process(mark, "environ")
    seen += (place / "pooler.log").read_text() + (place / "pool.json").read_text()
    assert not [secret for secret in secrets if secret in seen]
    assert not [secret for secret in secrets if secret in repr(pool(bench))]
    for directory in (bench.directory, place, place / "work"):
        assert directory.stat().st_mode & 0o077 == 0
    for file in (one for one in place.rglob("*") if one.is_file()):
        assert file.stat().st_mode & 0o077 == 0, file


async def test_each_process_has_a_user_of_its_own_and_no_rights(bench: RealBench) -> None:
    await bench.pooler.hold((pool(bench), pool(bench, consumer=1)))
    status = [of_process(mark, "status") for mark in (bench.mark(0), bench.mark(1))]
    users = {text.partition("Uid:")[2].split()[0] for text in status}
    assert len(users) == 2
    assert str(os.geteuid()) not in users
    for text in status:
        assert text.partition("CapBnd:")[2].split()[0] == "0" * 16
        assert text.partition("NoNewPrivs:")[2].split()[0] == "1"


async def test_the_console_answers_nobody_from_the_network(bench: RealBench) -> None:
    for user in ("hanse_agent", OWN["user"], "pgbouncer"):
        with pytest.raises(psycopg.OperationalError, match=r"rejected|not allowed"):
            await bench.connect(0, user=user, dbname="pgbouncer")


async def test_stopping_leaves_no_process_and_no_file(bench: RealBench) -> None:
    await bench.pooler.hold((pool(bench), pool(bench, consumer=1)))
    marks = [bench.mark(0), bench.mark(1)]
    bench.pooler = bench.restarted()
    await bench.pooler.stop()
    assert not [mark for mark in marks if mark is None or mark.alive()]
    assert list(bench.directory.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"own": {"user": "web", "password": 'x"\n"hanse_agent" "y'}},
        {"own": {"user": "hanse_agent", "password": "x"}},
        {"login": {"user": "w0", "password": "x'\n[pgbouncer]\nadmin_users = web"}},
        {"login": {"user": "", "password": "x"}},
        {"upstream": ("localhost; exit", 5432)},
        {"upstream": ("127.0.0.1", 0)},
        {"name": "../../etc"},
        {"name": "a b"},
    ],
)
async def test_a_value_that_no_pool_can_have_changes_nothing(
    bench: RealBench, change: dict[str, str]
) -> None:
    before = (bench.place(0) / "work/pgbouncer.ini").read_bytes()
    wanted = replace(pool(bench), **change)
    with pytest.raises(Permanent) as caught:
        await bench.pooler.hold((wanted,))
    assert caught.value.code == "pool-invalid"
    assert (bench.place(0) / "work/pgbouncer.ini").read_bytes() == before
    await bench.write(0, "as before")


async def test_a_database_name_full_of_signs_harms_nobody(bench: RealBench) -> None:
    for name in ("x\nadmin_users=web", "'; --", "*", "pgbouncer", "x" * 200):
        with pytest.raises(psycopg.OperationalError):
            await asyncio.wait_for(bench.connect(0, dbname=name), 10)
    await bench.pooler.hold((pool(bench, database=1),))
    await bench.write(0, "on")
    assert bench.stored(1) == ["on"]


async def test_a_way_that_is_cut_bounds_a_pause_and_a_resume(bench: RealBench) -> None:
    way = Way(bench.upstreams[0])
    upstream = await way.start()
    await bench.pooler.hold((replace(pool(bench), upstream=upstream),))
    running = asyncio.create_task(bench.write(0, "during the cut", seconds=0.5))
    await asyncio.sleep(0.3)
    way.cut()
    begun = time.monotonic()
    assert not await bench.pooler.pause(NAMES[0], 0.5)
    assert time.monotonic() - begun < 20
    begun = time.monotonic()
    await bench.pooler.resume(NAMES[0])
    assert time.monotonic() - begun < 20
    way.mend()
    await asyncio.wait_for(running, 10)
    await asyncio.wait_for(bench.write(0, "after it"), 10)
    await way.stop()


async def test_a_long_pause_of_one_does_not_hold_up_what_is_held_anew(bench: RealBench) -> None:
    both = (pool(bench), pool(bench, consumer=1))
    await bench.pooler.hold(both)
    running = asyncio.create_task(bench.write(0, "long", seconds=3))
    await asyncio.sleep(0.3)
    pausing = asyncio.create_task(bench.pooler.pause(NAMES[0], 5))
    await asyncio.sleep(0.1)
    await bench.pooler.hold((both[0], pool(bench, consumer=1, database=1)))
    assert not pausing.done()
    await bench.write(1, "moved meanwhile")
    assert bench.stored(1) == ["moved meanwhile"]
    await asyncio.gather(running, pausing)


async def test_a_server_that_restarts_is_found_again_soon(bench: RealBench) -> None:
    writer = Writer(bench, 1)
    await asyncio.sleep(0.3)
    bench.databases[0].restart()
    await asyncio.sleep(1.0)
    await writer.finish()
    assert max(writer.reconnected_seconds, default=0.0) < 5
    assert set(bench.stored(0)) >= set(writer.acknowledged)
    assert writer.acknowledged[-1] in bench.stored(0)


async def test_an_ipv6_address_is_as_good(bench: RealBench) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as probe:
        port = probe.getsockname()[1]
    bench.listens[0] = ("::1", port)
    await bench.pooler.hold((pool(bench),))
    await bench.write(0, "six")
    assert bench.stored(0) == ["six"]
