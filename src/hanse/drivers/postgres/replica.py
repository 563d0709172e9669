"""One replica: its record, its server, its tunnel; and what brings the server into each role."""

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

from hanse.drivers.contract import Report
from hanse.drivers.postgres.accounts import drop_all_slots, enforce, furnish, lock_out
from hanse.drivers.postgres.record import Record, Shelf
from hanse.drivers.postgres.server.cluster import Cluster
from hanse.drivers.postgres.session import session, wait_until
from hanse.drivers.postgres.tunnel import Tunnel
from hanse.model.replica.observation import Progress
from hanse.model.replica.role import ReplicaKey, ReplicaRole
from hanse.ports import Permanent, Temporary

_LOCK_OUT_SECONDS = 2.0
_PROMOTE_SECONDS = 60.0
_RELOAD_SECONDS = 10.0


class Replica:
    """Every method may be called again, also after a crash in the middle of itself."""

    def __init__(self, key: ReplicaKey, shelf: Shelf, address: str) -> None:
        self.key = key
        self._shelf = shelf
        self.cluster = Cluster(shelf.place(key), address)
        self.tunnel = Tunnel(shelf.place(key))

    @property
    def record(self) -> Record | None:
        """As it is on disk now."""
        return self._shelf.load(self.key)

    def there(self) -> Record:
        """The record. Raises Permanent(`replica-missing`)."""
        record = self.record
        if record is None:
            raise Permanent("replica-missing", f"Database {self.key} is not at this site.")
        return record

    def save(self, **changes: Any) -> Record:
        """Change the record, durably."""
        return self._shelf.save(self.key, replace(self.there(), **changes))

    def note(self, **changes: Any) -> Record:
        """The same without waiting for the disk: for what would be found out again."""
        return self._shelf.note(self.key, replace(self.there(), **changes))

    # -- primary ----------------------------------------------------------------------------------

    async def serve(self, report: Report) -> None:
        """The role in the record is primary already: let the server be so."""
        record = self.there()
        if record.content in {"none", "making"}:
            await self._make(report)
            return
        if record.content == "seeding":
            raise Permanent(
                "standby-incomplete",
                f"Database {self.key} is only partly copied to this site, so it cannot serve here. "
                "Let the copy finish first.",
            )
        self.require_data()
        if record.login is not None:
            await self._promote(record)
        else:
            await self._resume(record)

    async def _make(self, report: Report) -> None:
        report(Progress(phase="making"))
        record = self.save(content="making", login=None, position="", furnished="")
        await self.cluster.kill(record.uid)
        await self.cluster.initialise(record)
        self.cluster.configure(record, ReplicaRole.PRIMARY)
        await self._launch(record, database="template1")
        await furnish(self.cluster, record)
        self.save(content="whole", furnished=_furniture(record))

    async def _resume(self, record: Record) -> None:
        """Serve the same history on: nobody else wrote since."""
        if self.cluster.is_held_back:
            await self.cluster.stop(record)
            self.cluster.release()
        await self._hold_running(record, ReplicaRole.PRIMARY, in_recovery=False)
        record = self.save(position="")
        if record.furnished != _furniture(record):
            await furnish(self.cluster, record)
            record = self.save(furnished=_furniture(record))
        if record.credentials:
            await enforce(self.cluster, record)

    async def _promote(self, record: Record) -> None:
        """A standby goes on alone, on a timeline of its own."""
        if self.cluster.running() is None and self.cluster.is_held_back:
            await self._configure(record, ReplicaRole.STANDBY)
            await self._launch(record)
        await self._configure(record, ReplicaRole.PRIMARY)
        if self.cluster.running() is None:
            await self._launch(record)
        await asyncio.gather(self._reloaded(record, self.cluster.reload()), self._become_writable(record))
        self.tunnel.dismiss()
        record = self.note(login=None, position="", furnished="")
        if record.credentials:
            await enforce(self.cluster, record)

    async def _become_writable(self, record: Record) -> None:
        async with session(self.cluster, record.port, seconds=_PROMOTE_SECONDS) as connection:
            await connection.execute("select pg_promote(false) where pg_is_in_recovery()")
            while True:
                row: Any = await (await connection.execute("select pg_is_in_recovery()")).fetchone()
                if not row[0]:
                    return
                await asyncio.sleep(0.005)

    # -- fenced, retained -------------------------------------------------------------------------

    async def fence(self) -> str:
        """The final position, once nothing can be written any more. `serve_fenced` comes next."""
        record = self.there()
        if record.role is ReplicaRole.FENCED and record.position:
            return record.position
        position = await self._end_writing(record)
        self.note(position=position)
        return position

    async def serve_fenced(self) -> None:
        """Followers can read what is left to read. Nothing if the role has changed since."""
        record = self.record
        if record is None or record.role is not ReplicaRole.FENCED or self.cluster.running() is not None:
            return
        await self._configure(record, ReplicaRole.FENCED)
        await self.cluster.launch(record)

    async def _end_writing(self, record: Record) -> str:
        if record.content != "whole" or record.login is not None:
            raise Permanent(
                "not-primary", f"Database {self.key} at this site was not primary; there is nothing to fence."
            )
        self.require_data()
        record = self.save(role=ReplicaRole.FENCED, position="")
        cluster = self.cluster
        if not cluster.is_held_back:
            cluster.configure(record, ReplicaRole.FENCED)
            if cluster.running() is not None:
                cluster.reload()
                with suppress(Temporary, Permanent):  # the stop that follows is what fences
                    await lock_out(cluster, record.port, _LOCK_OUT_SECONDS)
        await cluster.stop(record)
        control = await cluster.control(record)
        if not cluster.is_held_back:
            if not control.is_clean:
                await self._recover(record)
                control = await cluster.control(record)
            if not control.is_clean:
                raise Temporary("not-fenced", f"Database {self.key} did not stop cleanly; trying again.", 1.0)
            cluster.hold_back(record.uid)
        return str(control.checkpoint)

    async def _recover(self, record: Record) -> None:
        """A server that broke off has its log replayed, out of everybody's reach, and is stopped cleanly."""
        await self.cluster.launch(record, alone=True)
        await wait_until(self.cluster, record.port, lambda recovering: not recovering, seconds=600.0)
        await self.cluster.stop(record)

    async def retain(self) -> None:
        """Data stays, nothing runs; a start by hand gives a server that takes no write."""
        record = self.there()
        if record.content == "whole" and record.login is None:
            await self._end_writing(record)
        await self.tunnel.stop()
        self.save(role=ReplicaRole.RETAINED)
        await self.cluster.stop(record)

    # -- standby ----------------------------------------------------------------------------------

    async def stand_by(self) -> None:
        """Ready to follow; nobody but this driver is let in."""
        record = self.there()
        if record.content in {"making", "none"}:
            await self.cluster.kill(record.uid)
            self.cluster.wipe()
            self.save(role=ReplicaRole.STANDBY, content="none", login=None, credentials=(), position="")
            return
        if record.content == "whole" and not self.cluster.is_held_back and self.cluster.is_there:
            await self._end_writing(record)
        record = self.save(role=ReplicaRole.STANDBY, credentials=(), position="")
        if record.content == "whole":
            self.require_data()
            await self.hold_standby(record)
            await drop_all_slots(self.cluster, record.port)

    async def hold_standby(self, record: Record) -> None:
        """The server runs as the record says, follows its source if there is one, and answers."""
        if record.login is not None:
            await self.tunnel.revive()
        await self._hold_running(record, ReplicaRole.STANDBY, in_recovery=True)

    def require_data(self) -> None:
        """Raises Temporary(`data-missing`)."""
        if not self.cluster.is_there:
            raise Temporary(
                "data-missing",
                f"The data of database {self.key} is not on this site's disk any more. Is a disk not "
                "mounted, or was its directory moved? Put it back, and it goes on by itself.",
                5.0,
            )

    # -- the server -------------------------------------------------------------------------------

    async def _hold_running(self, record: Record, role: ReplicaRole, *, in_recovery: bool) -> None:
        changed = await self._configure(record, role)
        if self.cluster.running() is None:
            await self._launch(record)
        await wait_until(self.cluster, record.port, lambda recovering: recovering is in_recovery)
        if changed and not await self._reloaded(record, self.cluster.reload()):
            await self.cluster.stop(record)
            await self._launch(record)

    async def _configure(self, record: Record, role: ReplicaRole) -> bool:
        least = 0
        if role is not ReplicaRole.PRIMARY:
            least = (await self.cluster.control(record)).max_connections
        return self.cluster.configure(record, role, least)

    async def _launch(self, record: Record, database: str = "hanse_admin") -> None:
        """Start and wait for an answer; a port that somebody else has taken is changed for the next try."""
        await self.cluster.launch(record)
        try:
            await wait_until(self.cluster, record.port, lambda _: True, database=database)
        except Temporary:
            if self.cluster.running() is None and "Address already in use" in self.cluster.log(8):
                self.save(port=self._shelf.free_port())
            raise

    async def _reloaded(self, record: Record, moment: float) -> bool:
        """Wait until new connections meet the settings of `moment`; False if some need a restart."""
        deadline = time.monotonic() + _RELOAD_SECONDS
        query = (
            "select extract(epoch from pg_conf_load_time()),"
            " exists(select from pg_settings where pending_restart)"
        )
        while time.monotonic() < deadline:
            async with session(self.cluster, record.port) as connection:
                row = await (await connection.execute(query)).fetchone()
            if row is not None and float(row[0]) >= moment:
                return not row[1]
            await asyncio.sleep(0.005)
        raise Temporary("database-silent", "A database does not take its new settings; trying again.", 1.0)


def _furniture(record: Record) -> str:
    return " ".join((*record.spec.databases, "+", *record.spec.extensions))
