"""One part of one cut-over under way: feeds the machine, does its actions, keeps and says its state."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any, Protocol

from hanse.agent.cutover.papers import Page, Papers
from hanse.agent.place.peers import Peers
from hanse.agent.post.inbox import Inbox
from hanse.agent.post.outbox import Outbox
from hanse.agent.replica.roles import Roles, Rooms
from hanse.agent.waiting import Bell, first_of
from hanse.model.replica.observation import Failure
from hanse.ports import Permanent, Temporary
from hanse.replicas.cutover import advance, report
from hanse.replicas.cutover.actions import RETRY_SECONDS, AnswerTooLate
from hanse.replicas.cutover.events import DeadlinePassed, Failed

_SAY_SECONDS = 0.1
_PASSING_SECONDS = 1.0
"""How long the hub and the orders wait for a part that clients wait for, too."""
_log = logging.getLogger(__name__)


class Wake(Protocol):
    """Lets a subject be looked at again."""

    def __call__(self, subject: str) -> None:
        """Cheap; at once."""
        ...


@dataclass(frozen=True, slots=True)
class Office:
    """What every run needs."""

    rooms: Rooms
    roles: Roles
    papers: Papers
    inbox: Inbox
    outbox: Outbox
    peers: Peers
    wake: Wake


class Run(ABC):
    """Subclasses do the actions of one part: `_local` those that change this site, one at a time
    and under the replica's lock; `_peer` those that only talk, each on its own.
    """

    talks: tuple[type, ...] = ()
    """Actions that only talk to peers."""
    may_forget = False
    """True where a restart finds its way without the page, so that a full disk must not stop this part."""

    def __init__(self, office: Office, page: Page) -> None:
        self.office = office
        self.page = page
        self.parts = office.rooms.parts
        self.ticket = page.state.ticket
        self._queue: deque[Any] = deque()
        self._bell = Bell(self.parts.clock)
        self._session: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._deadline: asyncio.Task[None] | None = None
        self._saying: asyncio.Task[None] | None = None
        self._due = 0.0

    # -- for the desk -----------------------------------------------------------------------------

    def feed(self, event: Any) -> None:
        """One event: the machine decides, the journal keeps, the hub hears, the actions begin."""
        before = self.page.state
        state, actions = advance(before, event)
        try:
            if state != before:
                self.page = replace(self.page, state=state)
                self._keep_if_possible()
            for action in actions:
                self._begin(action)
        finally:
            if not self.is_open:
                self._stop_deadline()
            self._bell.ring()

    def keep(self) -> None:
        """Write the page and say it."""
        self.office.papers.write(self.page)
        self.say()

    def _keep_if_possible(self) -> None:
        try:
            self.keep()
        except Temporary as error:
            if not self.may_forget:
                raise
            _log.warning("ticket %s: %s", self.ticket.ticket, error.message)

    def say(self, failure: Failure | None = None) -> None:
        """Report this part soon: not while somebody waits for the next step, nor what passes at once."""
        if failure is not None:
            self._say(failure)
            return
        due = self.parts.clock.monotonic() + (_PASSING_SECONDS if self.is_passing else _SAY_SECONDS)
        if self._saying is not None and not self._saying.done():
            if self._due <= due:
                return
            self._saying.cancel()
        self._due = due
        self._saying = asyncio.ensure_future(self._say_at(due))

    async def _say_at(self, due: float) -> None:
        await self.parts.clock.sleep(max(0.0, due - self.parts.clock.monotonic()))
        self._say(None)

    def _say(self, failure: Failure | None) -> None:
        """Unless a weightier part of the same ticket is at this site."""
        state = self.page.state
        if self.page.part == "route" and self._is_party():
            return
        subject = f"ticket/{self.ticket.ticket}"
        instruction = self.office.inbox.newest(subject)
        self.office.outbox.say(
            subject,
            report(state, relinquishment=self.page.relinquishment, dark_ms=self.page.dark_ms),
            None if instruction is None else instruction.generation,
            failure,
        )

    def start_deadline(self) -> None:
        """The ticket's duration begins now, on this site's monotonic clock."""
        self._deadline = asyncio.ensure_future(self._wait_deadline())

    @property
    def is_open(self) -> bool:
        """False when this part is over."""
        return self.page.state.phase not in {"done", "aborted"}

    async def stop(self) -> None:
        """The agent ends: leave everything as it is."""
        self._stop_deadline()
        tasks = [task for task in (*self._tasks, self._session, self._saying) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- for the parts ----------------------------------------------------------------------------

    @property
    def needs_lock(self) -> bool:
        """True while orders must leave the replica alone."""
        return False

    @property
    def is_passing(self) -> bool:
        """True while clients wait for this part or for what comes right after it."""
        return False

    @abstractmethod
    async def _local(self, action: Any) -> None:
        """Do an action that changes this site."""

    @abstractmethod
    async def _peer(self, action: Any) -> None:
        """Do an action that asks or answers another site."""

    def local(self, action: Any) -> None:
        """Queue an action that changes this site."""
        self._queue.append(action)
        self._bell.ring()
        if self._session is None or self._session.done():
            self._session = asyncio.ensure_future(self._work())

    def talk(self, work: Coroutine[Any, Any, None]) -> None:
        """Let something run beside the rest."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- inside -----------------------------------------------------------------------------------

    def _begin(self, action: Any) -> None:
        if isinstance(action, AnswerTooLate):
            message = (
                f"Ticket {self.ticket.ticket} cannot be aborted: epoch {self.ticket.from_epoch} was already"
                " relinquished. The cut-over goes on; move back afterwards if that is wanted."
            )
            self.say(Failure(code="abort-too-late", message=message, temporary=False))
        elif isinstance(action, self.talks):
            self.talk(self._peer(action))
        else:
            self.local(action)

    async def _work(self) -> None:
        async with self.office.roles.lock(self.ticket.key):
            is_free = False
            while not is_free or self._queue or self.needs_lock:
                while self._queue:
                    await self._guarded(self._queue.popleft())
                if self.needs_lock:
                    await self._bell.wait(None)
                else:
                    await self._courtesy()
                    is_free = True
        self.office.wake(f"replica/{self.ticket.key}")

    async def _courtesy(self) -> None:
        """Keep the orders from the replica for a moment more, while clients wait for the other parts."""
        await first_of(self.parts.clock, self._passed(), _PASSING_SECONDS)

    async def _passed(self) -> None:
        while self.is_passing and not self._queue:
            await self._bell.wait(None)

    async def _guarded(self, action: Any) -> None:
        began = self.parts.clock.monotonic()
        try:
            await self._local(action)
        except (Temporary, Permanent) as error:
            self.failed(action, error)
        except Exception as error:  # noqa: BLE001 - a fault must end in a machine's word, not in silence
            _log.exception("ticket %s: a fault in %s", self.ticket.ticket, type(action).__name__)
            what = f"{type(action).__name__} met a fault of the agent ({type(error).__name__})"
            await self.parts.clock.sleep(RETRY_SECONDS)
            self.failed(action, Permanent("agent-fault", what))
        self.log(action, began)

    def log(self, action: Any, began: float) -> None:
        """How long an action took that began at a moment of the clock."""
        took = (self.parts.clock.monotonic() - began) * 1000
        _log.info("ticket %s: %s took %.0f ms", self.ticket.ticket, type(action).__name__, took)

    def failed(self, action: Any, error: Temporary | Permanent) -> None:  # noqa: ARG002
        """An action of this site failed."""
        self.feed(Failed(error.message))

    async def _wait_deadline(self) -> None:
        await self.parts.clock.sleep(self.ticket.deadline_seconds)
        self.feed(DeadlinePassed())

    def _stop_deadline(self) -> None:
        if self._deadline is not None and self._deadline is not asyncio.current_task():
            self._deadline.cancel()
        self._deadline = None

    def _is_party(self) -> bool:
        return self.parts.identity.me.site in {self.ticket.source.site, self.ticket.target.site}
