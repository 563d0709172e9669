"""Which peers this site reaches, and how far away they are: measured, not reckoned."""

import asyncio

from hanse.agent.parts import Parts
from hanse.agent.post.outbox import Outbox
from hanse.model.replica.instruction import Instruction
from hanse.model.replica.observation import ReachState
from hanse.model.replica.order import ReachOrder
from hanse.model.replica.spec import Peer
from hanse.ports import Permanent, Temporary

_ASK_SECONDS = 5.0
_TRIES = 3
_AT_ONCE = 8
_AGAIN_SECONDS = 300.0
_AGAIN_SOON_SECONDS = 5.0
_PAUSE_SECONDS = 1.0
"""A peer whose agent restarts is away for a moment only."""


class Reach:
    """Measures every peer of the reach order, from time to time; often while one is not reached."""

    def __init__(self, parts: Parts, outbox: Outbox) -> None:
        self._parts = parts
        self._outbox = outbox
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def hold(self, instruction: Instruction) -> float | None:
        """Measure now; seconds until the next time."""
        order = instruction.order
        if not isinstance(order, ReachOrder):
            raise TypeError(f"{instruction.subject} is no reach order")
        found = await asyncio.gather(*(self._measure(peer) for peer in order.peers))
        state = ReachState(
            rtt_ms={
                peer.site: ms for peer, ms in zip(order.peers, found, strict=True) if isinstance(ms, float)
            },
            unreachable={
                peer.site: why for peer, why in zip(order.peers, found, strict=True) if isinstance(why, str)
            },
        )
        self._outbox.say(instruction.subject, state, instruction.generation)
        return _AGAIN_SOON_SECONDS if state.unreachable else _AGAIN_SECONDS

    async def _measure(self, peer: Peer) -> float | str:
        """Milliseconds of the best of a few tries, or why there is no way."""
        if not peer.address:
            return "it states no data address"
        best: float | None = None
        why = ""
        for _ in range(_TRIES):
            try:
                async with self._turns:
                    ms = await self._ask(peer)
            except (Temporary, Permanent) as error:
                why = error.message
                await self._parts.clock.sleep(_PAUSE_SECONDS)
            else:
                best = ms if best is None else min(best, ms)
        return why if best is None else round(best, 2)

    async def _ask(self, peer: Peer) -> float:
        began = self._parts.clock.monotonic()
        reply = await self._parts.carrier.ask(peer, {"ask": "ping"}, _ASK_SECONDS)
        whole = (self._parts.clock.monotonic() - began) * 1000
        return float(reply.get("connect_ms", whole))
