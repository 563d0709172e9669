"""A route's part: once the relinquishment is shown, send requests to the target."""

from typing import Any

from hanse.agent.cutover.run import Run
from hanse.model.replica.spec import Upstream
from hanse.ports import Permanent, Temporary
from hanse.replicas.cutover.actions import SwitchRoute
from hanse.replicas.cutover.events import RoutesSwitched


class RouteRun(Run):
    """Endpoints and connectors at this site that lead to the component."""

    talks = (SwitchRoute,)

    async def _peer(self, action: Any) -> None:
        if isinstance(action, SwitchRoute):
            await self.switch(action.epoch)

    async def switch(self, epoch: int) -> None:
        """Send every route to the target's stream. A failure is left to the next look at the routes."""
        network = self.office.rooms.network
        upstream = Upstream(stream=self.ticket.target_stream, epoch=epoch)
        try:
            for name in network.routes_to(self.ticket.key.application, self.ticket.key.component):
                await network.switch(name, upstream)
        except (Temporary, Permanent):
            return
        self.feed(RoutesSwitched())
        self.office.wake(f"route/{self.ticket.key.application}/{self.ticket.key.component}")
