"""A foreign database comes in, is moved and written to, and goes out again; every way that this can fail."""

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from foreign_postgres import CLERK, GUEST, HARD, PASSWORDS, SLOW, Foreign, content, foreign_postgres
from journey_database import psql, rows
from journey_stage import COMMAND, SITES, Journey, wait_until

pytestmark = pytest.mark.xdist_group("stage")
DB = "intake/db"
PASSWORD = {"PGPASSWORD": PASSWORDS[CLERK]}
APPLICATION = """\
hanse: 1
name: intake
components:
  db:
    kind: postgres
    size: {vcpu: 1, memory_gib: 0.5, storage_gib: 2}
    databases: [intake, cut, late, standby]
    extensions: [pg_trgm]
"""
ROWS_TABLES = "select count(*) from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'"


@pytest.fixture(scope="module")
def source() -> Iterator[Foreign]:
    """Below /tmp itself: its servers run as another user, who cannot enter what pytest makes."""
    with tempfile.TemporaryDirectory(prefix="hanse-foreign-") as outer:
        Path(outer).chmod(0o755)
        with foreign_postgres(Path(outer, "servers")) as made:
            trigram = "create extension pg_trgm; comment on extension pg_trgm is 'of the source'"
            made.database("ward", HARD, superuser_sql=trigram)
            made.database("slow", SLOW)
            made.database("ascii", words="encoding 'SQL_ASCII' locale 'C' template template0")
            made.database("exotic", superuser_sql="create extension hstore; create extension dblink")
            yield made


@pytest.fixture(scope="module")
def intake(journey: Journey) -> Iterator[Journey]:
    journey.do("apply", journey.file("intake.yaml", APPLICATION), "--yes")
    yield journey
    journey.do("retire", "intake", "--erase-now", "--yes")


@pytest.fixture(scope="module")
def imported(intake: Journey, source: Foreign) -> str:
    """What the import said; the source is as it was."""
    before = source.content("ward")
    said = intake.do("import", "postgres", source.url("ward"), "--into", DB, "--yes", env=PASSWORD)
    assert source.content("ward") == before
    return said


def content_here(journey: Journey, database: str) -> list[str]:
    process = journey.begin("connect", DB, "--json")
    assert process.stdout is not None
    try:
        facts = json.loads(process.stdout.readline())
        environment = {**os.environ, "PGPASSFILE": facts["passfile"], "PGSSLMODE": "disable"}
        return content(
            *("-h", facts["host"], "-p", str(facts["port"]), "-U", facts["user"], "-d", database),
            env=environment,
        )
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        process.stdout.close()


def in_database(journey: Journey, database: str, sql: str) -> list[str]:
    done = psql(journey, DB, sql, "-d", database)
    assert done.returncode == 0, done.stdout
    return done.stdout.splitlines()


