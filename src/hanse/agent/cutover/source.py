"""The source's part: close, fence, have the target catch up, relinquish, hand over until it is taken."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Any

from hanse.agent.cutover.papers import Page
from hanse.agent.cutover.run import Office, Run
from hanse.agent.cutover.sites import Here, RouteSites
from hanse.agent.replica.claims import sign_relinquishment
from hanse.agent.waiting import first_of
from hanse.drivers.contract import Bracing
from hanse.model.replica.role import ReplicaRole
from hanse.ports import Permanent, Temporary
from hanse.replicas.cutover import begin_source
from hanse.replicas.cutover.actions import (
    HOLD_STAGES,
    RETRY_SECONDS,
    AskCatchUp,
    AskPrepare,
    CloseGate,
    Fence,
    HandOver,
    HoldRoutes,
    HoldStage,
    ReadJournal,
    ReleaseRoutes,
    Resume,
    TellAbort,
    WriteRelinquishment,
)
from hanse.replicas.cutover.events import (
    Fenced,
    GateClosed,
    PeerCaughtUp,
    PeerPrepared,
    PeerRefused,
    PeerServing,
    PeerSilent,
    RelinquishmentWritten,
    Restarted,
    RoutesHeld,
)

_ASK_SECONDS = 20.0
_SHORT_ASK_SECONDS = 5.0
_BRACE_SECONDS = 15.0
_LEAST_DRAIN_SECONDS = 0.5
"""For requests of clients that nobody holds."""


class Begin:
    """First local step: the replica's lock is ours."""


_PASSING = frozenset({"held", "closed", "fenced", "caught-up"})
"""Phases that take milliseconds, with clients waiting: a restart in them is as good as one in `prepared`."""


