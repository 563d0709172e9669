"""A fence of a database is certain: whoever writes, however, nothing is taken after it returns."""

import asyncio
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from postgres_place import DATABASE, Hostile, Place

from hanse.drivers.identity import ProcessMark
from hanse.drivers.postgres.server import program
from hanse.drivers.postgres.session import session, wait_until
from hanse.model.replica.role import ReplicaRole

REFUSED = psycopg.Error


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path / "site", "fiction/one")
    await made.serve()
    made.tell("create table words (word text primary key)")
    yield made
    await made.end()


async def _words(place: Place) -> set[str]:
    """What is there, read as the fenced replica's superuser would, once the server is ready."""
    await wait_until(place.cluster, place.record.port, lambda _: True)
    async with session(place.cluster, place.record.port, DATABASE) as connection:
        rows = await (await connection.execute("select word from words")).fetchall()
    return {row[0] for row in rows}


async def _alive(place: Place) -> None:
    """Return once the fenced server answers."""
    held = await place.driver.look(place.key)
    assert (held.role, held.alive) == (ReplicaRole.FENCED, True)


async def _late(writers: list[Hostile], fenced: float) -> list[str]:
    for one in writers:
        await one.finish()
    return [word for one in writers for word, at in one.acknowledged.items() if at > fenced]


async def test_a_fenced_server_that_takes_its_time_to_come_back_is_not_called_dead(place: Place) -> None:
    uid = place.record.uid
    left = "for one in $(seq 150); do ipcmk -M 1; done"  # memory of killed servers, freed before a start
    command = ["setpriv", f"--reuid={uid}", "sh", "-c", left]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    await place.driver.fence(place.key)
    await _alive(place)


async def test_nothing_is_acknowledged_after_a_fence_and_all_before_is_there(place: Place) -> None:
    writers = [Hostile(place, f"h{number}", pause=0.01 * number) for number in range(3)]
    await asyncio.sleep(1.5)
    position = await place.driver.fence(place.key)
    fenced = time.monotonic()
    await asyncio.sleep(1.5)
    assert await _late(writers, fenced) == []
    acknowledged = {word for one in writers for word in one.acknowledged}
    assert len(acknowledged) > 50
    assert all(one.refused for one in writers)
    await _alive(place)
    assert acknowledged <= await _words(place)
    assert await place.driver.fence(place.key) == position


async def test_a_fence_stands_when_agent_and_database_are_new(place: Place) -> None:
    writers = [Hostile(place, f"h{number}") for number in range(2)]
    await asyncio.sleep(0.5)
    position = await place.driver.fence(place.key)
    fenced = time.monotonic()
    await _alive(place)
    await place.cluster.kill(place.record.uid)
    place.restart_agent()
    held = await place.driver.look(place.key)
    assert (held.role, held.alive) == (ReplicaRole.FENCED, False)
    assert await place.driver.fence(place.key) == position
    await _alive(place)
    await asyncio.sleep(1.0)
    assert await _late(writers, fenced) == []


async def test_a_fence_stands_when_somebody_starts_the_directory_by_hand(place: Place) -> None:
    await place.driver.fence(place.key)
    await _alive(place)
    record, cluster = place.record, place.cluster
    await cluster.kill(record.uid)
    (cluster.data / "pg_hba.conf").write_text("local all all trust\nhost all all all trust\n")
    server = program.programs(record.major) / "postgres"
    command = [*program.as_user(record.uid, cluster.work), str(server)]
    by_hand = await asyncio.create_subprocess_exec(
        *command, "-D", f"{program.seen(cluster.work)}/data", cwd=cluster.work, stderr=subprocess.DEVNULL
    )
    try:
        await _until_answering(place)
        for begin in ("begin read write", "begin", "set default_transaction_read_only = off"):
            assert "read" in _tried(place, begin)
    finally:
        by_hand.send_signal(signal.SIGINT)
        await by_hand.wait()
    await place.driver.fence(place.key)
    await _alive(place)
    assert await _words(place) == set()


def _tried(place: Place, begin: str) -> str:
    """What the server says to a superuser who writes."""
    with place.client(user="hanse", password="", autocommit=True) as connection:
        try:
            connection.execute(begin)
            connection.execute("insert into words values ('late')")
            connection.execute("commit")
        except (psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.FeatureNotSupported) as error:
            return str(error)
    return ""