@contextmanager
def importing(
    journey: Journey, scratch: Path, source: Foreign, into: str
) -> "Iterator[subprocess.Popen[str]]":
    """The import of the slow database, as a process with a temporary directory of its own."""
    words = ("import", "postgres", source.url("slow"), "--into", DB, "--database", into, "--yes", "--json")
    process = subprocess.Popen(
        [*COMMAND, *words],
        env=journey.stage.environment | PASSWORD | {"TMPDIR": str(scratch)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(process: "subprocess.Popen[str]", word: str) -> None:
    assert process.stderr is not None
    told = []
    for line in process.stderr:
        told.append(line)
        if word in line:
            return
    raise AssertionError("".join(told))


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(word) for task in tasks for word in (task / "children").read_text().split()]


@contextmanager
def small_disk(directory: Path, mebibytes: int) -> Iterator[Path]:
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "hanse-test", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", directory], check=True)


def test_what_came_is_what_was_there(intake: Journey, source: Foreign, imported: str) -> None:
    theirs = source.content("ward")
    assert sum(map(len, theirs)) > 18_000_000
    assert content_here(intake, "intake") == theirs
    assert "2 large objects are copied, too" in imported
    assert "without a primary key:" in imported
    assert "intake/db has 7 tables with 140,007 rows" in imported


def test_a_second_import_would_mix_two_databases(intake: Journey, source: Foreign, imported: str) -> None:
    said = intake.refused("import", "postgres", source.url("ward"), "--into", DB, "--yes", env=PASSWORD)
    assert "Nothing was copied: the target is not empty: it has " in said


def test_everything_belongs_to_all_logins_also_after_a_move(intake: Journey, imported: str) -> None:
    kinds = "select distinct relowner::regrole from pg_class where relnamespace in ('public'::regnamespace, "
    assert rows(intake, DB, kinds + "'billing'::regnamespace)") == ["app"]
    assert rows(intake, DB, "select distinct lomowner::regrole from pg_largeobject_metadata") == ["app"]
    target = next(site for site in SITES if site != intake.site_of(DB))
    intake.do("move", DB, "--to", target, "--yes")
    for sql in (
        "insert into patient (name) values ('new')",
        "insert into billing.invoice (patient, state, cents) values (1, 'open', 5)",
        "alter table billing.invoice add column more text",
        "refresh materialized view billing.total",
        "call tidy()",
    ):
        done = psql(intake, DB, sql)
        assert done.returncode == 0, done.stdout
    assert rows(intake, DB, "select max(id) from patient") == ["60001"]
    assert rows(intake, DB, "select nextval('ticket')") == ["105"]
    assert rows(intake, DB, "select convert_from(lo_get(4711), 'UTF8')") == ["a large object"]


@pytest.mark.parametrize("kind", [(), ("--plain",)], ids=["archive", "plain"])
def test_what_is_exported_is_the_same_elsewhere(
    intake: Journey, source: Foreign, imported: str, tmp_path: Path, kind: tuple[str, ...]
) -> None:
    file, name = tmp_path / "out", "elsewhere" + str(len(kind))
    told = intake.ask("export", DB, "--file", str(file), *kind)
    assert (told["file"], told["bytes"]) == (str(file), file.stat().st_size)
    assert file.stat().st_mode & 0o777 == 0o600
    source.tell("postgres", f"create database {name}")
    where = ("-d", source.url(name, "postgres"))
    if kind:
        source.run("psql", "-qX", "-v", "ON_ERROR_STOP=1", *where, "-f", file)
    else:
        source.run("pg_restore", "--no-owner", "--exit-on-error", *where, file)
    assert source.content(name) == content_here(intake, "intake")


def test_no_export_takes_the_place_of_a_file(intake: Journey, tmp_path: Path) -> None:
    file = tmp_path / "mine"
    file.write_text("mine")
    assert "is there already" in intake.refused("export", DB, "--file", str(file))
    assert file.read_text() == "mine"


def test_a_full_disk_leaves_no_half_export(intake: Journey, imported: str, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        said = intake.refused("export", DB, "--file", str(disk / "out"))
        assert "No space left on device" in said
        assert f"There is no {disk / 'out'}." in said
        assert list(disk.iterdir()) == []


def test_a_full_disk_leaves_the_target_empty(intake: Journey, source: Foreign, tmp_path: Path) -> None:
    words = ("import", "postgres", source.url("ward"), "--into", DB, "--database", "cut", "--yes")
    with small_disk(tmp_path / "disk", 1) as disk, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(disk))
        said = intake.refused(*words, env=PASSWORD)
        assert "No space left on device" in said
        assert "still empty" in said
        assert list(disk.iterdir()) == []
    assert in_database(intake, "cut", ROWS_TABLES) == ["0"]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda end: end.name)
def test_an_import_cut_while_restoring_leaves_nothing(
    intake: Journey, source: Foreign, tmp_path: Path, end: signal.Signals
) -> None:
    with importing(intake, tmp_path, source, "cut") as process:
        wait_for(process, "restoring: ")
        working = children(process.pid)
        assert working
        process.send_signal(end)
        process.wait(30)
        assert process.returncode == (-9 if end is signal.SIGKILL else 130)
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in working), "its programs to end")
    left = [file.name for file in tmp_path.iterdir()]
    assert all(name.startswith("hanse-connect-") for name in left) if end is signal.SIGKILL else not left
    wait_until(lambda: in_database(intake, "cut", ROWS_TABLES) == ["0"], "the database to be empty")


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT], ids=lambda end: end.name)
def test_an_import_cut_while_dumping_lets_go_of_the_source(
    intake: Journey, source: Foreign, tmp_path: Path, end: signal.Signals
) -> None:
    with source.connect("slow") as holder, importing(intake, tmp_path, source, "cut") as process:
        holder.autocommit = False
        holder.execute("lock table slow in access exclusive mode")
        wait_for(process, "dumping: ")
        process.send_signal(end)
        process.wait(30)
        others = "select count(*) from pg_stat_activity where usename = 'clerk' and datname = 'slow'"
        with source.connect("postgres") as asking:
            wait_until(lambda: asking.execute(others).fetchone() == (0,), "the source to be let go of")


