"""`hanse export APP/DB`: a database taken out as a file that any PostgreSQL can restore."""

import os
import time
from pathlib import Path

from hanse.cli.speaking import Json, make_app, say, say_json
from hanse.cli.verbs.database.inside import Inside, inside
from hanse.cli.verbs.database.programs import find, run
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
    program = find("pg_dump")
    with inside(component, database) as target:
        ending = "sql" if plain else "dump"
        place = file or Path(f"{component.replace('/', '-')}-{time.strftime('%Y-%m-%d')}.{ending}")
        if place.exists():
            raise Permanent(
                "file-exists", f"{place} is there already. Name another with --file, or remove it."
            )
        return target.during(lambda: _export(target, program, place, plain=plain, json=json))


def _export(target: Inside, program: str, place: Path, *, plain: bool, json: bool) -> int:
    draft = place.with_name(f".{place.name}.{os.getpid()}")
    began = time.monotonic()
    try:
        draft.touch(mode=0o600, exist_ok=False)
        kind = "-Fp" if plain else "-Fc"
        words = [program, kind, "--no-owner", "--no-privileges", "-f", str(draft), "-d", target.database]
        run(f"Exporting {target.component}", words, target.environment, lambda: _told(draft, json=json))
        size = draft.stat().st_size
        draft.replace(place)
    finally:
        draft.unlink(missing_ok=True)
    took = time.monotonic() - began
    if json:
        say_json(
            {"component": target.component, "file": str(place), "bytes": size, "seconds": round(took, 1)}
        )
        return 0
    how = f"psql -f {place}" if plain else f"pg_restore --no-owner -d DATABASE {place}"
    say(f"{target.component} is in {place}: {size / MIB:,.1f} MiB, {took:.1f} s. Elsewhere: {how}")
    return 0


def _told(draft: Path, *, json: bool) -> None:
    if not json:
        say(f"exporting: {draft.stat().st_size / MIB:,.1f} MiB so far")
