"""`hanse import` and `hanse export`: what they refuse before anything is done, and the programs they run."""

import json
from pathlib import Path

import pytest
from cli_database import serving
from cli_hub import live_hub
from hub_files import RECORDS

from hanse.__main__ import main
from hanse.cli.verbs.database.outside import outside
from hanse.cli.verbs.database.programs import find, run
from hanse.ports import Permanent

SECRET = "s3cretw0rd"
URL = "postgresql://me@db.example:5433/ward"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    directory = tmp_path_factory.mktemp("hub")
    fields = {"user": "u1", "password": SECRET, "database": "the_db"}
    with (
        live_hub(directory, "alder/one") as live,
        serving(live.world.sites["alder/one"], directory, **fields),
    ):
        yield live


@pytest.fixture
def hanse(hub, monkeypatch, capfd):
    for name, value in hub.environment.items():
        monkeypatch.setenv(name, value)

    def type_(*words: str, code: int = 1) -> str:
        found = main(words)
        out, err = capfd.readouterr()
        assert found == code, out + err
        assert "Traceback" not in out + err
        return out + err

    return type_


@pytest.fixture
def records(hanse, tmp_path: Path):
    (tmp_path / "records.yaml").write_text(RECORDS)
    hanse("apply", str(tmp_path / "records.yaml"), "--yes", code=0)
    yield
    hanse("retire", "records", "--erase-now", "--yes", code=0)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{SECRET}@db.example/ward",
        f"postgresql://me@db.example/ward?password={SECRET}",
        f"postgresql://me@db.example/ward?sslpassword={SECRET}",
        f"host=db.example dbname=ward password={SECRET}",
        f"postgres//me:{SECRET}@db.example/ward",
        f"postgresql://me:{SECRET}%zz@db.example/ward",
        f"postgresql://me:{SECRET}@[db.example/ward",
    ],
)
def test_a_password_in_the_url_is_refused_and_never_repeated(hanse, url):
    said = hanse("import", "postgres", url, "--into", "records/the-db", "--yes", "--json")
    assert SECRET not in said
    assert json.loads(said.splitlines()[0])["error"]["code"] in ("password-shown", "url-malformed")


def test_a_url_without_a_database_is_refused(hanse):
    said = hanse("import", "postgres", "postgresql://me@db.example", "--into", "records/the-db", "--yes")
    assert "it names no database. Write postgresql://USER@HOST:PORT/DATABASE." in said


def test_a_source_is_named_without_its_user_and_its_words_hold_no_password(tmp_path):
    (tmp_path / "word").write_text(f"{SECRET}\nmore\n")
    found = outside(URL, tmp_path / "word")
    assert found.name == "db.example:5433/ward"
    assert found.where["password"] == found.environment["PGPASSWORD"] == SECRET
    assert SECRET not in found.conninfo() + repr(found)


@pytest.mark.parametrize(
    ("content", "why"), [(None, "No such file"), (b"", "no password"), (b"\xff", "no p")]
)
def test_a_password_file_that_holds_none_is_told(tmp_path, content, why):
    if content is not None:
        (tmp_path / "word").write_bytes(content)
    with pytest.raises(Permanent, match=why):
        outside(URL, tmp_path / "word")


def test_an_unreachable_source_is_told_before_the_hub_is_asked(hanse):
    said = hanse("import", "postgres", "postgresql://me@127.0.0.1:1/x", "--into", "no/such", "--yes")
    assert "The source 127.0.0.1:1/x cannot be connected to" in said
    assert said.count("\n") == 1


def test_import_without_where_to_is_usage(hanse):
    assert "--into" in hanse("import", "postgres", URL, code=2)
    assert "hanse import postgres" in hanse("import", "postgres", "--help", code=0)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("records/the-db", "--database", "other"), "has no database other; it has the_db"),
        (("nobody/db",), "no application nobody"),
        (("records",), "records/COMPONENT"),
    ],
)
def test_what_is_not_there_is_not_exported(records, hanse, tmp_path, monkeypatch, words, reason):
    monkeypatch.chdir(tmp_path)
    assert reason in hanse("export", *words)
    assert [file.name for file in tmp_path.iterdir()] == ["records.yaml"]


def test_a_file_that_stands_there_is_not_written_over(hanse, tmp_path):
    (tmp_path / "mine").write_text("mine")
    said = hanse("export", "records/the-db", "--file", str(tmp_path / "mine"), "--json")
    assert json.loads(said.splitlines()[0])["error"]["code"] == "file-exists"
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize("words", [("export", "a/b"), ("import", "postgres", URL, "--into", "a/b")])
def test_a_missing_program_is_named_with_the_command_that_adds_it(hanse, tmp_path, monkeypatch, words):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("hanse.cli.verbs.database.programs.DEBIAN_PROGRAMS", tmp_path)
    assert "pg_dump is not on this machine" in hanse(*words)


def test_the_program_of_the_servers_own_version_is_taken_else_the_newest(tmp_path, monkeypatch):
    monkeypatch.setattr("hanse.cli.verbs.database.programs.DEBIAN_PROGRAMS", tmp_path)
    for version in ("9.6", "15", "17"):
        (tmp_path / version / "bin").mkdir(parents=True)
        (tmp_path / version / "bin" / "pg_dump").touch()
    assert find("pg_dump", 15) == str(tmp_path / "15/bin/pg_dump")
    assert find("pg_dump", 16) == find("pg_dump") == str(tmp_path / "17/bin/pg_dump")


def test_a_failing_program_is_told_by_its_last_words(tmp_path):
    script = "echo noise >&2; echo the reason >&2; exit 3"
    with (tmp_path / "out").open("wb") as out, pytest.raises(Permanent) as caught:
        run("Dumping", ["sh", "-c", script], {"PATH": "/bin:/usr/bin"}, printed=out, otherwise="All is well.")
    assert caught.value.message == "Dumping did not work: noise the reason. All is well."


def test_an_interrupted_program_ends(tmp_path, monkeypatch):
    monkeypatch.setattr("hanse.cli.verbs.database.programs.LOOK_SECONDS", 0.01)
    told = tmp_path / "out"

    def meanwhile() -> None:
        if told.stat().st_size:
            raise KeyboardInterrupt

    command = ["sh", "-c", "echo $$; exec sleep 1000"]
    with told.open("wb") as out, pytest.raises(KeyboardInterrupt):
        run("x", command, {"PATH": "/usr/bin:/bin"}, printed=out, meanwhile=meanwhile)
    assert not Path(f"/proc/{told.read_text().strip()}").exists()
