"""A database is bought, written to, moved under its writer, moved back and retired, by commands alone."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from journey_database import Writer, connected, logged_in, other_site, pack_writer, psql, rows, ward_file
from journey_footprint import difference, footprint
from journey_stage import COMMAND, SITES, Journey, wait_until

pytestmark = pytest.mark.xdist_group("stage")


@pytest.fixture(scope="module")
def ward(journey: Journey) -> Iterator[Journey]:
    """The application runs; at the end nothing of it is left."""
    image = journey.push(pack_writer(journey.directory / "writer.tar"))
    before = footprint(journey)
    journey.do("apply", journey.file("ward.yaml", ward_file(image)), "--yes")
    yield journey
    journey.do("retire", "ward", "--erase-now", "--yes")
    assert difference(before, footprint(journey)) == []


@pytest.fixture
def writer(ward: Journey) -> Writer:
    return Writer(ward, "ward")


def confirmed(journey: Journey, writer: Writer) -> list[int]:
    """Rows that were confirmed; every one of them is there, and nothing else but the one under way."""
    acknowledged = writer.acknowledged()
    found = {int(row) for row in rows(journey, "ward/db", "select id from tick")}
    assert set(acknowledged) <= found
    assert len(found - set(writer.acknowledged())) <= 1
    return acknowledged


def test_what_psql_writes_it_reads(ward: Journey) -> None:
    assert psql(ward, "ward/db", "create table patient (name text)").returncode == 0
    assert psql(ward, "ward/db", "insert into patient values ('Ada'), ('Grace')").returncode == 0
    assert rows(ward, "ward/db", "select name from patient order by name") == ["Ada", "Grace"]


def test_databases_and_extensions_are_those_of_the_file(ward: Journey) -> None:
    names = rows(ward, "ward/db", "select datname from pg_database")
    assert {"ward", "archive"} <= set(names)
    wanted = "select extname from pg_extension"
    for database in ("ward", "archive"):
        done = psql(ward, "ward/db", wanted, "-d", database)
        assert {"pg_trgm", "uuid-ossp"} <= set(done.stdout.splitlines()), done.stdout


def test_psql_ends_as_psql_ended(ward: Journey) -> None:
    assert psql(ward, "ward/db", "select 1/0").returncode == 1
    assert psql(ward, "ward/db", "select 1").returncode == 0


@pytest.mark.parametrize(
    "sql",
    [
        "copy (select 1) to program 'id'",
        "select pg_read_file('/etc/passwd')",
        "create role friend superuser",
        "alter system set fsync = off",
        "create extension postgres_fdw",
    ],
)
def test_nobody_gets_at_the_machine_through_the_database(ward: Journey, sql: str) -> None:
    done = psql(ward, "ward/db", sql)
    assert done.returncode == 1
    assert "permission denied" in done.stdout or "must be" in done.stdout, done.stdout


def test_a_login_ends_with_its_connection(ward: Journey) -> None:
    with connected(ward, "ward/db") as ended:
        file = Path(ended["passfile"])
        assert file.stat().st_mode & 0o077 == 0
        with logged_in(ended, "-c", "select current_user") as one:
            assert one.communicate(timeout=30)[0].strip() == "app"
        words = file.read_text()
    assert not file.exists()
    with connected(ward, "ward/db") as now:
        Path(now["passfile"]).write_text(words.replace(str(ended["port"]), str(now["port"])))
        with logged_in(now | {"user": ended["user"]}, "-c", "select 1") as one:
            assert "FATAL" in one.communicate(timeout=30)[0]


def test_the_database_moves_and_its_writer_notices_nothing(ward: Journey, writer: Writer) -> None:
    writer.wait_for_more()
    target = other_site(ward, "ward")
    told = ward.do("move", "ward/db", "--to", target, "--yes")
    assert "done" in told
    writer.wait_for_more()
    assert writer.complaints() == ""
    assert ward.site_of("ward/db") == target
    confirmed(ward, writer)


def test_it_goes_back_by_the_way_back_with_everything_in_it(ward: Journey, writer: Writer) -> None:
    before = ward.site_of("ward/db")
    ward.do("move", "ward/db", "--back", "--yes")
    assert ward.site_of("ward/db") != before
    writer.wait_for_more()
    assert writer.complaints() == ""
    confirmed(ward, writer)
    assert rows(ward, "ward/db", "select name from patient order by name") == ["Ada", "Grace"]


def test_an_open_psql_is_told_how_to_go_on_after_a_move(ward: Journey) -> None:
    process = subprocess.Popen(
        [*COMMAND, "psql", "ward/db", "--", "-XAtq"],
        env=ward.stage.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.write("select 'before';\n")
    process.stdin.flush()
    assert process.stdout.readline() == "before\n"
    ward.do("move", "ward/db", "--back", "--yes")
    told = process.stderr.readline() + process.stderr.readline()
    lines = [told[told.index("\\c") :], "select name from patient order by 1;\n"]
    said, _ = process.communicate("".join(lines), 60)
    assert said.splitlines() == ["Ada", "Grace"], told
    assert process.returncode == 0


def test_the_writer_moves_too_and_finds_its_database(ward: Journey) -> None:
    ward.do("move", "ward/writer", "--to", other_or_free(ward), "--yes")
    moved = Writer(ward, "ward")
    moved.wait_for_more()
    assert moved.complaints() == ""


def other_or_free(journey: Journey) -> str:
    """A site where the writer may go: not the database's, not its own."""
    taken = {journey.site_of("ward/db"), journey.site_of("ward/writer")}
    return next(site for site in SITES if site not in taken)


def test_status_tells_what_it_is_and_the_way_back(ward: Journey) -> None:
    def line_of_the_database() -> str:
        return next(line for line in ward.do("status", "ward").splitlines() if line.startswith("db "))

    wait_until(lambda: line_of_the_database().endswith("ready"), "the database to be ready")
    assert "postgres" in line_of_the_database()
    assert "way back of db" in ward.do("status", "ward")


def test_no_password_is_in_what_the_database_says(ward: Journey) -> None:
    words = ward.do("logs", "ward/db", "--lines", "1000")
    assert "database system is ready" in words
    assert "password=" not in words