class SourceRun(Run):
    """This site has the epoch and gives it away."""

    talks = (AskPrepare, HoldRoutes, AskCatchUp, HandOver, TellAbort)
    may_forget = True

    def __init__(self, office: Office, page: Page, here: Here) -> None:
        super().__init__(office, page)
        self._sites = RouteSites(self.parts, self.ticket, here)
        self._closed_at: float | None = None
        self._all_held = self._nobody_asks = False
        self._clients_wait = False
        self._closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closing.set_result(None)

    @property
    def needs_lock(self) -> bool:
        """Until it is decided, and until a called-off cut-over is undone."""
        return self.page.state.phase not in {"relinquished", "done", "aborted"}

    def keep(self) -> None:
        """Write the page and say it, but for what passes at once."""
        if self.page.state.phase not in _PASSING:
            super().keep()

    @property
    def is_passing(self) -> bool:
        """Until the target lets clients in."""
        return self._clients_wait and self.page.state.phase in {"relinquished", "done"}

    def begin(self) -> None:
        """The ticket is admitted and written: go."""
        self.start_deadline()
        self.local(Begin())

    def relinquished(self) -> bool:
        """Whether the relinquishment of this ticket is in the journal; then it is on the page, too."""
        replica = self.office.rooms.memory.get(self.ticket.key)
        if replica is None or replica.given_away < self.ticket.from_epoch or not replica.relinquishment:
            return False
        try:
            paper = self.office.papers.relinquishment_of(replica.relinquishment, self.ticket)
        except Permanent:
            return False
        if paper.ticket != self.ticket.ticket:
            return False
        self.page = replace(self.page, relinquishment=replica.relinquishment)
        return True

    def serving(self, dark_ms: int | None) -> None:
        """The target says that clients can use it now, and for how long nobody could."""
        self._clients_wait = False
        self._measure(dark_ms)
        self.feed(PeerServing())
        self.keep()

    async def _local(self, action: Any) -> None:
        match action:
            case Begin():
                for first in begin_source():
                    self._begin(first)
            case CloseGate(drain_seconds):
                self._closed_at = self._closed_at or self.parts.clock.monotonic()
                await self._close(drain_seconds)
                self.feed(GateClosed())
            case Fence():
                position, _ = await asyncio.gather(self._driver().fence(self.ticket.key), self._closing)
                self.feed(Fenced(position))
            case WriteRelinquishment(position=position):
                self._relinquish(position)
                self.feed(RelinquishmentWritten())
            case ReadJournal():
                self.feed(Restarted(relinquished=self.relinquished()))
            case Resume():
                await self._resume()
            case ReleaseRoutes():
                self.talk(self._sites.release(self.page.document))

    async def _peer(self, action: Any) -> None:
        began = self.parts.clock.monotonic()
        await self._told(action)
        self.log(action, began)

    async def _close(self, drain_seconds: float) -> None:
        """Beside the fence, if every consumer is held: then there is nobody whose requests could end.

        If all sites held theirs until those requests had ended, little is left to wait for: who came by
        `hanse connect`. Else whoever was not held still has all of the time.
        """
        self._clients_wait = True
        if self._all_held:
            spent = self.parts.clock.monotonic() - (self._closed_at or 0.0)
            drain_seconds = 0.0 if self._nobody_asks else max(_LEAST_DRAIN_SECONDS, drain_seconds - spent)
        self._closing = asyncio.ensure_future(self.office.rooms.network.close(self.ticket.key, drain_seconds))
        if not self._nobody_asks:
            await self._closing

    async def _told(self, action: Any) -> None:
        try:
            match action:
                case HoldRoutes(seconds):
                    await self._hold_routes(seconds)
                case AskPrepare(after_seconds):
                    await self.parts.clock.sleep(after_seconds)
                    await self._ask_prepare()
                case AskCatchUp(position):
                    await self._ask_catch_up(position)
                case HandOver(after_seconds):
                    await self.parts.clock.sleep(after_seconds)
                    await self._hand_over()
                case TellAbort(reason):
                    message = {"ask": "abort", "ticket": self.ticket.ticket, "reason": reason}
                    await self.parts.carrier.ask(self.ticket.target, message, _SHORT_ASK_SECONDS)
        except (Temporary, Permanent) as error:
            if not isinstance(action, TellAbort):
                self.office.wake("reach")  # what the hub knows of the way may be old by now
                self.feed(PeerSilent(error.message))

    async def _hold_routes(self, seconds: float) -> None:
        """Endpoints only where a request would be lost; connectors always: trying again takes longer."""
        stages: tuple[HoldStage, ...] = HOLD_STAGES if self.ticket.holding else ("connectors",)
        self._closed_at = self.parts.clock.monotonic()
        await first_of(self.parts.clock, self._hold_all(stages), seconds)
        self.feed(RoutesHeld())

    async def _hold_all(self, stages: tuple[HoldStage, ...]) -> None:
        held = await self._sites.hold(self.page.document, stages, lambda: self.page.state.phase == "prepared")
        replica = self.office.rooms.memory.get(self.ticket.key)
        self._all_held = held
        self._nobody_asks = held and replica is not None and replica.is_pooled

    async def _ask_prepare(self) -> None:
        message = {
            "ask": "prepare",
            "ticket": self.page.document,
            "grants": self.office.rooms.grants.live(self.ticket.key),
        }
        reply = await self.parts.carrier.ask(self.ticket.target, message, _ASK_SECONDS)
        if reply.get("ok"):
            await self._brace()
        self.feed(PeerPrepared() if reply.get("ok") else _refused(reply))

    async def _brace(self) -> None:
        """While clients are still served: what would make the fence slow."""
        driver = self._driver()
        if isinstance(driver, Bracing):
            with suppress(Temporary, Permanent):
                await first_of(self.parts.clock, driver.brace(self.ticket.key), _BRACE_SECONDS)

    async def _ask_catch_up(self, position: str) -> None:
        message = {
            "ask": "catch_up",
            "ticket": self.ticket.ticket,
            "position": position,
            "dark_ms": self._dark_ms(),
        }
        reply = await self.parts.carrier.ask(self.ticket.target, message, self.ticket.deadline_seconds)
        self.feed(PeerCaughtUp(str(reply.get("position", ""))) if reply.get("ok") else _refused(reply))

    async def _hand_over(self) -> None:
        message = {
            "ask": "hand_over",
            "ticket": self.page.document,
            "relinquishment": self.page.relinquishment,
            "dark_ms": self._dark_ms(),
        }
        reply = await self.parts.carrier.ask(self.ticket.target, message, _ASK_SECONDS)
        if reply.get("ok"):
            self._measure()
            self.feed(PeerServing())
        else:
            self.feed(_refused(reply))

    def _relinquish(self, position: str) -> None:
        """The point of no return is the one `save` in here."""
        memory = self.office.rooms.memory
        replica = memory.get(self.ticket.key)
        if replica is None or replica.given_away >= self.ticket.from_epoch:
            raise Permanent("epoch-passed", f"{self.ticket.key} is not this site's to give away any more.")
        document = sign_relinquishment(self.parts, self.ticket, position)
        memory.save(
            replica.model_copy(
                update={
                    "role": ReplicaRole.FENCED,
                    "given_away": self.ticket.from_epoch,
                    "relinquishment": document,
                    "position": position,
                }
            )
        )
        self.office.roles.forget(self.ticket.key)
        self.page = replace(self.page, relinquishment=document)

    async def _resume(self) -> None:
        """Serve the same epoch again; nothing else can be done here until that works."""
        await asyncio.wait({self._closing})
        while True:
            replica = self.office.rooms.memory.get(self.ticket.key)
            if replica is None or replica.given_away >= self.ticket.from_epoch:
                return
            if replica.role is not ReplicaRole.PRIMARY:
                return
            try:
                await self.office.roles.serve(replica, {})
            except (Temporary, Permanent):
                await self.parts.clock.sleep(RETRY_SECONDS)
            else:
                self.office.rooms.voice.say(self.ticket.key, ready=True)
                return

    def _driver(self) -> Any:
        replica = self.office.rooms.memory.get(self.ticket.key)
        if replica is None:
            raise Permanent("replica-missing", f"This site has no replica of {self.ticket.key}.")
        return self.office.roles.driver(replica.spec)

    def _dark_ms(self) -> int | None:
        if self._closed_at is None:
            return None
        return round((self.parts.clock.monotonic() - self._closed_at) * 1000)

    def _measure(self, dark_ms: int | None = None) -> None:
        self.page = replace(self.page, dark_ms=dark_ms or self._dark_ms() or self.page.dark_ms)


def _refused(reply: dict[str, Any]) -> PeerRefused:
    return PeerRefused(str(reply.get("code", "refused")), str(reply.get("reason", "the target said no")))
