"""Databases: a PostgreSQL cluster of its own for each replica, followed by streaming its log."""

import asyncio
import os
import secrets
import shutil
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hanse.drivers.contract import Capability, Credential, Held, Pass, Report, Served, Source
from hanse.drivers.postgres.accounts import enforce, user_prefix
from hanse.drivers.postgres.failure import in_words
from hanse.drivers.postgres.following import Following
from hanse.drivers.postgres.record import Record, Shelf
from hanse.drivers.postgres.replica import Replica
from hanse.drivers.postgres.server import program
from hanse.drivers.postgres.server.settings import ADMIN_DATABASE
from hanse.drivers.postgres.session import NotYet, first_answer, session
from hanse.model.application.file import POSTGRES_EXTENSIONS
from hanse.model.replica.observation import Progress
from hanse.model.replica.role import ReplicaKey, ReplicaRole
from hanse.model.replica.spec import PostgresSpec, ReplicaSpec
from hanse.ports import Permanent, Temporary

if TYPE_CHECKING:
    from psycopg import AsyncConnection

_LOOK_SECONDS = 3.0
_BRACE_SECONDS = 15.0
_RESERVED = {"template0", "template1", ADMIN_DATABASE}


class PostgresDriver:
    """`Driver`, `Following`, `Foreseeing`, `Bracing` and `Granting` for databases, on PostgreSQL and haproxy.

    `directory` is the driver's alone; `address` is an IP address of this machine where the servers
    listen; `ports` are those that they may take, one a replica, the last ones first.
    """

    kind = "postgres"
    stateless = False
    rotates = True

    def __init__(self, site: str, directory: Path, address: str, ports: range) -> None:
        self._site = site
        self._address = address
        self._shelf = Shelf(directory, address, ports)
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._passes: dict[str, Following] = {}
        self._rising: dict[str, asyncio.Task[None]] = {}

    async def probe(self) -> Capability:
        """What this machine can do. Changes nothing."""
        lacks = program.missing()
        limits = [
            "postgres memory: the server is set up for its size, nothing stops it above",
            "postgres disk: it is looked at, nothing stops a database that outgrows its size",
        ]
        if os.geteuid() != 0:
            limits.append("postgres user: without root all databases run as the agent's own user")
        return Capability(self.kind, not lacks, lacks, tuple(limits))

    @in_words
    async def look(self, key: ReplicaKey) -> Held:
        """What is there now. A server that does not answer within seconds is not alive."""
        if (rising := self._rising.get(str(key))) is not None:  # a server that was just started is not dead
            await asyncio.wait([rising], timeout=_LOOK_SECONDS)
        replica = self._replica(key)
        record = replica.record
        if record is None or (record.content == "whole" and not replica.cluster.is_there):
            return Held(ReplicaRole.ABSENT, alive=True)
        replica.cluster.trim_log()
        used = await asyncio.to_thread(_used, replica.cluster.data)
        why = await self._silence(replica, record)
        full = f"full: {used} of {record.spec.size.disk_bytes} bytes; take less, or move to a larger size"
        detail = why or (full if used >= record.spec.size.disk_bytes else "")
        return Held(record.role, alive=not why, used_bytes=used, detail=detail)

    @in_words
    async def primary(
        self, key: ReplicaKey, spec: ReplicaSpec, environment: Mapping[str, str], report: Report
    ) -> Served:
        """Serve, reading and writing."""
        del environment  # a database uses no other component
        report(Progress(phase="starting"))
        async with self._alone(key) as replica:
            self._hold(replica, spec, ReplicaRole.PRIMARY)
            await replica.serve(report)
            return self._served(replica.there())

    @in_words
    async def standby(self, key: ReplicaKey, spec: ReplicaSpec, report: Report) -> None:
        """Have everything in place to follow. Serves nobody: only this driver is let in."""
        report(Progress(phase="starting"))
        async with self._alone(key) as replica:
            before = replica.record
            if before is None:
                self._hold(replica, spec, ReplicaRole.STANDBY)
            else:
                replica.save(spec=self._checked(key, spec))
            await replica.stand_by()

    @in_words
    async def brace(self, key: ReplicaKey) -> None:
        """Write out what memory holds now, so that the stop that fences has little left to write."""
        async with self.administer(key, ADMIN_DATABASE, _BRACE_SECONDS) as connection:
            await connection.execute("checkpoint")

    @in_words
    async def fence(self, key: ReplicaKey) -> str:
        """Take no more writes from anybody; return the final position in the log. Followers go on reading.

        The server is stopped cleanly, and whoever starts this directory again gets one that takes no write.
        """
        async with self._alone(key) as replica:
            position = await replica.fence()
        self._rising[str(key)] = asyncio.create_task(self._serve_fenced(key))
        return position

    @in_words
    async def retain(self, key: ReplicaKey) -> None:
        """Keep the data, serve nobody."""
        async with self._alone(key) as replica:
            await replica.retain()

    @in_words
    async def erase(self, key: ReplicaKey) -> int:
        """Leave nothing; return the bytes that were erased. No error if nothing is there."""
        async with self._alone(key) as replica:
            self._rising.pop(str(key), None)
            place = self._shelf.place(key)
            record = replica.record
            await replica.tunnel.stop()
            if record is not None:
                await replica.cluster.kill(record.uid)
            used = await asyncio.to_thread(_used, replica.cluster.data)
            await asyncio.to_thread(_remove, place)
            return used

    @in_words
    async def logs(self, key: ReplicaKey, lines: int) -> str:
        """Last lines that the server wrote; statements and their values are not among them."""
        return await asyncio.to_thread(self._replica(key).cluster.log, lines)

    @in_words
    async def follow(self, key: ReplicaKey, source: Source, report: Report) -> Pass:
        """One pass. Afterwards the standby holds what the source held when the pass began."""
        following = Following(self._replica(key), self._site, source, report)
        async with self._locks[str(key)]:
            self._passes[str(key)] = following
            try:
                return await following.follow()
            finally:
                del self._passes[str(key)]

    @in_words
    async def catch_up(self, key: ReplicaKey, source: Source, position: str, report: Report) -> Pass:
        """The last pass against a fenced source; verifies that `position` is reached, on disk."""
        async with self._alone(key) as replica:
            return await Following(replica, self._site, source, report).catch_up(position)

    async def serve_followers(self, key: ReplicaKey) -> tuple[str, int]:
        """Where followers read from, also while fenced."""
        return self._address, self._replica(key).there().port

    @in_words
    async def will_serve(self, key: ReplicaKey) -> Served:
        """What `primary` will return: a replica keeps its port unless it cannot start with it."""
        return self._served(self._replica(key).there())

    @in_words
    async def grant(self, key: ReplicaKey, credentials: tuple[Credential, ...]) -> None:
        """Exactly these are accepted from now on, without a restart.

        A fenced or following server cannot make logins: there it counts from when it serves.
        """
        async with self._locks[str(key)]:
            replica = self._replica(key)
            record = self._shelf.save(key, replica.there().with_grants(credentials))
            if record.role is ReplicaRole.PRIMARY:
                await enforce(replica.cluster, record)

    def new_credential(self, name: str, access: str) -> Credential:
        """A fresh random one (`user`, `password`); not yet accepted."""
        user = f"{user_prefix(name)}_{secrets.token_hex(8)}"
        return Credential(name, access, {"user": user, "password": secrets.token_urlsafe(24)})

    @asynccontextmanager
    async def administer(
        self, key: ReplicaKey, database: str, seconds: float = 60.0
    ) -> AsyncIterator["AsyncConnection[Any]"]:
        """A superuser's connection to a database of a primary, for at most so many seconds.

        Raises Permanent(`replica-missing`, `not-primary`), Temporary(`database-silent`, `database-refuses`).
        """
        replica = self._replica(key)
        record = replica.there()
        if record.role is not ReplicaRole.PRIMARY:
            raise Permanent("not-primary", f"Database {key} is {record.role} at {self._site}, not primary.")
        async with session(replica.cluster, record.port, database, seconds) as connection:
            yield connection

    # ---------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _alone(self, key: ReplicaKey) -> AsyncIterator[Replica]:
        """Nothing else is done with the replica meanwhile; a pass that goes on is interrupted."""
        running = self._passes.get(str(key))
        if running is not None:
            running.stop.now()
        async with self._locks[str(key)]:
            yield self._replica(key)

    async def _serve_fenced(self, key: ReplicaKey) -> None:
        """Beside the caller of `fence`; if it fails, the next look sees a silent server."""
        with suppress(Temporary, Permanent, OSError):
            async with self._locks[str(key)]:
                await self._replica(key).serve_fenced()

    def _replica(self, key: ReplicaKey) -> Replica:
        return Replica(key, self._shelf, self._address)

    def _hold(self, replica: Replica, spec: ReplicaSpec, role: ReplicaRole) -> None:
        """The decision, on disk before anything is done about it."""
        wanted = self._checked(replica.key, spec)
        record = replica.record or self._shelf.fresh(role, wanted, program.MAJOR)
        self._shelf.save(replica.key, replace(record, role=role, spec=wanted))

    def _checked(self, key: ReplicaKey, spec: ReplicaSpec) -> PostgresSpec:
        if not isinstance(spec, PostgresSpec):
            raise Permanent("spec-wrong", f"{key} is not a database: its kind is {spec.kind}.")
        reserved = sorted(_RESERVED.intersection(spec.databases))
        if reserved:
            raise Permanent(
                "database-reserved", f"{key} cannot have a database named {reserved[0]}: the server needs it."
            )
        unknown = sorted(set(spec.extensions) - set(POSTGRES_EXTENSIONS))
        if unknown:
            allowed = ", ".join(POSTGRES_EXTENSIONS)
            raise Permanent(
                "extension-not-allowed", f"{key} wants extension {unknown[0]}. Allowed are: {allowed}."
            )
        return spec

    def _served(self, record: Record) -> Served:
        return Served((self._address, record.port), (self._address, record.port))

    async def _silence(self, replica: Replica, record: Record) -> str:
        """Why the replica is not alive; empty if it is."""
        if record.role is ReplicaRole.RETAINED or (
            record.role is ReplicaRole.STANDBY and record.content in {"none", "seeding"}
        ):
            return ""
        if replica.cluster.running() is None:
            return "not running: the server"
        if (
            record.role is ReplicaRole.STANDBY
            and record.login is not None
            and replica.tunnel.running() is None
        ):
            return "not running: the way to its source"
        try:
            in_recovery = await first_answer(replica.cluster, record.port, _LOOK_SECONDS)
        except NotYet:
            return ""
        except (Temporary, Permanent) as failure:
            return failure.message
        if in_recovery is (record.role is ReplicaRole.PRIMARY):
            return f"the server is {'read-only' if in_recovery else 'writable'}, which a {record.role} is not"
        return ""


def _used(directory: Path) -> int:
    total = 0
    for place, _, names in os.walk(directory):
        for name in names:
            try:
                total += (Path(place) / name).lstat().st_blocks * 512
            except OSError:  # the server removes files while this looks
                continue
    return total


def _remove(place: Path) -> None:
    """The record goes last: a crash in the middle is begun again."""
    shutil.rmtree(place / "work", ignore_errors=True)
    shutil.rmtree(place, ignore_errors=True)
    if place.exists():
        raise Temporary("not-erased", f"Files of {place.name} could not be removed; it is tried again.", 5.0)
