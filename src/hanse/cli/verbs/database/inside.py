"""A database that an application has here, as programs of PostgreSQL's reach it."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from hanse.cli.reach.credential import Facts, facts_of
from hanse.cli.reach.way import Way, open_way
from hanse.cli.verbs.psql import environment_of
from hanse.ports import Permanent


class Inside:
    """One database of a component; `where` and `environment` hold inside `during` only, and follow a move."""

    def __init__(self, way: Way, database: str) -> None:
        self.database = database
        self._way = way
        self._facts: Facts = {}

    @property
    def component(self) -> str:
        """`APP/COMPONENT`."""
        return self._way.component

    @property
    def where(self) -> dict[str, Any]:
        """For a session of this process; says everything that the caller's `PG…` variables may say, too."""
        return {
            **{name: self._facts[name] for name in ("host", "port", "user")},
            "hostaddr": self._facts["host"],
            "password": self._way.credential["password"],
            "dbname": self.database,
            "sslmode": "disable",
            "gssencmode": "disable",
        }

    @property
    def environment(self) -> dict[str, str]:
        """For programs."""
        return environment_of(self._facts, os.environ) | {"PGDATABASE": self.database}

    def during(self, work: Callable[[], int]) -> int:
        """What `work` returned: done in this thread, where Ctrl-C ends it, while another one leads there."""
        opened: Future[tuple[str, int]] = Future()
        ended = asyncio.Event()
        loop = asyncio.new_event_loop()
        lead = threading.Thread(target=lambda: loop.run_until_complete(self._lead(opened, ended)))
        lead.start()
        try:
            address, port = opened.result()
            self._learn(address, port)
            self._way.on_renewed = lambda: self._learn(address, port)
            return work()
        finally:
            loop.call_soon_threadsafe(ended.set)
            lead.join()
            loop.close()

    async def _lead(self, opened: "Future[tuple[str, int]]", ended: asyncio.Event) -> None:
        """Until `ended`, also while nothing is open yet."""
        holding = asyncio.create_task(self._hold(opened))
        await ended.wait()
        holding.cancel()
        await asyncio.wait([holding])
        await asyncio.get_running_loop().shutdown_default_executor()

    async def _hold(self, opened: "Future[tuple[str, int]]") -> None:
        try:
            async with self._way.local_port().opened(0) as found:
                opened.set_result(found)
                await asyncio.Event().wait()
        except BaseException as error:
            if opened.done():
                raise
            opened.set_exception(error)

    def _learn(self, address: str, port: int) -> None:
        self._facts = facts_of(self._way, address, port)


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
