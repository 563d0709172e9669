"""An application with a database and a program that writes to it without pause, and its users' psql."""

import json
import os
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from journey_objects import request
from journey_stage import BUSYBOX, SITES, Journey, wait_until

PSQL = Path("/usr/lib/postgresql/15/bin/psql")
ACKNOWLEDGED, COMPLAINTS = "acknowledged", "complaints"
"""Pages of the writer: one line for each row that the database has confirmed; whatever psql said besides."""
PROGRAM = """\
mkdir -p /tmp/www && cd /tmp/www && : > acknowledged && : > complaints
httpd -p 8080 -h /tmp/www
psql -qc 'begin; set local client_min_messages = warning;
  create table if not exists tick (id bigserial primary key); commit' 2>> complaints
while :; do echo 'insert into tick default values returning id;'; usleep 20000; done |
  psql -qAt -v ON_ERROR_STOP=1 >> acknowledged 2>> complaints
echo 'the writer has ended' >> complaints
sleep 100000
"""


def pack_writer(archive: Path) -> Path:
    """A root file system with busybox and psql, whole with its libraries."""
    root = archive.with_suffix(".root")
    (root / "bin").mkdir(parents=True)
    (root / "tmp").mkdir()
    for name in ("busybox", "sh", "httpd", "mkdir", "usleep", "sleep"):
        shutil.copy2(BUSYBOX, root / "bin" / name)
    shutil.copy2(PSQL, root / "bin" / "psql")
    (root / "writer").write_text(PROGRAM)
    for library in _libraries(PSQL):
        place = root / library.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(library.resolve(), place)
    with tarfile.open(archive, "w") as tar:
        tar.add(root, ".")
    shutil.rmtree(root)
    return archive


def _libraries(program: Path) -> Iterator[Path]:
    told = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout
    for line in told.splitlines():
        words = [word for word in line.split() if word.startswith("/")]
        yield from map(Path, words[:1])


def ward_file(image: str) -> str:
    """A database, and a writer at another provider."""
    return f"""\
hanse: 1
name: ward
policy:
  apart: [{{components: [db, writer], at: provider}}]
components:
  db:
    kind: postgres
    size: {{vcpu: 1, memory_gib: 0.5, storage_gib: 2}}
    databases: [ward, archive]
    extensions: [pg_trgm, uuid-ossp]
  writer:
    kind: container
    image: {image}
    command: [/bin/sh, /writer]
    env:
      PATH: /bin
      PGHOST: ${{db.host}}
      PGPORT: ${{db.port}}
      PGUSER: ${{db.user}}
      PGPASSWORD: ${{db.password}}
      PGDATABASE: ${{db.database}}
    size: {{vcpu: 0.5, memory_gib: 0.2, disk_gib: 0.2}}
    uses: [{{component: db, clients: transaction-safe}}]
    expose: {{port: 8080}}
"""


def psql(
    journey: Journey, what: str, sql: str, *words: str, **env: str
) -> "subprocess.CompletedProcess[str]":
    """`hanse psql WHAT -- -XAtc SQL WORDS` to its end."""
    command = journey.begin("psql", what, "--", "-XAtc", sql, *words)
    said, _ = command.communicate(timeout=120)
    return subprocess.CompletedProcess((), command.returncode, said)


def rows(journey: Journey, what: str, sql: str) -> list[str]:
    """What a query that succeeds finds, one line a row."""
    done = psql(journey, what, sql)
    assert done.returncode == 0, done.stdout
    return done.stdout.splitlines()


class Writer:
    """The program that writes, as its pages tell."""

    def __init__(self, journey: Journey, application: str) -> None:
        self._url = journey.url(application)

    def page(self, name: str) -> str:
        status, content = request(self._url, "GET", name)
        assert status == 200, content
        return content.decode()

    def acknowledged(self) -> list[int]:
        """Numbers of the rows that were confirmed; a line that is still being written is not."""
        return [int(line) for line in self.page(ACKNOWLEDGED).split("\n")[:-1]]

    def complaints(self) -> str:
        return self.page(COMPLAINTS)

    def wait_for_more(self, count: int = 20) -> None:
        goal = len(self.acknowledged()) + count
        wait_until(lambda: len(self.acknowledged()) >= goal, f"{count} more rows; {self.complaints()}")


@contextmanager
def logged_in(facts: dict[str, object], *words: str) -> Iterator["subprocess.Popen[str]"]:
    """A psql of one's own with what `hanse connect` printed, while the block runs."""
    process = subprocess.Popen(
        [str(PSQL), "-XAt", "-h", "127.0.0.1", "-p", str(facts["port"]), "-U", str(facts["user"]), *words],
        env={**os.environ, "PGPASSFILE": str(facts["passfile"]), "PGDATABASE": str(facts["database"])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def connected(journey: Journey, what: str) -> Iterator[dict[str, Any]]:
    """`hanse connect` while the block runs; what it printed."""
    process = journey.begin("connect", what, "--json")
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("{"), line + process.stdout.read()
        yield json.loads(line)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        process.stdout.close()


def other_site(journey: Journey, application: str) -> str:
    """A site without any part of the application."""
    parts = journey.status(application)["components"]
    used = {
        each["site"] for part in parts for each in part["replicas"] if each["role"] not in (None, "absent")
    }
    return next(site for site in SITES if site not in used | {part["site"] for part in parts})
