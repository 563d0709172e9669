"""`ports.Carrier` on real wires: the hub's line, woken by WebSocket, and the channel to peers."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

from hanse.agent.post.channel import Channel
from hanse.agent.waiting import backoff_seconds
from hanse.model.replica.spec import Peer
from hanse.ports import Permanent, Random, Temporary

_LONGEST_WAIT_SECONDS = 60.0


class HubLine(Protocol):
    """What `wire.hub_client.HubClient` promises."""

    async def instructions(self, since: int, wait_seconds: float) -> Sequence[str]:
        """Signed instructions, oldest first."""
        ...

    async def observe(self, documents: Sequence[str]) -> None:
        """Deliver signed observations."""
        ...

    def wakes(self) -> AsyncIterator[None]:
        """One item when connected, then one whenever there may be something new."""
        ...


class SiteCarrier:
    """While the wake-up line is up, pulls are immediate and happen when it rings; else they long-poll."""

    def __init__(self, hub: HubLine, channel: Channel, random: Random) -> None:
        self._hub = hub
        self._channel = channel
        self._random = random
        self._rung = asyncio.Event()
        self._is_connected = False

    async def run(self) -> None:
        """Keep the wake-up line up, for ever."""
        failures = 0
        while True:
            try:
                async for _ in self._hub.wakes():
                    self._is_connected = True
                    failures = 0
                    self._rung.set()
            except (Temporary, Permanent):
                pass
            self._is_connected = False
            self._rung.set()
            failures += 1
            await asyncio.sleep(backoff_seconds(self._random, failures, _LONGEST_WAIT_SECONDS))

    async def instructions(self, since: int, wait_seconds: float) -> Sequence[str]:
        """Raises Temporary(`hub-unreachable`)."""
        if not self._is_connected:
            return await self._hub.instructions(since, wait_seconds)
        self._rung.clear()
        found = await self._hub.instructions(since, 0.0)
        if found:
            return found
        try:
            async with asyncio.timeout(wait_seconds):
                await self._rung.wait()
        except TimeoutError:
            return []
        return await self._hub.instructions(since, 0.0)

    async def observe(self, documents: Sequence[str]) -> None:
        """Raises Temporary(`hub-unreachable`)."""
        await self._hub.observe(documents)

    async def ask(self, peer: Peer, message: Mapping[str, Any], timeout_seconds: float) -> dict[str, Any]:
        """Raises Temporary(`peer-unreachable`)."""
        return await self._channel.ask(peer, message, timeout_seconds)
