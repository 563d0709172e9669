"""The poolers between consumers here and databases: one desired set, computed from the journal alone."""

import asyncio
from typing import Any

from hanse.agent.parts import Parts
from hanse.agent.replica.grants import Opened
from hanse.drivers.contract import Pool
from hanse.model.replica.spec import Clients
from hanse.ports import Permanent

_TABLE = "pool"
_PASSWORD_BYTES = 24


class Pools:
    """One pool for each consumer here of each database, named as the route that it goes through.

    A pool uses the credential of the highest epoch that it was given, and never goes back.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._journal = parts.journal
        self._held: tuple[Pool, ...] | None = None
        self._paused: dict[str, tuple[str, float]] = {}
        """Pools that let nothing through: on whose behalf, until when. Never outlives the agent."""
        self._unsure: set[str] = {name for name, _ in parts.journal.items(_TABLE)}
        """Pools that may be paused although they should not be: an earlier agent may have done it."""
        self._lock = asyncio.Lock()

    async def pool(
        self,
        name: str,
        between: tuple[tuple[str, int], tuple[str, int]],
        clients: Clients,
        credential: Opened,
    ) -> dict[str, str]:
        """Hold a pool between (listen, upstream); the user and password that the consumer logs in with."""
        row = self._journal.get(_TABLE, name)
        own = row["own"] if row is not None else self._own(name)
        wanted = {
            "listen": list(between[0]),
            "upstream": list(between[1]),
            "clients": clients,
            "own": own,
            **_later(row, credential),
        }
        if wanted != row:
            self._journal.put(_TABLE, name, wanted)
        if row is not None and wanted["epoch"] > row["epoch"] and self._paused.pop(name, None) is not None:
            self._unsure.add(name)  # the hub's order came before the switch that it was paused for
        await self.hold()
        await self._resume_unsure()
        return dict(own)

    def log_in_with(self, name: str, credential: Opened) -> None:
        """Upstream with a newer credential, durably; `hold` makes it so. Nothing if there is no such pool."""
        row = self._journal.get(_TABLE, name)
        if row is not None and (changed := row | _later(row, credential)) != row:
            self._journal.put(_TABLE, name, changed)

    def has(self, name: str) -> bool:
        """Whether a route here has a pool in front of it."""
        return self._journal.get(_TABLE, name) is not None

    def login_epoch(self, name: str) -> int:
        """The epoch of the primary that a pool has a login for."""
        return int((self._journal.get(_TABLE, name) or {})["epoch"])

    async def drop(self, name: str) -> None:
        """Take a pool away, and with it the consumer's own credential."""
        if self._journal.get(_TABLE, name) is not None:
            self._journal.delete(_TABLE, name)
            self._paused.pop(name, None)
            await self.hold()

    async def pause(self, name: str, by: str, drain_seconds: float, seconds: float) -> bool:
        """Let no statement through for at most `seconds`; transactions may end within `drain_seconds`.

        False: some client was cut off. Nothing happens if there is no such pool.
        """
        if self._journal.get(_TABLE, name) is None:
            return True
        self._paused[name] = (by, self._parts.clock.monotonic() + seconds)
        return await self._parts.pooler.pause(name, drain_seconds)

    async def resume(self, name: str, by: str) -> None:
        """Let statements through again, with the newest credential, unless paused for somebody else.

        What fails is done by `check`.
        """
        if self._paused.get(name, ("", 0.0))[0] == by:
            del self._paused[name]
            self._unsure.add(name)
        await self.hold()
        await self._resume_unsure()

    async def hold(self) -> None:
        """Bring the poolers to the desired set. Raises Permanent or Temporary as they do."""
        async with self._lock:
            wanted = tuple(_pool(name, row) for name, row in self._journal.items(_TABLE))
            if self._held == wanted:
                return
            self._held = None
            if wanted:
                await self._parts.pooler.hold(wanted)
            else:
                await self._parts.pooler.stop()  # none runs for nothing
            self._held = wanted

    async def check(self) -> None:
        """Hold everything again, in case a pooler was ended or paused by somebody, or paused too long."""
        self._held = None
        await self.hold()
        now = self._parts.clock.monotonic()
        for name in [name for name, (_, until) in self._paused.items() if until <= now]:
            self._unsure.add(name)
            del self._paused[name]
        await self._resume_unsure()

    async def _resume_unsure(self) -> None:
        for name in sorted(self._unsure - set(self._paused)):
            await self._parts.pooler.resume(name)
            self._unsure.discard(name)

    def _own(self, name: str) -> dict[str, str]:
        consumer = name.split("/")[1]
        return {"user": consumer, "password": self._parts.random.token(_PASSWORD_BYTES)}


def _later(row: dict[str, Any] | None, credential: Opened) -> dict[str, Any]:
    """The login of the later epoch; of two for one epoch, the one that came last."""
    if row is not None and row["epoch"] > credential.epoch:
        return {"login": row["login"], "epoch": row["epoch"]}
    login = {one: credential.fields.get(one, "") for one in ("user", "password")}
    if not all(login.values()):
        raise Permanent(
            "credential-malformed",
            "A database's credential that was sealed for this site has no user or no password."
            " The site that made it runs another version; update both.",
        )
    return {"login": login, "epoch": credential.epoch}


def _pool(name: str, row: dict[str, Any]) -> Pool:
    return Pool(
        name=name,
        listen=(row["listen"][0], row["listen"][1]),
        upstream=(row["upstream"][0], row["upstream"][1]),
        clients=row["clients"],
        own=row["own"],
        login=row["login"],
    )
