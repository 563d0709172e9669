"""What a database's move promises: a full disk, the time left, a hostile writer, a session."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import journey_hostile
import pytest
from journey_database import connected, other_site, pack_writer, rows
from journey_footprint import difference, footprint
from journey_stage import Journey, number_of, small_disk, wait_until

from hanse.demo.network import run
from hanse.drivers.identity import ProcessMark

pytestmark = pytest.mark.xdist_group("stage")

SESSION = """\
while :; do
  { echo "select pg_advisory_lock(7); prepare put as insert into visit default values returning id;"
    while :; do echo 'execute put;'; usleep 20000; done
  } | psql -qAt -v ON_ERROR_STOP=1
  usleep 100000
done"""
"""A lock, a prepared statement, no wish to share its connection; begins anew when it is broken off."""
LONGEST_GAP = """
select extract(epoch from max(next - at)) from
  (select at, lead(at) over (order by at) as next from visit where id >= {since}) as pair
"""
"""Seconds."""
TABLES = (
    "create table visit (id bigserial, at timestamptz default clock_timestamp())",
    "create table hostile (number bigint)",
    "create table filler as select id, repeat(md5(id::text), 30) from generate_series(1, 120000) as id",
)


def records_file(image: str) -> str:
    """A database of some size, and a program that needs a session of its own."""
    return f"""\
hanse: 1
name: records
policy:
  apart: [{{components: [db, desk], at: provider}}]
components:
  db:
    kind: postgres
    size: {{vcpu: 1, memory_gib: 0.5, storage_gib: 2}}
    databases: [records]
  desk:
    kind: container
    image: {image}
    command: [/bin/sh, -c, {json.dumps(SESSION)}]
    env: {{PATH: /bin, PGHOST: "${{db.host}}", PGPORT: "${{db.port}}", PGUSER: "${{db.user}}",
      PGPASSWORD: "${{db.password}}", PGDATABASE: "${{db.database}}"}}
    size: {{vcpu: 0.5, memory_gib: 0.2, disk_gib: 0.2}}
    uses: [{{component: db, clients: session}}]
"""


@pytest.fixture(scope="module")
def records(journey: Journey) -> Iterator[Journey]:
    """The application runs, its database holds 120 MB; at the end nothing of it is left."""
    image = journey.push(pack_writer(journey.directory / "desk.tar"))
    before = footprint(journey)
    journey.do("apply", journey.file("records.yaml", records_file(image)), "--yes")
    for statement in TABLES:
        rows(journey, "records/db", statement)
    yield journey
    journey.do("retire", "records", "--erase-now", "--yes")
    assert difference(before, footprint(journey)) == []


def server_of(journey: Journey, site: str) -> tuple[str, dict[str, Any]]:
    """Address and record of the database's own server at a site."""
    directory = journey.place(site) / "parts" / "postgres"
    record = json.loads(next(directory.glob("records.db.*/record.json")).read_text())
    settings = next(directory.glob("records.db.*/work/data/postgresql.conf")).read_text()
    line = next(one for one in settings.splitlines() if one.startswith("listen_addresses"))
    return line.partition("=")[2].strip(" '"), record


class Hostile:
    """Somebody with a user's login and a way to the old server's port, who never gives up."""

    def __init__(self, journey: Journey, site: str, user: str, log: Path) -> None:
        self.log = log
        address, record = server_of(journey, site)
        login = next(one for one in record["credentials"] if one["user"] == user)
        variables = {"PGUSER": user, "PGPASSWORD": login["password"], "PGDATABASE": "records"}
        command = [sys.executable, journey_hostile.__file__, address, str(record["port"])]
        inside = journey.stage.network.inside(number_of(site))
        with log.open("wb") as out:
            self._process = subprocess.Popen([*inside, *command], env={**os.environ, **variables}, stdout=out)

    def acknowledged(self) -> set[int]:
        return {int(line) for line in self.log.read_text().split("\n")[:-1]}

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def replica_at(journey: Journey, site: str) -> Any:
    parts = journey.status("records")["components"]
    found = (one for part in parts for one in part["replicas"] if part["component"] == "db")
    return next((one for one in found if one["site"] == site), {"ready": False})


def move(journey: Journey) -> None:
    """To another site; by the way back, if there is one."""
    parts = journey.status("records")["components"]
    is_followed = any(one["role"] == "standby" for part in parts for one in part["replicas"])
    words = ("--back",) if is_followed else ("--to", other_site(journey, "records"))
    journey.do("move", "records/db", *words, "--yes")


