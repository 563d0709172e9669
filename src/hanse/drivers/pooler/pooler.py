"""The connection poolers of a site: one pgbouncer for each consumer of each database.

A pause is safe by the fence at the database's site, not by the pooler; the pooler only makes that
clients see no error. What pgbouncer 1.18 does, and this room lives with:

- A login upstream that fails, or that a PAUSE ends, makes new statements fail at once until one
  succeeds. So a PAUSE waits for a login that is under way, and a RESUME for one that works.
- PAUSE closes idle connections at once and waits for the others; whoever asked may go away meanwhile.
  A cancelled one lets everybody through again, so nobody cancels it.
- It has no command that cuts off one client. What is over its deadline is ended at the server, so
  that only those clients see an error that held the others up.
"""

import asyncio
import hashlib
import os
import re
from collections import defaultdict
from pathlib import Path

from hanse.drivers.contract import Capability, Pool
from hanse.drivers.pooler.config import Rendered
from hanse.drivers.pooler.console import Line, Refused, line
from hanse.drivers.pooler.process import INSTALL, Bouncer, find_pgbouncer
from hanse.drivers.pooler.upstream import answers, terminate, terminate_idle
from hanse.ports import Permanent, Temporary

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9:/-]{0,199}", re.ASCII)
_ANSWER_SECONDS = 3.0
"""A console that is silent for so long belongs to a process that hangs."""
_LOGIN_SECONDS = 0.25
"""A login upstream that takes longer than this fails more likely than not."""
_CUT_SECONDS = 1.5
_HEARD_SECONDS = 0.2
_RESUME_SECONDS = 2.0
"""How long a resume waits for a login that works, before it lets clients see that none does."""
_STEP_SECONDS = 0.005