def test_what_was_written_meanwhile_is_told(intake: Journey, source: Foreign, tmp_path: Path) -> None:
    with importing(intake, tmp_path, source, "late") as process:
        wait_for(process, "restoring: ")
        source.tell("slow", "update slow set word = 'changed' where id in (1, 7)")
        said, complaint = process.communicate(timeout=60)
    assert process.returncode == 1
    outcome = json.loads(said.splitlines()[-1])
    assert outcome["different"] == ["2 rows of public.slow were written anew"]
    assert (outcome["tables"], outcome["rows"]) == (1, 120)
    assert "the source was written to meanwhile" in complaint
    assert outcome["window_seconds"] >= 6


def test_a_read_only_standby_is_a_source(intake: Journey, source: Foreign) -> None:
    source.add_standby()
    url = source.url("slow", server="standby")
    told = intake.do("import", "postgres", url, "--into", DB, "--database", "standby", "--yes", env=PASSWORD)
    assert "1 tables with 120 rows" in told
    assert content_here(intake, "standby") == source.content("slow")


@pytest.mark.parametrize(
    ("database", "reason"),
    [
        ("ascii", "encoding is SQL_ASCII"),
        ("exotic", "lacks the extensions hstore: name them under `extensions`"),
        ("exotic", "uses the extensions dblink, which no database here has"),
    ],
)
def test_what_cannot_be_here_is_not_begun(
    intake: Journey, source: Foreign, database: str, reason: str
) -> None:
    words = ("import", "postgres", source.url(database), "--into", DB, "--database", "cut", "--yes")
    assert reason in intake.refused(*words, env=PASSWORD)


def test_what_the_user_may_not_read_is_not_begun(intake: Journey, source: Foreign) -> None:
    hidden = "create table hidden (a int); alter table hidden enable row level security;"
    source.database("closed", f"{hidden} grant select on hidden to guest; create table shut (); "
                    "create schema inner_room; create table inner_room.thing ();"
                    "grant select on inner_room.thing to guest; select lo_from_bytea(0, 'x')")  # fmt: skip
    words = ("import", "postgres", source.url("closed", GUEST), "--into", DB, "--database", "cut", "--yes")
    said = intake.refused(*words, env={"PGPASSWORD": PASSWORDS[GUEST]})
    assert "may not read inner_room.thing, public.shut: grant it" in said
    assert "row-level security hides rows of public.hidden" in said
    assert "may not read 1 large objects" in said


def test_a_wrong_password_is_told_without_it(intake: Journey, source: Foreign, tmp_path: Path) -> None:
    (tmp_path / "word").write_text("notthisone\n")
    words = ("import", "postgres", source.url("ward"), "--into", DB, "--yes")
    said = intake.refused(*words, "--password-file", str(tmp_path / "word"))
    assert "password authentication failed" in said
    assert "notthisone" not in said


def test_the_password_may_stand_in_a_file(intake: Journey, source: Foreign, tmp_path: Path) -> None:
    (tmp_path / "word").write_text(PASSWORDS[CLERK] + "\n")
    words = ("import", "postgres", source.url("ascii"), "--into", DB, "--yes")
    assert "SQL_ASCII" in intake.refused(*words, "--password-file", str(tmp_path / "word"))


def test_nobody_listens(intake: Journey) -> None:
    said = intake.refused("import", "postgres", "postgresql://me@127.0.0.1:1/x", "--into", DB, "--yes")
    assert "127.0.0.1:1/x cannot be connected to" in said
    assert "Connection refused" in said


def test_without_a_yes_nothing_is_copied(intake: Journey, source: Foreign) -> None:
    words = ("import", "postgres", source.url("slow"), "--into", DB, "--database", "cut")
    assert "Nobody can be asked here" in intake.refused(*words, env=PASSWORD)
    assert in_database(intake, "cut", ROWS_TABLES) == ["0"]
