"""`hanse psql APP/DB`: a database's own client, over a way that is made for it and taken back afterwards."""

import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hanse.cli.reach.credential import Facts, facts_of
from hanse.cli.reach.way import Way, open_way
from hanse.cli.speaking import make_app
from hanse.ports import Permanent

DEBIAN_PROGRAMS = Path("/usr/lib/postgresql")
"""Debian keeps each version's programs here."""
_KEPT = frozenset({"PGCLIENTENCODING", "PGDATESTYLE", "PGOPTIONS", "PGTZ"})
"""Of the caller's PG… variables, those that do not say where to connect and as whom."""

commands = make_app("hanse")


@commands.command
def psql(
    component: str,
    *arguments: Annotated[str, Parameter(help="For psql itself, after `--`.", allow_leading_hyphen=True)],
) -> int:
    """Talk to a database with psql: its prompt, or what follows `--`. Ends with psql's own exit code.

    The way in is that of `hanse connect` (whose --json is for other programs): a login made at the site for
    this command, taken back when psql ends. The password reaches psql in a file that only this user reads.

    Examples: `hanse psql clinic/records`, `hanse psql clinic/records -- -c "select now()"`

    Parameters
    ----------
    component:
        APP/COMPONENT, a postgres.
    """
    program = find_psql()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with open_way(component) as way:
        if way.found["kind"] != "postgres":
            raise Permanent(
                "not-a-database",
                f"{component} is a {way.found['kind']}, and psql talks to databases. "
                f"`hanse connect {component}` leads to it.",
            )
        return _talk(way, [program, *arguments])


def find_psql() -> str:
    """The program. Raises Permanent(`psql-missing`) with the command that would add it."""
    versions = sorted(DEBIAN_PROGRAMS.glob("*/bin/psql"), key=lambda path: float(path.parts[-3]))
    found = shutil.which("psql") or next((str(path) for path in reversed(versions)), None)
    if found is None:
        raise Permanent(
            "psql-missing",
            "psql is not on this machine. On Debian or Ubuntu: `apt-get install postgresql-client`. "
            "Without it, `hanse connect` opens a port for any other client.",
        )
    return found


def environment_of(facts: Facts, inherited: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment with nothing of PostgreSQL's in it but the way to this database."""
    mine = {name: value for name, value in inherited.items() if not name.startswith("PG") or name in _KEPT}
    return mine | {
        "PGHOST": str(facts["host"]),
        "PGPORT": str(facts["port"]),
        "PGUSER": str(facts["user"]),
        "PGDATABASE": str(facts["database"]),
        "PGPASSFILE": str(facts["passfile"]),
        "PGSSLMODE": "disable",
        "PGGSSENCMODE": "disable",
    }


def _talk(way: Way, command: Sequence[str]) -> int:
    """Exit code of the client; 128 and the signal that ended it, as a shell says it."""
    import asyncio

    async def run() -> int:
        async with way.local_port().opened(0) as (address, port):
            way.on_renewed = lambda: _renew(way, address, port)
            environment = environment_of(facts_of(way, address, port), os.environ)
            loop = asyncio.get_running_loop()
            for shared in (signal.SIGINT, signal.SIGHUP):
                loop.add_signal_handler(shared, lambda: None)  # the terminal sends them to the client too
            client = await asyncio.create_subprocess_exec(*command, env=environment)
            loop.add_signal_handler(signal.SIGTERM, client.terminate)
            return await client.wait()

    code = asyncio.run(run())
    return code if code >= 0 else 128 - code


def _renew(way: Way, address: str, port: int) -> None:
    """The old login has ended with the old primary, and so has the session; a person can go on at once."""
    facts = facts_of(way, address, port)
    words = f"{way.component} is at {facts['site']} now, with a new login. Go on with: \\c - {facts['user']}"
    print(f"\nhanse: {words}", file=sys.stderr, flush=True)