class PgbouncerPooler:
    """`drivers.contract.Pooler` on one pgbouncer process for each pool.

    `directory` is the pooler's alone (created, mode 0700). Each process runs as a user of its own.
    """

    def __init__(self, site: str, directory: Path) -> None:
        self._site = site
        self._directory = directory
        self._pools: dict[str, Pool] = {}
        self._holding = asyncio.Lock()
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._paused: set[str] = set()

    async def probe(self) -> Capability:
        """What this machine can do. Changes nothing."""
        missing = () if find_pgbouncer() else (f"pgbouncer: {INSTALL}",)
        shared = () if os.geteuid() == 0 else ("poolers run as the agent's own user",)
        return Capability("pooler", not missing, missing, shared)

    async def hold(self, pools: tuple[Pool, ...]) -> None:
        """Exactly these from now on; a paused one stays paused. One that hangs is started anew.

        Raises Permanent(`pool-invalid`, `port-taken`, `address-unusable`, `part-missing`) or Temporary
        (`pooler-not-started`, `pooler-silent`) for the first pool that cannot be held; the others are.
        """
        async with self._holding:
            _check_unique(pools)
            await self._leave({pool.name for pool in pools})
            before, self._pools = self._pools, {pool.name: pool for pool in pools}
            wanted = [pool for pool in pools if pool != before.get(pool.name) or not self._is_busy(pool)]
            found = await asyncio.gather(*(self._held(pool) for pool in wanted), return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException):
                raise one

    async def pause(self, name: str, seconds: float) -> bool:
        """Let no statement through any more; False if somebody was cut off.

        Raises Temporary(`pooler-silent`) if the process hangs. Ends within `seconds` and a few more.
        """
        async with self._locks[name]:
            bouncer = self._bouncer(name)
            record = bouncer.record()
            if record is None:
                return True
            self._paused.add(name)
            if bouncer.running() is None:
                return True
            async with (
                line(bouncer.work, record.port, _ANSWER_SECONDS) as first,
                line(bouncer.work, record.port, _ANSWER_SECONDS) as second,
            ):
                return await self._pause(name, first, second, seconds)

    async def resume(self, name: str) -> None:
        """Let statements through again, as soon as a login upstream works.

        Raises Temporary(`pooler-silent`) if the process hangs.
        """
        async with self._locks[name]:
            self._paused.discard(name)
            bouncer = self._bouncer(name)
            record = bouncer.record()
            if record is None or bouncer.running() is None:
                return
            async with line(bouncer.work, record.port, _ANSWER_SECONDS) as talk:
                database = await _asked_for(talk)
                if database is not None and name in self._pools:
                    await answers(self._pools[name], database, _RESUME_SECONDS)
                await _tell(talk, "RESUME")

    async def stop(self) -> None:
        """End all pooler processes of this site."""
        async with self._holding:
            await self._leave(set())
            self._pools = {}

    async def _leave(self, names: set[str]) -> None:
        """End and erase every pool but these, whoever made it."""
        places = self._directory.iterdir() if self._directory.is_dir() else ()
        kept = {self._place(name) for name in names}
        for place in sorted(set(places) - kept):
            await Bouncer(place).erase()
        self._paused &= names

    def _is_busy(self, pool: Pool) -> bool:
        """Being paused or resumed just now: what is to be held is there, and nobody waits to see it."""
        return self._locks[pool.name].locked()

    async def _held(self, pool: Pool) -> None:
        async with self._locks[pool.name]:
            bouncer = self._bouncer(pool.name)
            rendered = bouncer.render(pool)
            if not await self._told(pool, bouncer, rendered):
                await bouncer.start(pool, rendered)
                if pool.name in self._paused:
                    async with line(bouncer.work, pool.listen[1], _ANSWER_SECONDS) as talk:
                        await _tell(talk, "PAUSE")
            bouncer.trim()

    async def _told(self, pool: Pool, bouncer: Bouncer, rendered: Rendered) -> bool:
        """The process that runs does what `rendered` says; False if it takes a new one."""
        record = bouncer.told(rendered)
        if record is None:
            return False
        try:
            async with line(bouncer.work, record.port, _ANSWER_SECONDS) as talk:
                if record.digest != rendered.digest:
                    bouncer.write(rendered)
                    await _logins_over(talk)
                    await talk.ask("RELOAD", _ANSWER_SECONDS)
                    bouncer.loaded(pool, rendered)
        except (Temporary, Refused):
            return False
        return True

    async def _pause(self, name: str, first: Line, second: Line, seconds: float) -> bool:
        deadline = asyncio.get_running_loop().time() + seconds
        await _logins_over(second)
        first.send("PAUSE")
        sessions = await self._sessions(name, second)
        if sessions:
            await second.ask("RECONNECT", _ANSWER_SECONDS)
            terminate_idle(self._pools[name], sessions, seconds)
        over = await _quiet(first, second, deadline)
        if not over:
            await self._cut(name, second)
        return over and not sessions

    async def _sessions(self, name: str, talk: Line) -> dict[str, list[int]]:
        """Server processes that are kept for one client each: PAUSE alone would wait for those forever.

        RECONNECT ends them between two transactions, but looks only three times a second.
        """
        is_session = name in self._pools and self._pools[name].clients == "session"
        return await _busy(talk) if is_session else {}

    async def _cut(self, name: str, talk: Line) -> None:
        """End at the server what still runs there."""
        if name in self._pools:
            await terminate(self._pools[name], await _busy(talk), _CUT_SECONDS)
        await _none_busy(talk, asyncio.get_running_loop().time() + _HEARD_SECONDS)

    def _bouncer(self, name: str) -> Bouncer:
        return Bouncer(self._place(name))

    def _place(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise Permanent(
                "pool-invalid", f"{name[:80]!r} has characters that the name of a pool cannot have."
            )
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        readable = re.sub(r"[^A-Za-z0-9-]", ".", name)[:150]
        return self._directory / f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


async def _quiet(first: Line, second: Line, deadline: float) -> bool:
    """The PAUSE that `first` asked for is done; False if it is not in time. It goes on then."""
    left = deadline - asyncio.get_running_loop().time()
    try:
        await first.answer(max(left, 0.0))
    except Refused:  # it was paused before
        return await _none_busy(second, deadline)
    except Temporary:
        return False
    return True


async def _none_busy(talk: Line, deadline: float) -> bool:
    """Wait until no client has a server; False if that is not so in time."""
    loop = asyncio.get_running_loop()
    busy = await _busy(talk)
    while busy and loop.time() < deadline:
        await asyncio.sleep(_STEP_SECONDS)
        busy = await _busy(talk)
    return not busy


async def _busy(talk: Line) -> dict[str, list[int]]:
    """Server processes that clients have now, by database."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for row in await talk.ask("SHOW SERVERS", _ANSWER_SECONDS):
        if row["state"] == "active":
            found[row["database"]].append(int(row["remote_pid"]))
    return dict(found)


async def _logins_over(talk: Line) -> None:
    """Wait a moment until no login upstream is under way."""
    for _ in range(int(_LOGIN_SECONDS / _STEP_SECONDS)):
        pools = await talk.ask("SHOW POOLS", _ANSWER_SECONDS)
        if not any(int(row["sv_login"]) for row in pools):
            return
        await asyncio.sleep(_STEP_SECONDS)


async def _asked_for(talk: Line) -> str | None:
    """The database that most clients of the pool are connected to."""
    pools = [row for row in await talk.ask("SHOW POOLS", _ANSWER_SECONDS) if row["database"] != "pgbouncer"]
    if not pools:
        return None
    most = max(pools, key=lambda row: (int(row["cl_waiting"]), int(row["cl_active"]), row["database"]))
    return most["database"] if int(most["cl_waiting"]) + int(most["cl_active"]) else None


async def _tell(talk: Line, command: str) -> None:
    """Have it so: what is so already is no error."""
    try:
        await talk.ask(command, _ANSWER_SECONDS)
    except Refused:
        return


def _check_unique(pools: tuple[Pool, ...]) -> None:
    names, listens = [pool.name for pool in pools], [pool.listen for pool in pools]
    for pool in pools:
        if names.count(pool.name) > 1:
            raise Permanent("pool-invalid", f"The pool {pool.name[:200]} is named twice.")
        if listens.count(pool.listen) > 1:
            raise Permanent(
                "port-taken",
                f"Two pools want {pool.listen[0]} port {pool.listen[1]}; nothing was changed.",
            )
