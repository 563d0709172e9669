"""The target's part: prepare, catch up, wait for the relinquishment, serve, tell everybody."""

import asyncio
from dataclasses import replace
from typing import Any

from hanse.agent.cutover.papers import Page
from hanse.agent.cutover.run import Office, Run
from hanse.agent.cutover.sites import Here, Reply, RouteSites
from hanse.agent.replica.memory import Replica
from hanse.agent.replica.standby import GRACE_SECONDS
from hanse.drivers.contract import Following, Foreseeing, Source
from hanse.model.replica.order import ReplicaOrder
from hanse.model.replica.role import ReplicaRole
from hanse.model.replica.spec import Peer
from hanse.ports import Permanent, Temporary
from hanse.replicas.cutover import check_relinquishment
from hanse.replicas.cutover.actions import (
    RETRY_SECONDS,
    AskRelinquishment,
    CatchUp,
    KeepFollowing,
    Prepare,
    Refuse,
    Serve,
    SwitchRoutes,
    TellServing,
    WriteServing,
)
from hanse.replicas.cutover.events import (
    AbortTold,
    CaughtUp,
    Failed,
    PeerSilent,
    Relinquished,
    RoutesSwitched,
    ServingNow,
    ServingWritten,
)
from hanse.replicas.level import Refused

_ASK_SECONDS = 5.0


