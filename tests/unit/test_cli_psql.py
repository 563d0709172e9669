"""`hanse psql`, and `hanse connect` to a database: the way in, the secret in a file, the end."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cli_database import serving
from cli_hub import LiveHub, live_hub, typing
from hub_files import RECORDS

from hanse.cli.verbs.psql import environment_of
from hanse.hub.records import OrderedRecord, load

SECRET = "pass:word\\with everything"
TELLS = """#!/bin/sh
echo "arguments: $*"
env | grep ^PG | sort
echo "mode: $(stat -c %a "$PGPASSFILE")"
printf "line: "; cat "$PGPASSFILE"
exit 3
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    directory = tmp_path_factory.mktemp("hub")
    with live_hub(directory, "alder/one") as live:
        site = live.world.sites["alder/one"]
        with serving(site, directory, user="u1", password=SECRET, database="the_db"):
            yield live


@pytest.fixture
def hanse(hub: LiveHub, monkeypatch, capfd):
    return typing(hub, monkeypatch, capfd, all_of_it=True)


@pytest.fixture
def records(hanse, tmp_path: Path):
    (tmp_path / "records.yaml").write_text(RECORDS)
    hanse("apply", str(tmp_path / "records.yaml"), "--yes")
    yield
    hanse("retire", "records", "--erase-now", "--yes")


@pytest.fixture
def teller(tmp_path: Path, monkeypatch) -> None:
    """A `psql` that tells what it was given and ends with 3."""
    (tmp_path / "psql").write_text(TELLS)
    (tmp_path / "psql").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


def grants(hub: LiveHub) -> list[str]:
    """Who is ordered to be let in."""
    with hub.world.hub.look() as tx:
        found = load(tx, "ordered", "replica/records/the-db/0/live alder/one", OrderedRecord)
    return [grant.name for grant in found.value.order.grants]


def test_psql_gets_address_login_and_the_words_after_two_dashes(records, teller, hanse, hub, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "of another server")
    monkeypatch.setenv("PGOPTIONS", "-c geqo=off")
    words = hanse("psql", "records/the-db", "--", "-Atc", "select 1", "--csv", code=3).splitlines()
    assert words[0] == "arguments: -Atc select 1 --csv"
    told = dict(line.split("=", 1) for line in words if line.startswith("PG"))
    file, port = told.pop("PGPASSFILE"), told.pop("PGPORT")
    assert told == {
        "PGDATABASE": "the_db",
        "PGGSSENCMODE": "disable",
        "PGHOST": "127.0.0.1",
        "PGOPTIONS": "-c geqo=off",
        "PGSSLMODE": "disable",
        "PGUSER": "u1",
    }
    assert words[-2:] == ["mode: 600", f"line: 127.0.0.1:{port}:*:u1:pass\\:word\\\\with everything"]
    assert not Path(file).exists()
    assert grants(hub) == []


def test_what_a_terminal_sends_is_the_clients_to_answer(records, hub, tmp_path):
    script = "trap 'echo caught; exit 4' INT\necho ready\nwhile :; do sleep 0.05; done\n"
    (tmp_path / "psql").write_text("#!/bin/sh\n" + script)
    (tmp_path / "psql").chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-m", "hanse", "psql", "records/the-db"],
        env=hub.environment | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=30)[0] == "caught\n"
    assert process.returncode == 4
    assert grants(hub) == []


def test_without_psql_the_command_that_adds_it_is_named(hanse, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("hanse.cli.verbs.psql.DEBIAN_PROGRAMS", tmp_path)
    assert "`apt-get install postgresql-client`" in hanse("psql", "records/the-db", code=1)


def test_a_client_that_is_not_on_the_path_is_found_where_debian_keeps_it(
    records, teller, hanse, monkeypatch, tmp_path
):
    home = tmp_path / "9" / "bin", tmp_path / "15" / "bin"
    for place in home:
        place.mkdir(parents=True)
        (place / "psql").write_text(f"#!/bin/sh\necho {place.parent.name}")
        (place / "psql").chmod(0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("hanse.cli.verbs.psql.DEBIAN_PROGRAMS", tmp_path)
    assert hanse("psql", "records/the-db").startswith("15")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["psql", "records"], "records/COMPONENT"),
        (["psql", "nobody/db"], "no application nobody"),
        (["psql", "records/other"], "no component other"),
    ],
)
def test_a_wrong_name_is_one_line(records, hanse, words, said):
    told = hanse(*words, code=1)
    assert said in told
    assert told.count("\n") == 1


def test_connect_tells_a_database_client_all_but_the_password(records, hub):
    with connecting(hub, "--json") as process:
        facts = json.loads(process.stdout.readline())
    assert (facts["kind"], facts["host"], facts["user"]) == ("postgres", "127.0.0.1", "u1")
    assert (facts["database"], facts["databases"]) == ("the_db", ["the_db"])
    assert SECRET not in json.dumps(facts)
    assert not Path(facts["passfile"]).exists()


def test_connect_shows_a_person_the_command_to_type(records, hub):
    with connecting(hub) as process:
        words = [process.stdout.readline() for _ in range(7)]
    assert words[0].startswith("records/the-db at alder/one, until ")
    assert words[6].strip().startswith("with psql   PGPASSFILE=/")
    assert "psql -h 127.0.0.1 -p " in words[6]


def connecting(hub: LiveHub, *words: str):
    """`hanse connect` as a process; ends with its block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hanse", "connect", "records/the-db", *words],
        env=hub.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    return Ending(process)


class Ending:
    def __init__(self, process):
        self.process = process

    def __enter__(self):
        return self.process

    def __exit__(self, *_):
        self.process.terminate()
        assert self.process.wait(20) == 0
        self.process.stdout.close()


def test_the_environment_has_nothing_of_another_server():
    facts = {"host": "h", "port": 1, "user": "u", "database": "d", "passfile": "f"}
    inherited = {"PGSERVICE": "x", "PGHOSTADDR": "x", "PGSSLCERT": "x", "PGTZ": "UTC", "HOME": "/x"}
    made = environment_of(facts, inherited)
    assert {name for name in made if made[name] == "x"} == set()
    assert (made["PGTZ"], made["HOME"]) == ("UTC", "/x")
