"""A standby's passes: attach to the source, copy it first where that is needed, then wait for the log."""

import asyncio
import platform
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from hanse.drivers.contract import Pass, Report, Source
from hanse.drivers.postgres.accounts import slot_of
from hanse.drivers.postgres.failure import disk_full, is_full
from hanse.drivers.postgres.record import Login, Record
from hanse.drivers.postgres.replica import Replica
from hanse.drivers.postgres.seed.copying import Copying, Target
from hanse.drivers.postgres.seed.kept import Kept
from hanse.drivers.postgres.server import program
from hanse.drivers.postgres.server.cluster import own
from hanse.drivers.postgres.server.control import Position, differs, lsn_of
from hanse.drivers.postgres.session import NotYet, session
from hanse.drivers.postgres.source import Facts, Link, Stop, in_thread, link
from hanse.model.replica.observation import Progress
from hanse.model.replica.role import ReplicaKey, ReplicaRole
from hanse.ports import Permanent, Temporary

_LANES = 2
"""Connections over which a copy comes."""
_STILL_SECONDS = 20.0
"""After so long without any replay a pass gives up and says so."""
_STANDING = """
select coalesce(pg_last_wal_replay_lsn(), '0/0'),
       greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn(), '0/0'),
       pg_get_wal_replay_pause_state() = 'paused',
       exists(select from pg_stat_wal_receiver where status = 'streaming')
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a standby is."""

    replayed: Position
    received: int
    is_paused: bool
    is_streaming: bool


def check_kin(key: ReplicaKey, facts: Facts) -> None:
    """Raises Permanent(`version-differs`, `architecture-differs`) if this machine cannot run a copy."""
    if program.find_programs(facts.major) is None:
        here = ", ".join(str(one) for one in program.installed()) or "none"
        raise Permanent(
            "version-differs",
            f"The source of database {key} is PostgreSQL {facts.major}; this site has {here}. A copy needs "
            f"the same major version: install postgresql-{facts.major} here, or move to a site that has it.",
        )
    if facts.machine and facts.machine != platform.machine():
        raise Permanent(
            "architecture-differs",
            f"The source of database {key} runs on {facts.machine}, this site on {platform.machine()}. "
            "A copy of the files needs the same processor; move to another site.",
        )


