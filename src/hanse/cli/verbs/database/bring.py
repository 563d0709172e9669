"""`hanse import postgres URL --into APP/DB`: a foreign database copied into one that is run here."""

import re
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hanse.cli.speaking import Json, Yes, confirm, make_app, say, say_json
from hanse.cli.verbs.database.inside import Inside, inside
from hanse.cli.verbs.database.outside import Outside, outside
from hanse.cli.verbs.database.preflight import Found, connect, counts, look, objections, remarks
from hanse.cli.verbs.database.programs import find, run
from hanse.ports import Permanent

MIB = 1024 * 1024
_NOT_OURS = re.compile(
    r"^\d+; \d+ \d+ (EXTENSION|COMMENT - EXTENSION|SCHEMA - public|COMMENT - SCHEMA public|EVENT TRIGGER"
    r"|PUBLICATION|SUBSCRIPTION|DEFAULT ACL|PROCEDURAL LANGUAGE)\b"
)
"""Lines of a dump's contents that belong to the server, not to the data."""

imports = make_app("hanse import", "Bring something in from outside.")
commands = make_app("hanse")
commands.command(imports, name="import")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done. Times in seconds."""

    tables: int
    rows: int
    dumped_bytes: int
    window_seconds: float
    different: tuple[str, ...]
    """Tables of the source that had other rows afterwards than came here, in words."""


@imports.command(name="postgres")
def import_postgres(
    url: str,
    *,
    into: str,
    password_file: Path | None = None,
    database: str | None = None,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Copy a foreign PostgreSQL database into one that an application has here; the source is only read.

    Both sides are looked at first: versions, extensions, rights, tables without a primary key, large
    objects. Then it is dumped and restored, all or nothing. What is written to the source between begin
    and end does not come along, so stop its writers; afterwards rows are counted on both sides. The
    source stays as it is: going back is going on with it.

    Example: `hanse import postgres postgresql://me@db.example:5432/ward --into clinic/records`

    Parameters
    ----------
    url:
        postgresql://USER@HOST:PORT/DATABASE, without a password.
    into:
        APP/COMPONENT, an empty postgres.
    password_file:
        A file whose first line is the password. Default: $PGPASSWORD, ~/.pgpass
    database:
        Which database of the component. Default: its first
    """
    source = outside(url, password_file)
    programs = find("pg_dump"), find("pg_restore")
    with inside(into, database) as target:
        return target.during(lambda: _import(source, target, programs, yes=yes, json=json))


def _import(source: Outside, target: Inside, programs: tuple[str, str], *, yes: bool, json: bool) -> int:
    tell = _silent if json else say
    found = _require_possible(source, target)
    tell(
        f"{source.name}: PostgreSQL {found.major}, {len(found.tables)} tables, "
        f"{found.size_bytes / MIB:,.0f} MiB on its disk."
    )
    tell([f"note: {remark}." for remark in remarks(found)])
    tell(
        "From now until the end nothing may be written to it: what is, does not come along. It is only read; "
        "as long as its writers have not been sent here, going back is going on with it."
    )
    if not yes and not confirm(f"Copy it into {target.component}?"):
        return 1
    outcome = _copy(source, target, programs, tell)
    if json:
        say_json({"into": target.component, **_fields(outcome)})
    else:
        say(
            f"{target.component} has {outcome.tables} tables with {outcome.rows:,} rows. Closed for writers: "
            f"{outcome.window_seconds:.1f} s."
        )
    if outcome.different:
        raise Permanent(
            "source-written",
            f"The source was written to meanwhile: {'; '.join(outcome.different)}. That is not here. "
            f"Stop its writers, empty {target.component} and import again.",
        )
    return 0


def _require_possible(source: Outside, target: Inside) -> Found:
    with closing(connect(f"The source {source.name}", source.where)) as there:
        found = look(there)
    with closing(connect(target.component, target.where)) as here:
        wrong = objections(found, look(here))
    if wrong:
        raise Permanent("import-impossible", f"Nothing was copied: {'; '.join(wrong)}.")
    return found


def _copy(source: Outside, target: Inside, programs: tuple[str, str], tell: Any) -> Outcome:
    pg_dump, pg_restore = programs
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hanse-import-") as scratch:
        dump, contents = Path(scratch, "dump"), Path(scratch, "contents")
        dump.touch(mode=0o600)
        words = [pg_dump, "-Fc", "-Z1", "--no-owner", "--no-privileges", "-f", str(dump), "-d"]
        run(
            "Dumping the source",
            [*words, source.conninfo()],
            source.environment(),
            lambda: _dumped(dump, tell),
        )
        size = dump.stat().st_size
        tell(f"dumped: {size / MIB:,.1f} MiB, packed; restoring")
        listed = run("Reading the dump", [pg_restore, "-l", str(dump)], target.environment)
        contents.write_text(without_server_parts(listed), encoding="utf-8")
        whole = ["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"]
        command = [pg_restore, *whole, "-L", str(contents), "-d", target.database, str(dump)]
        run("Restoring", command, target.environment, lambda: _restoring(began, tell))
    return _counted(source, target, size, began)


def _counted(source: Outside, target: Inside, dumped_bytes: int, began: float) -> Outcome:
    with closing(connect(target.component, target.where)) as here:
        here.execute("analyze")
        tables = look(here).tables
        ours = counts(here, tables)
    window_seconds = time.monotonic() - began
    with closing(connect(f"The source {source.name}", source.where)) as there:
        theirs = counts(there, tables)
    different = tuple(
        f"{name} has {theirs[name]:,} rows there and {ours[name]:,} here"
        for name in tables
        if ours[name] != theirs[name]
    )
    return Outcome(len(tables), sum(ours.values()), dumped_bytes, window_seconds, different)


def without_server_parts(listed: str) -> str:
    """A dump's contents as `pg_restore -l` prints them, less what the target has or does not let us make."""
    return "".join(line for line in listed.splitlines(keepends=True) if not _NOT_OURS.match(line))


def _fields(outcome: Outcome) -> Mapping[str, Any]:
    return {
        "tables": outcome.tables,
        "rows": outcome.rows,
        "dumped_bytes": outcome.dumped_bytes,
        "window_seconds": round(outcome.window_seconds, 1),
        "different": list(outcome.different),
    }


def _dumped(dump: Path, tell: Any) -> None:
    tell(f"dumping: {dump.stat().st_size / MIB:,.1f} MiB so far, packed")


def _restoring(began: float, tell: Any) -> None:
    tell(f"restoring: {time.monotonic() - began:.0f} s since the beginning")


def _silent(_lines: object) -> None:
    """For `--json`: the last line says it all."""
