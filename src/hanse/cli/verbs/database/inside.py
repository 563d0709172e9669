"""A database that an application has here, as programs of PostgreSQL's reach it."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hanse.cli.reach.credential import facts_of
from hanse.cli.reach.way import Way, open_way
from hanse.cli.verbs.psql import environment_of
from hanse.ports import Permanent


@dataclass
class Inside:
    """One database of a component; `where` and `environment` hold inside `during` only."""

    way: Way
    database: str
    where: dict[str, Any] = field(default_factory=dict)
    """For a session of this process; the password is in a file."""
    environment: dict[str, str] = field(default_factory=dict)
    """For programs."""

    @property
    def component(self) -> str:
        """`APP/COMPONENT`."""
        return self.way.component

    def during(self, work: Callable[[], int]) -> int:
        """Do blocking work while a local port leads to the database; what it returned."""
        return asyncio.run(self._during(work))

    async def _during(self, work: Callable[[], int]) -> int:
        async with self.way.local_port().opened(0) as (address, port):
            facts = facts_of(self.way, address, port)
            self.environment = environment_of(facts, os.environ) | {"PGDATABASE": self.database}
            self.where = {
                "host": address,
                "port": port,
                "user": facts["user"],
                "dbname": self.database,
                "passfile": facts["passfile"],
                "sslmode": "disable",
                "gssencmode": "disable",
            }
            return await asyncio.to_thread(work)


@contextmanager
def inside(component: str, database: str | None) -> Iterator[Inside]:
    """A way into `APP/COMPONENT` for this command. Raises Permanent(`not-a-database`, `database-unknown`)."""
    with open_way(component) as way:
        if way.found["kind"] != "postgres":
            kind = way.found["kind"]
            raise Permanent(
                "not-a-database", f"{component} is a {kind}; databases are components of kind postgres."
            )
        known = way.found["databases"]
        if database is not None and database not in known:
            raise Permanent(
                "database-unknown", f"{component} has no database {database}; it has {', '.join(known)}."
            )
        yield Inside(way, database or way.credential.get("database") or known[0])