class Following:
    """One pass of one replica at a site."""

    def __init__(self, replica: Replica, site: str, source: Source, report: Report) -> None:
        self._replica = replica
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._report_here = report
        self._slot = slot_of(site)
        self.stop = Stop()

    async def follow(self) -> Pass:
        """One pass; see `contract.Following`."""
        begun = time.monotonic()
        record = self._standby()
        login = await self._reach(record)
        facts = await in_thread(lambda: self._facts(login), self.stop)
        check_kin(self._replica.key, facts)
        moved = objects = 0
        if await self._needs_copy(record, login, facts):
            moved, objects = await self._copy(record, login, facts)
            facts = await in_thread(lambda: self._facts(login), self.stop)
        record = await self._attach(login)
        behind = await self._wait_for(record, facts.position)
        return Pass(
            bytes_moved=moved or behind,
            objects_moved=objects,
            bytes_total=facts.bytes_total,
            objects_total=facts.databases,
            position=str((await self._standing(record)).replayed),
            seconds=time.monotonic() - begun,
        )

    async def catch_up(self, position: str) -> Pass:
        """The last pass; see `contract.Following`. Quick where the log is already here."""
        begun = time.monotonic()
        wanted = Position.parse(position)
        name = self._replica.key.component
        if wanted is None:
            raise differs("that is no position in a database's log", name, position)
        record = self._standby()
        if record.content != "whole" or record.login is None:
            await self.follow()
        elif await self._reach(record) != record.login:
            await self._attach(await self._reach(record))
        record = self._standby()
        behind = await self._wait_for(record, wanted, beyond=True)
        standing = await self._standing(record)
        if standing.replayed.system != wanted.system:
            raise differs("it is a copy of another database", name, position)
        if standing.replayed.timeline != wanted.timeline:
            raise differs(f"it is on timeline {standing.replayed.timeline}", name, position)
        return Pass(behind, 0, 0, 0, position, time.monotonic() - begun)

    # -- the source -------------------------------------------------------------------------------

    def _standby(self) -> Record:
        record = self._replica.there()
        if record.role is not ReplicaRole.STANDBY:
            raise Permanent(
                "not-standby", f"{self._replica.key} is {record.role} here, so it follows nobody."
            )
        return record

    async def _reach(self, record: Record) -> Login:
        self._replica.cluster.prepare(record.uid)
        await self._replica.tunnel.hold(self._source, record.uid)
        fields = self._source.fields
        return Login(fields["user"], fields["password"], self._slot)

    def _facts(self, login: Login) -> Facts:
        with link(self._replica.tunnel.sockets, login, self.stop) as there:
            return there.facts(self._slot)

    async def _needs_copy(self, record: Record, login: Login, facts: Facts) -> bool:
        replica = self._replica
        if record.content != "whole" or not replica.cluster.is_there or record.major != facts.major:
            return True
        await replica.hold_standby(record)
        standing = await self._standing(record)
        own_timeline, end = standing.replayed.timeline, standing.received
        if standing.replayed.system != facts.position.system or facts.slot == "lost":
            return True
        if own_timeline == facts.position.timeline:
            if end > facts.position.lsn and not standing.is_streaming:
                facts = await in_thread(lambda: self._facts(login), self.stop)
            return end > facts.position.lsn and not standing.is_streaming
        if own_timeline > facts.position.timeline:
            return True

        def forked() -> int | None:
            with link(replica.tunnel.sockets, login, self.stop) as there:
                return there.fork(own_timeline, facts.position.timeline)

        fork = await in_thread(forked, self.stop)
        return fork is None or end > fork

    async def _attach(self, login: Login) -> Record:
        """The server streams from the source; its slot there keeps what it still needs."""
        record = self._standby()
        if record.login != login:

            def keep_log() -> None:
                with link(self._replica.tunnel.sockets, login, self.stop) as there:
                    if there.facts(self._slot).slot is None:
                        there.renew_slot(self._slot)

            if record.login is None or record.login.slot != login.slot:
                await in_thread(keep_log, self.stop)
            record = self._replica.save(login=login)
        await self._replica.hold_standby(record)
        return record

    # -- the first copy ---------------------------------------------------------------------------

    async def _copy(self, record: Record, login: Login, facts: Facts) -> tuple[int, int]:
        """Everything anew, or on from where an earlier copy of the same source was cut."""
        replica, cluster = self._replica, self._replica.cluster
        await cluster.kill(record.uid)
        kept = Kept(replica.cluster.place / "seed.list", facts.position.system)
        if record.content != "seeding" or kept.is_empty:
            cluster.wipe()
            (cluster.place / "seed.list").unlink(missing_ok=True)
            kept = Kept(cluster.place / "seed.list", facts.position.system)
        record = replica.save(content="seeding", major=facts.major, login=None)
        cluster.prepare(record.uid)

        def work() -> tuple[int, int]:
            with ExitStack() as stack:
                links = [stack.enter_context(link(replica.tunnel.sockets, login, self.stop))]
                links[0].renew_slot(self._slot)
                with suppress(Temporary):  # a source that is full of its clients has one to spare
                    while len(links) < _LANES:
                        links.append(stack.enter_context(link(replica.tunnel.sockets, login, self.stop)))
                return self._run_copy(links, record, kept)

        moved, objects = await in_thread(work, self.stop)
        cluster.configure(record, ReplicaRole.STANDBY)
        cluster.hold_back(record.uid)
        (cluster.place / "seed.list").unlink(missing_ok=True)
        replica.save(content="whole", login=login)
        return moved, objects

    def _run_copy(self, links: list[Link], record: Record, kept: Kept) -> tuple[int, int]:
        cluster = self._replica.cluster
        target = Target(cluster.data, record.uid, record.spec.size.disk_bytes, own)
        copying = Copying(links, target, kept, self.stop.check)
        try:
            listing = copying.run(f"hanse {self._replica.key}", self._report)
        except (Permanent, OSError) as error:
            if not is_full(error) and getattr(error, "code", "") != "disk-full":
                raise
            for one in links:
                one.shut()
            self._clean_up()
            raise error if isinstance(error, Permanent) else disk_full("its disk filled up") from error
        return copying.moved, len(listing.files)

    def _clean_up(self) -> None:
        """A copy that does not fit leaves nothing here; the slot goes with the next line to the source."""
        cluster = self._replica.cluster
        cluster.wipe()
        (cluster.place / "seed.list").unlink(missing_ok=True)
        self._replica.save(content="none")
        login = Login(self._source.fields["user"], self._source.fields["password"], self._slot)
        with link(self._replica.tunnel.sockets, login, self.stop) as again:
            again.drop_slot(self._slot)

    # -- the log ----------------------------------------------------------------------------------

    async def _wait_for(self, record: Record, wanted: Position, *, beyond: bool = False) -> int:
        """Until the log is replayed up to (`beyond`: past) a position; how many bytes that was.

        Raises Temporary(`following-stalled`) if nothing is replayed for long.
        """
        first = last = None
        moved_at = time.monotonic()
        while True:
            try:
                standing: Standing | None = await self._standing(record)
            except NotYet:
                standing = None
            if standing is not None and standing.is_paused:  # the source allows more connections by now
                await self._replica.hold_standby(record)
            now = time.monotonic()
            lsn = None if standing is None else standing.replayed.lsn
            if lsn is not None and (lsn > wanted.lsn or (lsn == wanted.lsn and not beyond)):
                return max(0, wanted.lsn - (lsn if first is None else first))
            first = lsn if first is None else first
            if lsn != last:
                last, moved_at = lsn, now
            if now - moved_at > _STILL_SECONDS:
                raise self._stalled(lsn, wanted)
            self._report_lag(lsn, wanted)
            self.stop.check()
            await asyncio.sleep(0.01 if beyond else 0.05)

    def _stalled(self, lsn: int | None, wanted: Position) -> Exception:
        lag = "an unknown number of" if lsn is None else str(wanted.lsn - lsn)
        said = self._replica.cluster.log(1)
        return Temporary(
            "following-stalled",
            f"Database {self._replica.key} here is {lag} bytes behind its source and gets no further. "
            f"Its server says: {said}",
            2.0,
        )

    async def _standing(self, record: Record) -> Standing:
        cluster = self._replica.cluster
        if cluster.running() is None:
            await self._replica.hold_standby(record)
        async with session(cluster, record.port, replication="database") as connection:
            identity: Any = await (await connection.execute("IDENTIFY_SYSTEM")).fetchone()
            row: Any = await (await connection.execute(_STANDING)).fetchone()
        replayed = Position(int(identity[0]), int(identity[1]), lsn_of(row[0]))
        return Standing(replayed, lsn_of(row[1]), bool(row[2]), bool(row[3]))

    def _report_lag(self, lsn: int | None, wanted: Position) -> None:
        lag = None if lsn is None else max(0, wanted.lsn - lsn)
        self._report(Progress(phase="replaying", lag_bytes=lag))

    def _report(self, progress: Progress) -> None:
        """Also from a thread: told in the loop that the caller lives in."""
        self._loop.call_soon_threadsafe(self._report_here, progress)