class TargetRun(Run):
    """This site follows, and serves once the source has signed the epoch over to it."""

    talks = (AskRelinquishment, TellServing, SwitchRoutes)

    def __init__(self, office: Office, page: Page, here: Here) -> None:
        super().__init__(office, page)
        self._sites = RouteSites(self.parts, self.ticket, here)
        self._handed: list[dict[str, Any]] = []
        self._waiting: dict[str, list[asyncio.Future[Reply]]] = {}
        self._dark_from: float | None = None
        self._serves_now = False
        self._is_ours = False
        self._is_caught_up = False

    def expect(self, request: str) -> "asyncio.Future[Reply]":
        """The reply to a request of the source, given when the machine has decided it."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(request, []).append(future)
        return future

    def tell_routes(self) -> None:
        """It serves, and ended before every route site had heard of it: tell them again."""
        self.talk(self._peer(SwitchRoutes()))

    def hand(self, grants: list[dict[str, Any]]) -> None:
        """The source's live credentials, for `Prepare`."""
        self._handed = grants

    def dark_since(self, dark_ms: int | None) -> None:
        """How long the source's clients have been waiting already, as it said just now."""
        if dark_ms is not None:
            self._dark_from = self.parts.clock.monotonic() - dark_ms / 1000

    def take_relinquishment(self, document: str) -> Refused | None:
        """Verify and keep the source's relinquishment; feed it. Raises Permanent(`signature-wrong`)."""
        memory = self.office.rooms.memory
        paper = self.office.papers.relinquishment_of(document, self.ticket)
        refused = check_relinquishment(self.ticket, paper, memory.standing(self.ticket.key))
        if refused is not None:
            return refused
        memory.keep_given(self.ticket.key, paper.from_epoch, document)
        if self.page.relinquishment != document:
            self.page = replace(self.page, relinquishment=document)
        self.feed(Relinquished(paper.position))
        return None

    def is_serving(self) -> bool:
        """Whether the decision to serve is in the journal."""
        standing = self.office.rooms.memory.standing(self.ticket.key)
        return standing.served_epoch > self.ticket.from_epoch

    @property
    def needs_lock(self) -> bool:
        """From `prepared` until it serves or is called off."""
        phase = self.page.state.phase
        return phase in {"prepared", "caught-up"} or (phase == "serving" and not self._serves_now)

    @property
    def is_passing(self) -> bool:
        """Until every route site was told."""
        phase = self.page.state.phase
        return phase in {"caught-up", "serving"} or (phase == "done" and not self.page.told)

    def local(self, action: Any) -> None:
        """A running pass gives way to a cut-over, and the last pass to its being called off."""
        follower = self.office.rooms.follower
        if isinstance(action, Prepare) and not self._is_ours:
            self._is_ours = True  # asked again, it must not end the last pass
            self.talk(self._sites.greet())
            follower.cut_short(self.ticket.key, GRACE_SECONDS)
        if isinstance(action, KeepFollowing):
            follower.cut_short(self.ticket.key)
        super().local(action)

    async def _local(self, action: Any) -> None:
        key = self.ticket.key
        match action:
            case Prepare():
                await self._prepare()
                self._answer("prepare", {"ok": True})
            case Refuse(code, reason):
                self._answer_all({"ok": False, "code": code, "reason": reason})
            case CatchUp(position):
                reached = await self._catch_up(position)
                self._is_caught_up = True
                self.feed(CaughtUp(reached))
                self._answer("catch_up", {"ok": True, "position": reached})
            case WriteServing(epoch):
                await self._write_serving(epoch)
                self.feed(ServingWritten())
            case Serve(_, after_seconds):
                await self.parts.clock.sleep(after_seconds)
                await self.office.roles.serve(self._replica(), {}, at_once=self._is_caught_up)
                self._measure()
                self._serves_now = True
                self.feed(ServingNow())
                await self.parts.clock.sleep(0)  # who waits for it is told before it is written down
                self.keep()
                self.office.rooms.voice.say(key, ready=True)
            case KeepFollowing():
                self.office.roles.forget(key)
                self.office.rooms.grants.forget(key)
                self._answer_all({"ok": False, "code": "ticket-aborted", "reason": self.page.state.reason})

    async def _peer(self, action: Any) -> None:
        match action:
            case AskRelinquishment(after_seconds):
                await self.parts.clock.sleep(after_seconds)
                await self._ask_relinquishment()
            case TellServing():
                await self._tell_serving()
            case SwitchRoutes():
                began = self.parts.clock.monotonic()
                switched = self._sites.switch(self.page.document, self.page.relinquishment, self._sealed)
                await asyncio.gather(switched, self._tell_serving())
                self.page = replace(self.page, told=True)
                self.keep()
                self.feed(RoutesSwitched())
                self.log(action, began)

    def failed(self, action: Any, error: Temporary | Permanent) -> None:
        """Answer the source's request with no, too."""
        request = {Prepare: "prepare", CatchUp: "catch_up"}.get(type(action))
        if request is not None:
            self._answer(request, {"ok": False, "code": error.code, "reason": error.message})
        self.feed(Failed(error.message))

    async def _prepare(self) -> None:
        rooms = self.office.rooms
        replica = self._replica()
        driver = self.office.roles.driver(replica.spec)
        rooms.grants.take_over(replica, self._handed, driver, self.page.state.ticket.from_epoch + 1)
        if isinstance(driver, Foreseeing):
            served = await driver.will_serve(replica.key)
            update = {"clients": served.clients, "followers": served.followers}
            rooms.memory.save(replica.model_copy(update=update))
        rooms.network.stream(replica.key, "clients")
        await rooms.network.hold()

    async def _catch_up(self, position: str) -> str:
        driver = self.office.roles.driver(self._replica().spec)
        if not isinstance(driver, Following):
            raise Permanent("cannot-follow", f"A {driver.kind} cannot take over its state here.")
        follower = self.office.rooms.follower
        done = await follower.catch_up(self.ticket.key, driver, self._source(), position)
        return done.position

    def _source(self) -> Source:
        known = self.office.rooms.follower.known_source(self.ticket.key)
        if known is not None:
            return known
        instruction = self.office.inbox.newest(f"replica/{self.ticket.key}")
        if instruction is not None and isinstance(instruction.order, ReplicaOrder):
            found = self.office.rooms.follower.source(instruction.order)
            if found is not None:
                return found
        raise Permanent("source-unknown", f"No order says how {self.ticket.key} is followed from here.")

    async def _write_serving(self, epoch: int) -> None:
        """The decision to serve is the one `save` in here."""
        update = {
            "role": ReplicaRole.PRIMARY,
            "epoch": epoch,
            "served": epoch,
            "relinquishment": "",
            "position": "",
        }
        try:
            self.office.rooms.memory.save(self._replica().model_copy(update=update))
        except (Temporary, Permanent):
            await self.parts.clock.sleep(RETRY_SECONDS)  # it is owed, so it is tried for ever
            raise
        self.office.rooms.follower.forget(self.ticket.key)

    async def _ask_relinquishment(self) -> None:
        message = {"ask": "ticket", "ticket": self.ticket.ticket}
        try:
            reply = await self.parts.carrier.ask(self.ticket.source, message, _ASK_SECONDS)
            if reply.get("relinquishment"):
                refused = self.take_relinquishment(str(reply["relinquishment"]))
                if refused is None:
                    return
        except (Temporary, Permanent) as error:
            self.feed(PeerSilent(error.message))
            return
        if reply.get("outcome") == "aborted":
            self.feed(AbortTold(str(reply.get("reason", "the source called it off"))))
        else:
            self.feed(PeerSilent("the source has not decided yet"))

    async def _tell_serving(self) -> None:
        """`hand_over` is answered once the decision is durable; then, once clients can come, told apart."""
        if self._answer("hand_over", {"ok": True, "serving": self._serves_now}) and not self._serves_now:
            return
        message = {"ask": "serving", "ticket": self.ticket.ticket, "dark_ms": self.page.dark_ms}
        try:
            await self.parts.carrier.ask(self.ticket.source, message, _ASK_SECONDS)
        except (Temporary, Permanent):
            return

    def _sealed(self, peer: Peer) -> dict[str, str]:
        """New credentials for the consumers at a site, where the kind makes new ones."""
        replica = self._replica()
        if not replica.is_pooled:
            return {}
        sealed = self.office.rooms.grants.sealed(self.ticket.key)
        return {name: text for name, text in sealed.items() if name.partition("@")[2] == peer.site}

    def _replica(self) -> Replica:
        replica = self.office.rooms.memory.get(self.ticket.key)
        if replica is None:
            raise Permanent("replica-missing", f"This site has no replica of {self.ticket.key}.")
        return replica

    def _answer(self, request: str, reply: Reply) -> bool:
        answered = False
        for future in self._waiting.pop(request, []):
            if not future.done():
                future.set_result(reply)
                answered = True
        return answered

    def _answer_all(self, reply: Reply) -> None:
        for request in list(self._waiting):
            self._answer(request, reply)

    def _measure(self) -> None:
        if self._dark_from is not None:
            dark_ms = round((self.parts.clock.monotonic() - self._dark_from) * 1000)
            self.page = replace(self.page, dark_ms=dark_ms)
