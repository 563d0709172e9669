"""`hanse import postgres URL --into APP/DB`: a foreign database copied into one that is run here."""

import os
import re
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from hanse.cli.speaking import Json, Yes, confirm, make_app, say, say_aside, say_json
from hanse.cli.verbs.database.asking import Found, look, session
from hanse.cli.verbs.database.compare import counts, differences, moment, rows
from hanse.cli.verbs.database.inside import Inside, inside
from hanse.cli.verbs.database.outside import Outside, outside
from hanse.cli.verbs.database.preflight import objections, remarks
from hanse.cli.verbs.database.programs import Told, find, run
from hanse.ports import Permanent

MIB = 1024 * 1024
_NOT_OURS = re.compile(
    r"^\d+; \d+ \d+ (COMMENT - )?"
    r"((EXTENSION|EVENT TRIGGER|PUBLICATION|SUBSCRIPTION|PROCEDURAL LANGUAGE) |SCHEMA (- )?public(?= \S*$))"
)
"""Lines of a dump's contents that belong to the server, not to the data."""
_WHOLE = ("--no-owner", "--no-privileges", "--no-tablespaces", "--no-security-labels")

Tell = Callable[[str | list[str]], None]

imports = make_app("hanse import", "Bring something in from outside.")
commands = make_app("hanse")
commands.command(imports, name="import")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done. Times in seconds."""

    into: str
    tables: int
    rows: int
    dumped_bytes: int
    window_seconds: float
    """From the moment that the copy shows until it was known that nothing was written since."""
    different: tuple[str, ...]
    """What the source has afterwards and the copy does not, in words."""


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

    Both sides are looked at first: versions, extensions, rights, large objects. Then it is dumped and
    restored, all or nothing. What is written to the source between begin and end does not come along, so
    stop its writers; afterwards both sides are compared, and the end is 1 if anything was written. The
    source stays as it is: going back is going on with it.

    Example: `hanse import postgres postgresql://me@db.example:5432/ward --into clinic/records`

    Parameters
    ----------
    url:
        postgresql://USER@HOST:PORT/DATABASE, without a password.
    into:
        APP/COMPONENT, a postgres that is still empty.
    password_file:
        A file whose first line is the password. Default: $PGPASSWORD, ~/.pgpass
    database:
        Which database of the component. Default: its first
    """
    source = outside(url, password_file)
    for program in ("pg_dump", "pg_restore"):
        find(program)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with session(f"The source {source.name}", source.where) as there:
        found = look(there)
    with inside(into, database) as target:
        return target.during(lambda: _import(source, found, target, yes=yes, json=json))


def _import(source: Outside, found: Found, target: Inside, *, yes: bool, json: bool) -> int:
    tell: Tell = say_aside if json else say
    with session(target.component, target.where) as here:
        ours = look(here)
    if wrong := objections(found, ours):
        raise Permanent("import-impossible", f"Nothing was copied: {'; '.join(wrong)}.")
    tell(
        f"{source.name}: PostgreSQL {found.major}, {len(found.tables):,} tables, "
        f"{found.size_bytes / MIB:,.1f} MiB on its disk."
    )
    tell([f"note: {remark}." for remark in remarks(found, ours)])
    tell(
        "From now until the end nothing may be written to it: what is, does not come along.\n"
        "It is only read; as long as nobody has written here, going back is going on with it."
    )
    if not yes and not confirm(f"Copy it into {target.component}?"):
        return 1
    return _told(_copy(source, target, ours.major, tell), json=json)


def _told(outcome: Outcome, *, json: bool) -> int:
    if json:
        say_json({**asdict(outcome), "window_seconds": round(outcome.window_seconds, 1)})
    else:
        say(
            f"{outcome.into} has {outcome.tables:,} tables with {outcome.rows:,} rows; "
            f"nothing may have been written for {outcome.window_seconds:.1f} s."
        )
    if not outcome.different:
        return 0
    shown = [*outcome.different[:5], *(["…"] if len(outcome.different) > 5 else [])]
    say_aside(
        f"hanse: the source was written to meanwhile, and that is not here: {'; '.join(shown)}. "
        f"Stop its writers, empty {outcome.into} and import again."
    )
    return 1


def _copy(source: Outside, target: Inside, major: int, tell: Tell) -> Outcome:
    began = time.monotonic()
    with session(f"The source {source.name}", source.where) as there:
        since = moment(there)
    with tempfile.TemporaryFile(prefix="hanse-import-") as dump:
        _dump(source, target, find("pg_dump", major), dump, tell)
        dumped_bytes = os.fstat(dump.fileno()).st_size
        tell(f"dumped: {dumped_bytes / MIB:,.1f} MiB, packed; restoring")
        _restore(target, find("pg_restore", major), dump, tell)
    with session(target.component, target.where) as here:
        here.execute("analyze")
        ours = counts(here)
    with session(f"The source {source.name}", source.where) as there:
        different = differences(rows(there, since), ours)
    window_seconds = time.monotonic() - began
    return Outcome(target.component, len(ours), sum(ours.values()), dumped_bytes, window_seconds, different)


def _dump(source: Outside, target: Inside, program: str, dump: IO[bytes], tell: Tell) -> None:
    told = Told(tell, "dumping")
    run(
        "Dumping the source",
        [program, "-Fc", "-Z1", *_WHOLE, "-d", source.conninfo()],
        source.environment,
        printed=dump,
        meanwhile=lambda: told.size(dump),
        otherwise=f"The source is as it was, and {target.component} is still empty. The dump needs room in "
        f"{tempfile.gettempdir()}, or where $TMPDIR says.",
    )


def _restore(target: Inside, program: str, dump: IO[bytes], tell: Tell) -> None:
    otherwise = f"It was taken back whole: {target.component} is as empty as before."
    told = Told(tell, "restoring")
    with tempfile.TemporaryFile() as listed, tempfile.TemporaryFile() as contents:
        _rewind(dump)
        run("Reading the dump", [program, "-l"], target.environment, printed=listed, read=dump)
        listed.seek(0)
        contents.write(without_server_parts(listed.read().decode()).encode())
        contents.flush()
        _rewind(dump)
        whole = [*_WHOLE, "--exit-on-error", "--single-transaction"]
        run(
            "Restoring",
            [program, *whole, "-L", f"/dev/fd/{contents.fileno()}", "-d", target.database],
            target.environment,
            printed=listed,
            read=dump,
            handed=[contents],
            meanwhile=told.time,
            otherwise=otherwise,
        )


def _rewind(file: IO[bytes]) -> None:
    """For the program that reads next: files without a name are handed on open."""
    os.lseek(file.fileno(), 0, os.SEEK_SET)


def without_server_parts(listed: str) -> str:
    """A dump's contents as `pg_restore -l` prints them, less what the target has or does not let us make."""
    return "".join(line for line in listed.splitlines(keepends=True) if not _NOT_OURS.match(line))
