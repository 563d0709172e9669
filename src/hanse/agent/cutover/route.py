"""A route's part: hold clients while the source asks for it; once the relinquishment is shown, switch."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from hanse.agent.cutover.papers import Page
from hanse.agent.cutover.run import Office, Run
from hanse.agent.replica.grants import open_grant
from hanse.model.replica.spec import Upstream
from hanse.ports import Permanent, Temporary
from hanse.replicas.cutover import RouteSwitch
from hanse.replicas.cutover.actions import HoldRoute, HoldStage, ReleaseRoute, SwitchRoute
from hanse.replicas.cutover.events import HoldAsked, RoutesSwitched

_log = logging.getLogger(__name__)


class RouteRun(Run):
    """Endpoints and connectors at this site that lead to the component, or to its consumers."""

    talks = (HoldRoute, ReleaseRoute, SwitchRoute)

    def __init__(self, office: Office, page: Page) -> None:
        super().__init__(office, page)
        self._turn = asyncio.Lock()

    def hold(self, stage: HoldStage) -> None:
        """The source asks; what is held is let go at the ticket's deadline at the latest."""
        if self._deadline is None:
            self.start_deadline()
        self.feed(HoldAsked(stage))

    def holds(self, stage: HoldStage) -> bool:
        """Whether clients are held at this stage now."""
        state = self.page.state
        return isinstance(state, RouteSwitch) and stage in state.held

    def take_credentials(self, sealed: Mapping[str, str]) -> None:
        """New credentials for consumers here, by grant name; used from the switch on."""
        for name in self._connectors():
            grant = f"{name.split('/')[1]}@{self.parts.identity.me.site}"
            if grant not in sealed:
                continue
            try:
                self.office.rooms.pools.log_in_with(name, open_grant(self.parts, str(sealed[grant])))
            except (Temporary, Permanent) as error:  # the hub's next order brings it again
                _log.warning("ticket %s: the credential of %s: %s", self.ticket.ticket, name, error.message)
        if sealed and self._is_switched():
            self.talk(self._in_turn("resume", self._resume))

    async def settled(self) -> None:
        """Until everything that was begun has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _local(self, action: Any) -> None:
        """None: nothing here needs the lock of a replica."""

    async def _peer(self, action: Any) -> None:
        began = self.parts.clock.monotonic()
        await self._in_turn(type(action).__name__, lambda: self._do(action))
        self.log(action, began)

    async def _in_turn(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        async with self._turn:
            try:
                await work()
            except (Temporary, Permanent) as error:  # left to the next look at the routes
                _log.warning("ticket %s: %s failed: %s", self.ticket.ticket, what, error.message)

    async def _do(self, action: Any) -> None:
        match action:
            case HoldRoute(stage, drain_seconds) if self.holds(stage):
                await self._hold(stage, drain_seconds)
            case ReleaseRoute():
                await self._release()
            case SwitchRoute(epoch):
                await self._switch(epoch)

    async def _hold(self, stage: HoldStage, drain_seconds: float) -> None:
        network, pools = self.office.rooms.network, self.office.rooms.pools
        ticket = self.ticket
        limits = (drain_seconds, ticket.deadline_seconds)
        work: list[Coroutine[Any, Any, Any]] = []
        for name in self._endpoints() if stage == "endpoints" else self._connectors():
            hold = pools.pause if pools.has(name) else network.keep_back
            work.append(hold(name, ticket.ticket, *limits))
        for ended in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(ended, Temporary | Permanent):
                _log.warning("ticket %s: not held: %s", ticket.ticket, ended.message)

    async def _release(self) -> None:
        rooms = self.office.rooms
        await self._resume()
        for name in self._endpoints():
            await rooms.network.let_go(name, self.ticket.ticket)

    async def _switch(self, epoch: int) -> None:
        rooms = self.office.rooms
        upstream = Upstream(stream=self.ticket.target_stream, epoch=epoch)
        key = self.ticket.key
        try:
            for name in rooms.network.routes_to(key.application, key.component):
                await rooms.network.switch(name, upstream)
        finally:
            await self._resume()
        self.feed(RoutesSwitched())
        self.office.wake(f"route/{key.application}/{key.component}")

    async def _resume(self) -> None:
        """Connectors; once switched, of those with a pool only where it has a login for where it leads now.

        The hub may relay the relinquishment before the target has said which logins it made. Who waits for
        one is let go by the target's word, by the hub's next order, or when the pause has lasted its time.
        """
        network, pools = self.office.rooms.network, self.office.rooms.pools
        for name in self._connectors():
            if not pools.has(name):
                await network.let_go(name, self.ticket.ticket)
            elif not self._is_switched() or pools.login_epoch(name) > self.ticket.from_epoch:
                await pools.resume(name, self.ticket.ticket)

    def _is_switched(self) -> bool:
        return self.page.state.phase in {"switching", "switched", "done"}

    def _connectors(self) -> list[str]:
        key = self.ticket.key
        names = self.office.rooms.network.routes_to(key.application, key.component)
        return [name for name in names if name.startswith("connector:")]

    def _endpoints(self) -> list[str]:
        return [f"endpoint:{self.ticket.key.application}/{consumer}" for consumer in self.ticket.holding]
