"""What a database's clients may do, how it grows, and whose it is after a rotation."""

from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from postgres_place import DATABASE, Place

from hanse.drivers.contract import Bracing, Credential
from hanse.model.application.file import POSTGRES_EXTENSIONS
from hanse.model.replica.spec import MIB
from hanse.ports import Permanent


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path / "site", "fiction/one")
    await made.serve()
    made.tell("create table words (word text primary key)")
    yield made
    await made.end()


def _refusal(place: Place, query: str, credential: Credential | None = None, **words: str) -> str:
    """What the server says; empty if it obeyed."""
    try:
        with place.client(credential, autocommit=True, **words) as connection:
            connection.execute(query)
    except psycopg.Error as error:
        return str(error)
    return ""


OUT_OF_REACH = (
    "select pg_read_file('postgresql.conf')",
    "select pg_ls_dir('.')",
    "copy words from '/etc/passwd'",
    "copy words to program 'cat'",
    "alter system set port = 1",
    "create role stranger login",
    "create extension plpython3u",
    "create extension file_fdw",
    "select rolpassword from pg_authid",
    "select lo_import('/etc/passwd')",
    "set session authorization hanse",
    "set role hanse_follower",
    "drop database hanse_admin",
)


async def test_a_client_reaches_nothing_but_its_databases(place: Place) -> None:
    for query in OUT_OF_REACH:
        said = _refusal(place, query)
        assert "permission denied" in said or "must be" in said or "not available" in said, (query, said)


async def test_doors_that_are_not_for_clients_are_shut(place: Place) -> None:
    follower = place.followers[1]
    assert "pg_hba.conf" in _refusal(place, "select 1", user="hanse", password="")
    assert "pg_hba.conf" in _refusal(place, "select 1", dbname="hanse_admin")
    assert "pg_hba.conf" in _refusal(place, "select 1", follower)
    assert "permission denied" in _refusal(place, "select 1", dbname="postgres")
    assert "permission denied" in _refusal(place, "select 1", dbname="template1")
    assert "pg_hba.conf" in _refusal(place, "select 1", replication="true")


async def test_a_follower_copies_and_streams_but_neither_reads_elsewhere_nor_writes(place: Place) -> None:
    follower = place.followers[1]
    named = {"dbname": "hanse_admin"}
    assert _refusal(place, "select pg_read_binary_file('PG_VERSION', 0, 9, false)", follower, **named) == ""
    for query in ("select pg_read_binary_file('/etc/passwd', 0, 9, false)", "create table mine (a int)"):
        assert "permission denied" in _refusal(
            place, query, follower, **named
        ) or "absolute path" in _refusal(place, query, follower, **named)


async def test_a_reader_reads_everything_and_writes_nothing(place: Place) -> None:
    reader = place.driver.new_credential("connect:1", "read")
    await place.driver.grant(place.key, (place.writer, reader))
    assert _refusal(place, "select * from words", reader) == ""
    assert "permission denied" in _refusal(place, "insert into words values ('no')", reader)


async def test_what_one_login_made_belongs_to_the_next(place: Place) -> None:
    place.tell("reset role", "create table stubborn (a int)")
    with place.client(autocommit=True) as connection:
        connection.execute("reset role")
        connection.execute("create schema own; create table own.kept (a int)")
    before = place.writer
    place.writer = place.driver.new_credential("web@fiction/one", "write")
    await place.driver.grant(place.key, (place.writer,))
    assert _refusal(place, "select 1", before) != ""
    place.tell("alter table words add column more int", "drop table own.kept", "drop schema own")
    assert place.ask("select count(*) from pg_roles where rolname ~ '^u_'") == 1


async def test_every_listed_extension_can_be_made_and_a_database_grows_in_place(place: Place) -> None:
    place.tell("insert into words values ('kept')")
    size = place.spec.size.model_copy(update={"memory_bytes": 512 * MIB})
    place.spec = place.spec.model_copy(
        update={"extensions": POSTGRES_EXTENSIONS, "databases": (DATABASE, "postgres"), "size": size}
    )
    await place.serve()
    assert place.ask("select count(*) from pg_extension") == len(POSTGRES_EXTENSIONS) + 1
    assert place.ask("show shared_buffers") == "128MB"
    assert place.ask("select word from words") == "kept"
    assert _refusal(place, "create table here (a int)", dbname="postgres") == ""


async def test_a_specification_that_cannot_be_is_refused_in_words(place: Place) -> None:
    for update, code in (
        ({"databases": ("template1",)}, "database-reserved"),
        ({"extensions": ("dblink",)}, ""),
    ):
        spec = place.spec.model_copy(update=update)
        with pytest.raises(Permanent) as caught:
            await place.driver.primary(place.key, spec, {}, place.report)
        assert caught.value.code == (code or "extension-not-allowed")
    assert place.ask("select 1") == 1


async def test_bracing_and_administering_are_for_primaries(place: Place) -> None:
    assert isinstance(place.driver, Bracing)
    await place.driver.brace(place.key)
    async with place.driver.administer(place.key, DATABASE) as admin:
        await admin.execute("insert into words values ('by hand')")
    assert place.ask("select count(*) from words") == 1
    await place.driver.fence(place.key)
    with pytest.raises(Permanent, match="not primary"):
        await place.driver.brace(place.key)
