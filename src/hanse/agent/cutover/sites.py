"""The route sites of a ticket, as its source and its target ask them. Nobody waits for one of them long."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from hanse.agent.parts import Parts
from hanse.agent.waiting import first_of
from hanse.model.replica.order import Ticket
from hanse.model.replica.spec import Peer
from hanse.ports import Permanent, Temporary
from hanse.replicas.cutover.actions import HoldStage

_HOLD_SECONDS = 2.5
_SWITCH_SECONDS = 5.0
_CONNECTORS_SECONDS = 3.0
"""How long held endpoints wait for the connectors of other sites to be switched."""
_TRIES = 5
_PAUSE_SECONDS = 1.0
_log = logging.getLogger(__name__)

Reply = dict[str, Any]
Here = Callable[[dict[str, Any]], Awaitable[Reply]]
"""Asks this site itself."""
Sealed = Callable[[Peer], dict[str, str]]
"""Grant name to sealed credential, for the consumers at one site."""


class RouteSites:
    """Sites with an endpoint or a connector that leads to the component."""

    def __init__(self, parts: Parts, ticket: Ticket, here: Here) -> None:
        self._parts = parts
        self._ticket = ticket
        self._here = here

    async def hold(self, document: str, stages: Sequence[HoldStage], wanted: Callable[[], bool]) -> bool:
        """Ask all to hold, one stage after the other, while it is `wanted`; True if all do. Never raises."""
        held = True
        for stage in stages:
            if wanted():
                told = await self._all(
                    partial(self._once, {"ask": "hold", "ticket": document, "stage": stage})
                )
                held = held and all(one is True for one in told)
        return held and wanted()

    async def greet(self) -> None:
        """Have a connection to each of them when it matters. Never raises."""
        await self._all(partial(self._once, {"ask": "greet"}))

    async def release(self, document: str) -> None:
        """Tell all that the source serves on. Never raises; a hold that misses it ends by itself."""
        message = {"ask": "release", "ticket": document}
        await self._all(partial(self._patiently, message))

    async def switch(self, document: str, relinquishment: str, sealed: Sealed) -> None:
        """Tell all where the component is served, with new credentials; then let held endpoints go.

        Best effort: the hub's next order heals a route that misses it. Never raises.
        """
        base = {"ask": "switch", "ticket": document, "relinquishment": relinquishment}
        if not self._ticket.holding:
            await self._all(lambda peer: self._patiently(base | {"credentials": sealed(peer)}, peer))
            return
        first = base | {"stage": "connectors"}
        connectors = asyncio.ensure_future(
            self._all(lambda peer: self._patiently(first | {"credentials": sealed(peer)}, peer))
        )
        try:
            await first_of(self._parts.clock, asyncio.shield(connectors), _CONNECTORS_SECONDS)
            await self._all(partial(self._patiently, base | {"stage": "endpoints"}))
            await connectors
        finally:
            connectors.cancel()

    async def _all(self, ask: Callable[[Peer], Awaitable[Any]]) -> list[Any]:
        return await asyncio.gather(*(ask(peer) for peer in self._ticket.routes), return_exceptions=True)

    async def _patiently(self, message: dict[str, Any], peer: Peer) -> None:
        for _ in range(_TRIES):
            if await self._once(message, peer):
                return
            await self._parts.clock.sleep(_PAUSE_SECONDS)

    async def _once(self, message: dict[str, Any], peer: Peer) -> bool:
        seconds = _HOLD_SECONDS if message["ask"] == "hold" else _SWITCH_SECONDS
        try:
            if peer.site == self._parts.identity.me.site:
                reply = {"ok": True} if message["ask"] == "greet" else await self._here(message)
            else:
                reply = await self._parts.carrier.ask(peer, message, seconds)
        except (Temporary, Permanent) as error:
            reply = {"ok": False, "reason": error.message}
        if not reply.get("ok"):
            what = (self._ticket.ticket, message["ask"], peer.site, reply.get("reason"))
            _log.info("ticket %s: %s was not done at %s: %s", *what)
        return bool(reply.get("ok"))