async def _until_answering(place: Place) -> None:
    for _ in range(600):
        try:
            place.client(user="hanse", password="").close()
        except REFUSED:
            await asyncio.sleep(0.05)
        else:
            return
    raise AssertionError("it does not answer")


async def test_what_was_open_at_a_fence_is_not_there_and_what_was_prepared_still_is(place: Place) -> None:
    with place.client() as preparing:
        preparing.execute("insert into words values ('prepared')")
        preparing.execute("prepare transaction 'two-phase'")
    idle, long, copying = place.client(), place.client(), place.client()
    idle.execute("insert into words values ('idle')")
    long.execute("insert into words values ('long')")
    waiting = asyncio.create_task(asyncio.to_thread(_refused, long, "select pg_sleep(60)"))
    with pytest.raises(REFUSED):
        await _fence_in_a_copy(place, copying)
    assert await waiting
    assert _refused(idle, "commit")
    await place.serve()
    place.tell("commit prepared 'two-phase'")
    assert await _words(place) == {"prepared"}
    for one in (idle, long, copying):
        one.close()


async def _fence_in_a_copy(place: Place, connection: psycopg.Connection) -> None:
    with connection.cursor().copy("copy words from stdin") as rows:
        rows.write_row(("copied",))
        await place.driver.fence(place.key)
        for _ in range(100_000):
            rows.write_row(("copied",))


def _refused(connection: psycopg.Connection, query: str) -> bool:
    try:
        connection.execute(query)
    except REFUSED:
        return True
    return False


async def test_a_crashed_database_is_fenced_at_all_that_it_acknowledged(place: Place) -> None:
    writer = Hostile(place, "h")
    await asyncio.sleep(0.7)
    mark = place.cluster.running()
    assert mark is not None
    mark.signal(signal.SIGKILL)
    await place.driver.fence(place.key)
    fenced = time.monotonic()
    await _alive(place)
    assert await _late([writer], fenced) == []
    assert set(writer.acknowledged) <= await _words(place)


async def test_a_stopped_process_is_not_alive_and_can_be_fenced(place: Place) -> None:
    mark = place.cluster.running()
    assert mark is not None
    mark.signal(signal.SIGSTOP)
    begun = time.monotonic()
    held = await place.driver.look(place.key)
    assert (held.role, held.alive) == (ReplicaRole.PRIMARY, False)
    assert time.monotonic() - begun < 30
    await place.driver.fence(place.key)
    await _alive(place)


async def test_an_aborted_move_goes_on_with_the_same_history_and_logins(place: Place) -> None:
    place.tell("insert into words values ('before')")
    position = await place.driver.fence(place.key)
    served = await place.driver.primary(place.key, place.spec, {}, place.report)
    assert served.clients == (place.address, place.record.port)
    place.tell("insert into words values ('after')")
    again = await place.driver.fence(place.key)
    assert again.split(":")[:2] == position.split(":")[:2]
    await _alive(place)
    assert await _words(place) == {"before", "after"}


async def test_a_vanished_data_directory_is_absent_and_is_not_begun_anew(place: Place) -> None:
    await place.driver.fence(place.key)
    await _alive(place)
    elsewhere = place.directory / "elsewhere"
    place.cluster.data.rename(elsewhere)
    held = await place.driver.look(place.key)
    assert held.role is ReplicaRole.ABSENT
    with pytest.raises(Exception, match="is not on this site's disk any more"):
        await place.driver.primary(place.key, place.spec, {}, place.report)
    elsewhere.rename(place.cluster.data)
    assert (await place.driver.look(place.key)).role is ReplicaRole.PRIMARY


async def test_parts_run_as_a_user_of_their_own_without_secrets_in_sight(place: Place) -> None:
    mark = place.cluster.running()
    assert isinstance(mark, ProcessMark)
    assert Path(f"/proc/{mark.pid}").stat().st_uid == place.record.uid  # noqa: ASYNC240
    secret = place.writer.fields["password"]
    with place.client() as connection:
        assert _refused(connection, f"alter role nobody password '{secret}'")
    assert secret not in await place.driver.logs(place.key, 100)
    assert secret not in Path(f"/proc/{mark.pid}/cmdline").read_text()  # noqa: ASYNC240
    files = [one for one in place.directory.rglob("*") if one.is_file()]
    assert [one for one in files if one.stat().st_mode & 0o077 and "base" not in one.parts] == []