def mark_of(journey: Journey, site: str) -> Path:
    """The file that names the process of the database's server at a site."""
    return next((journey.place(site) / "parts" / "postgres").glob("records.db.*")) / "server.process"


def is_server_running(journey: Journey, site: str) -> bool:
    return ProcessMark.load(mark_of(journey, site)) is not None


def kill_server(journey: Journey, site: str) -> None:
    """As the kernel would; its agent starts it in the role that it has."""
    mark = ProcessMark.load(mark_of(journey, site))
    assert mark is not None
    mark.signal(signal.SIGKILL)


def test_a_full_disk_at_a_databases_target_leaves_the_source_as_it_is(records: Journey) -> None:
    here, target = records.site_of("records/db"), other_site(records, "records")
    with small_disk(records, target, "postgres", "60m"):
        said = records.type("move", "records/db", "--to", target, "--yes")
    assert said.code == 1
    assert "disk-full" in said.words
    assert records.site_of("records/db") == here
    assert rows(records, "records/db", "select count(*) from filler") == ["120000"]


@contextmanager
def narrow(journey: Journey, site: str, megabits_per_second: int) -> Iterator[None]:
    """What leaves a site goes at a steady rate."""
    at_site = (*journey.stage.network.inside(number_of(site)), "tc", "qdisc")
    rate = ("root", "tbf", "rate", f"{megabits_per_second}mbit", "burst", "128k", "latency", "100ms")
    run(*at_site, "add", "dev", "eth0", *rate)
    try:
        yield
    finally:
        run(*at_site, "del", "dev", "eth0", "root")


def test_the_time_left_is_true_at_a_steady_rate(records: Journey) -> None:
    here, target = records.site_of("records/db"), other_site(records, "records")
    told: list[tuple[float, float, float]] = []
    with narrow(records, here, 60):
        moving = records.begin("move", "records/db", "--to", target, "--yes")
        while moving.poll() is None:
            for one in records.status("records")["operations"]:
                progress = one["progress"] or {}
                if progress.get("seconds_left") is not None and progress["bytes_total"]:
                    share = progress["bytes_done"] / progress["bytes_total"]
                    told.append((time.monotonic(), share, progress["seconds_left"]))
            time.sleep(0.2)
        words, _ = moving.communicate()
    assert moving.returncode == 0, words
    assert told
    copied = next(at for at, share, _ in told if share >= told[-1][1])
    judged = [(copied - at, left) for at, share, left in told if share > 0.2 and copied > at]
    assert judged
    assert all(abs(left - true) < max(0.3 * true, 1.0) for true, left in judged), judged


def test_who_writes_straight_at_the_old_server_is_never_told_yes_after_it_gave_away(
    records: Journey, tmp_path: Path
) -> None:
    old = records.site_of("records/db")
    with connected(records, "records/db") as login:
        hostile = Hostile(records, old, str(login["user"]), tmp_path / "hostile.log")
        try:
            wait_until(lambda: len(hostile.acknowledged()) > 100, "the hostile writer")
            move(records)
            count = len(hostile.acknowledged())
            wait_until(lambda: replica_at(records, old)["ready"], "the old server to follow")
            kill_server(records, old)
            records.kill_agent(old)
            wait_until(lambda: is_server_running(records, old), "the old server")
            wait_until(lambda: replica_at(records, old)["ready"], "the old server to follow again")
            time.sleep(1.0)
        finally:
            hostile.end()
    assert len(hostile.acknowledged()) == count
    found = {int(row) for row in rows(records, "records/db", "select number from hostile")}
    assert hostile.acknowledged() <= found


def test_a_session_is_back_within_five_seconds_of_the_new_primary(records: Journey) -> None:
    last = "select coalesce(max(id), 0) from visit"
    wait_until(lambda: int(rows(records, "records/db", last)[0]) > 50, "visits")
    since = int(rows(records, "records/db", last)[0])
    move(records)
    before = int(rows(records, "records/db", last)[0])
    wait_until(lambda: int(rows(records, "records/db", last)[0]) > before, "visits after the move")
    moves = [one for one in records.status("records")["operations"] if one["kind"] == "move"]
    longest = float(rows(records, "records/db", LONGEST_GAP.format(since=since))[0])
    assert longest < moves[0]["dark_ms"] / 1000 + 5.0
