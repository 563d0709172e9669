"""Endpoints that this site carries for components, wherever those run."""

from hanse.agent.post.outbox import Outbox
from hanse.agent.replica.network import Network
from hanse.model.replica.instruction import Instruction
from hanse.model.replica.observation import RouteState
from hanse.model.replica.order import RouteOrder


class Routes:
    """One stable address for clients each."""

    def __init__(self, network: Network, outbox: Outbox) -> None:
        self._network = network
        self._outbox = outbox

    async def hold(self, instruction: Instruction) -> float | None:
        """Hold the address and send its traffic to the highest epoch known, or take it away."""
        order = instruction.order
        if not isinstance(order, RouteOrder):
            raise TypeError(f"{instruction.subject} is no route")
        name = f"endpoint:{order.application}/{order.component}"
        if order.upstream is None:
            await self._network.drop_route(name)
            state = RouteState(address="", port=0, epoch=0, upstream_site=None, ready=True)
        else:
            listen = self._network.addresses.endpoint(name, order.listen_port)
            upstreams = (order.upstream, order.standby_upstream)
            retries = order.retries_unavailable
            await self._network.route(name, order.protocol, listen, upstreams, retries_unavailable=retries)
            active = self._network.active(name) or order.upstream
            state = RouteState(
                address=listen[0],
                port=listen[1],
                epoch=active.epoch,
                upstream_site=active.stream.peer.site,
                ready=True,
            )
        self._outbox.say(instruction.subject, state, instruction.generation)
        return None
