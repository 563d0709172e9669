"""`hanse export APP/DB`: a database taken out as a file that any PostgreSQL can restore."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from hanse.cli.speaking import Json, make_app, say, say_aside, say_json
from hanse.cli.verbs.database.asking import session
from hanse.cli.verbs.database.inside import Inside, inside
from hanse.cli.verbs.database.programs import Told, find, run
from hanse.ports import Permanent

MIB = 1024 * 1024

commands = make_app("hanse")


@commands.command
def export(
    component: str,
    *,
    file: Path | None = None,
    database: str | None = None,
    plain: bool = False,
    json: Json = False,
) -> int:
    """Write a database to a file, as it is at one moment; it goes on being used meanwhile.

    The file is PostgreSQL's own archive for `pg_restore`, or with --plain SQL for psql. Only this user can
    read it, and it stands there whole or not at all.

    Examples: `hanse export clinic/records`, `hanse export clinic/records --plain --file ward.sql`

    Parameters
    ----------
    component:
        APP/COMPONENT, a postgres.
    file:
        Where to. Default: APP-COMPONENT-DATE.dump, or .sql, in this directory
    database:
        Which database of the component. Default: its first
    plain:
        SQL instead of an archive.
    """
    find("pg_dump")
    ending = "sql" if plain else "dump"
    place = file or Path(f"{component.replace('/', '-')}-{time.strftime('%Y-%m-%d')}.{ending}")
    if place.exists():
        raise Permanent("file-exists", f"{place} is there already. Name another with --file, or remove it.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with inside(component, database) as target:
        return target.during(lambda: _export(target, place, plain=plain, json=json))


def _export(target: Inside, place: Path, *, plain: bool, json: bool) -> int:
    with session(target.component, target.where) as here:
        program = find("pg_dump", here.info.server_version // 10000)
    began = time.monotonic()
    size = _write(target, program, place, say_aside if json else say, plain=plain)
    seconds = time.monotonic() - began
    if json:
        say_json(
            {"component": target.component, "file": str(place), "bytes": size, "seconds": round(seconds, 1)}
        )
        return 0
    how = f"psql -d DATABASE -f {place}" if plain else f"pg_restore --no-owner -d DATABASE {place}"
    say(f"{target.component} is in {place}: {size / MIB:,.1f} MiB, {seconds:.1f} s. Elsewhere: {how}")
    return 0


def _write(target: Inside, program: str, place: Path, tell: Callable[[str], None], *, plain: bool) -> int:
    """Size of the file, which gets its name when it is whole and on the disk."""
    draft = place.with_name(f".{place.name}.{os.getpid()}")
    told = Told(tell, "exporting")
    try:
        with open(draft, "xb", opener=_private) as written:
            run(
                f"Exporting {target.component}",
                [program, "-Fp" if plain else "-Fc", "--no-owner", "--no-privileges", "-d", target.database],
                target.environment,
                printed=written,
                meanwhile=lambda: told.size(written),
                otherwise=f"There is no {place}.",
            )
            os.fsync(written.fileno())
            size = os.fstat(written.fileno()).st_size
        draft.replace(place)
    finally:
        draft.unlink(missing_ok=True)
    return size


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
