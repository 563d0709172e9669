"""A database moves under four writers: `python -m bench.move_postgres [--quick]`, one JSON line.

The writers commit 5 ms apart, through the connector that the application's container has. The raw side is
`raw/postgres.sh`: pg_basebackup and promote behind one pgbouncer, without TLS, orders or records.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bench.parts.pairs import PAIRS, Side, compare, tell
from bench.parts.stage import (
    BASILISCO,
    LINDWORM,
    TARASQUE,
    apply,
    command_yaml,
    free_ports,
    pack_pages,
    retire,
    standing,
)
from bench.parts.writers import Database, Writing

from hanse.demo.stage import Stage

SCRIPT = Path(__file__).parent / "raw" / "postgres.sh"
SITES = (BASILISCO, LINDWORM, TARASQUE)
ROWS, QUICK_ROWS = 1_000_000, 20_000
"""About 1 KiB each."""


def main() -> None:
    quick = "--quick" in sys.argv
    rows = QUICK_ROWS if quick else ROWS
    with standing() as stage:
        archive = pack_pages(stage.directory / "pages.tar")
        image = str(stage.hanse_json("image", "push", str(archive))["digest"])
        line = compare(
            "move_postgres",
            lambda number: ours(stage, image, number, rows),
            lambda _: raw(rows),
            1 if quick else PAIRS,
        )
    tell(line | {"rows_before": rows})


def fill(database: Database, rows: int) -> None:
    """What stands there before anybody writes."""
    database.sql("CREATE TABLE written (id bigint PRIMARY KEY)")
    numbers = f"generate_series(1, {rows}) AS id"
    database.sql(f"CREATE TABLE filler AS SELECT id, repeat(md5(id::text), 30) FROM {numbers}")  # noqa: S608


def measured(database: Database, log: Path, move: list[str], environment: dict[str, str]) -> Side:
    """Writers, a move beside them, and what they saw. What was written before is on disk by then."""
    os.sync()
    with Writing(database, log) as writing:
        began = time.monotonic()
        subprocess.run(move, env=environment, check=True, stdout=subprocess.DEVNULL)
        ended = time.monotonic()
        writing.wait_until(ended)
        gap_ms, errors = writing.gap_ms(began), writing.errors()
    return Side(ended - began, gap_ms, errors, database.lost(writing.acknowledged()))


def ours(stage: Stage, image: str, number: int, rows: int) -> Side:
    name = f"records-{number}"
    apply(stage, name, application(name, image))
    sites = {each["component"]: each["site"] for each in stage.hanse_json("status", name)["components"]}
    database = connector(stage, name, sites["web"])
    fill(database, rows)
    target = next(site for site in SITES if site not in sites.values())
    move = [sys.executable, "-m", "hanse", "move", f"{name}/records", "--to", target, "--yes"]
    side = measured(database, stage.directory / f"{name}.log", move, stage.environment)
    retire(stage, name)
    return side


def application(name: str, image: str) -> str:
    return f"""\
hanse: 1
name: {name}
policy:
  apart: [{{components: [records, web], at: provider}}]
components:
  records:
    kind: postgres
    size: {{vcpu: 1, memory_gib: 1, storage_gib: 6}}
  web:
    kind: container
    image: {image}
    command: {command_yaml()}
    size: {{vcpu: 0.5, memory_gib: 0.1, disk_gib: 0.1}}
    env: {{BENCH: "{name}", BENCH_URL: "${{records.url}}"}}
    uses: [{{component: records, clients: transaction-safe}}]
"""


def connector(stage: Stage, name: str, site: str) -> Database:
    """The database as the container finds it: what is in its environment, in its site's network."""
    wanted = f"BENCH={name}".encode()
    for process in Path("/proc").glob("[0-9]*/environ"):
        try:
            words = process.read_bytes().split(b"\0")
        except OSError:
            continue
        if wanted in words:
            url = next(word for word in words if word.startswith(b"BENCH_URL=")).decode()
            parts = urlsplit(url.partition("=")[2])
            variables = {
                "PGHOST": parts.hostname or "",
                "PGPORT": str(parts.port),
                "PGUSER": unquote(parts.username or ""),
                "PGPASSWORD": unquote(parts.password or ""),
                "PGDATABASE": parts.path.removeprefix("/"),
            }
            return Database(variables, stage.network.inside(SITES.index(site) + 1))
    raise SystemExit(f"no container of {name} runs")


def raw(rows: int) -> Side:
    place = Path(tempfile.mkdtemp(prefix="hanse-bench-"))
    first, second, pooler = free_ports(3)
    call = ["bash", str(SCRIPT)]
    try:
        subprocess.run([*call, "start", str(place), str(first), str(second), str(pooler)], check=True)
        variables = {"PGHOST": "127.0.0.1", "PGPORT": str(pooler), "PGUSER": "bench", "PGPASSWORD": "bench"}
        database = Database(variables | {"PGDATABASE": "bench"})
        fill(database, rows)
        return measured(
            database, place / "writers.log", [*call, "move", str(place)], {"PATH": "/usr/bin:/bin"}
        )
    finally:
        subprocess.run([*call, "end", str(place)], check=True)
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
