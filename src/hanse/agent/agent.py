"""The agent's core: recovers, obeys, reports, answers peers. Needs the hub only for new orders."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from hanse.agent.capacity import Capacity
from hanse.agent.cutover.desk import Desk
from hanse.agent.cutover.papers import Papers
from hanse.agent.cutover.run import Office
from hanse.agent.logs import Logs
from hanse.agent.parts import Parts
from hanse.agent.place.addresses import Addresses
from hanse.agent.place.peers import Peers
from hanse.agent.place.reach import Reach
from hanse.agent.place.words import Statement, tell_failure
from hanse.agent.post.inbox import Inbox
from hanse.agent.post.outbox import Outbox
from hanse.agent.reconcile import Reconciler
from hanse.agent.replica.bindings import Bindings
from hanse.agent.replica.grants import Grants
from hanse.agent.replica.memory import Memory
from hanse.agent.replica.network import Network
from hanse.agent.replica.pools import Pools
from hanse.agent.replica.roles import Roles, Rooms
from hanse.agent.replica.standby import Follower
from hanse.agent.replica.voice import Voice
from hanse.agent.routes import Routes
from hanse.agent.waiting import backoff_seconds, first_of, kept_up
from hanse.model.replica.instruction import Instruction
from hanse.model.replica.observation import Failure
from hanse.model.replica.order import ReplicaOrder
from hanse.model.replica.role import ReplicaRole
from hanse.ports import Permanent, Temporary

PULL_SECONDS = 25.0
_LONGEST_WAIT_SECONDS = 30.0
_STATEMENT_SECONDS = 10.0
_NETWORK_SECONDS = 5.0
_RECOVER_SECONDS = 10.0


class Agent:
    """One site's agent. `run` never returns by itself; cancel it and nothing that it holds stops."""

    def __init__(self, parts: Parts, peers: Peers | None = None) -> None:
        self.parts = parts
        self.peers = peers or Peers(parts.journal)
        self.outbox = Outbox(parts)
        self.memory = Memory(parts.journal)
        self.capacity = Capacity(parts, self.outbox)
        grants = Grants(parts)
        addresses = Addresses(parts.journal, parts.site_file, parts.port_is_free)
        self.network = Network(parts, self.memory, grants, addresses)
        self.pools = Pools(parts)
        self.voice = Voice(parts, self.outbox, self.memory, grants, self.network)
        self._statement = Statement(parts, self.outbox, self.capacity)
        self.inbox = Inbox(parts, self.outbox, self.peers, self._wake)
        rooms = Rooms(
            parts=parts,
            memory=self.memory,
            grants=grants,
            network=self.network,
            pools=self.pools,
            bindings=Bindings(parts, self.network, self.pools),
            follower=Follower(parts, self.voice),
            voice=self.voice,
        )
        self.roles = Roles(rooms)
        papers = Papers(parts)
        self.desk = Desk(Office(rooms, self.roles, papers, self.inbox, self.outbox, self.peers, self._wake))
        self._reconciler = Reconciler(parts, self.inbox, self.outbox, self._keepers(), self._tell)
        self._is_recovered = False
        self._recovering: asyncio.Future[list[None]] | None = None

    def _keepers(self) -> dict[str, Any]:
        return {
            "hold": self.capacity,
            "replica": self.roles,
            "ticket": self.desk,
            "route": Routes(self.network, self.outbox),
            "reach": Reach(self.parts, self.outbox),
            "logs": Logs(self.parts, self.memory, self.outbox),
        }

    async def recover(self) -> None:
        """After a start, before talking to anyone: every role that was held is held again."""
        subjects = [
            f"replica/{replica.key}"
            for replica in self.memory.all()
            if replica.role in {ReplicaRole.PRIMARY, ReplicaRole.FENCED}
        ]
        self._recovering = asyncio.gather(*(self._reconciler.recover(subject) for subject in subjects))
        # a part that takes long to start must not keep the others waiting: it goes on beside them
        await first_of(self.parts.clock, asyncio.shield(self._recovering), _RECOVER_SECONDS)
        await self._check_ways()
        self.desk.resume()
        self._is_recovered = True
        self._reconciler.start()

    async def run(self) -> None:
        """Recover, then obey and report until cancelled."""
        try:
            await self.recover()
            async with asyncio.TaskGroup() as tasks:
                for what, work in self._duties().items():
                    tasks.create_task(kept_up(self.parts.clock, what, work))
        finally:
            await self.stop()

    def _duties(self) -> dict[str, Callable[[], Awaitable[None]]]:
        clock, certificate = self.parts.clock, self.parts.hub_certificate
        duties: dict[str, Callable[[], Awaitable[None]]] = {
            "taking orders": self._pull,
            "reporting to the hub": self.outbox.run,
            "stating the offers": self._state,
            "watching the proxy and the poolers": self._watch_ways,
        }
        if certificate is not None:
            duties["renewing the certificate"] = lambda: certificate.keep(clock)
        return duties

    async def stop(self) -> None:
        """End the agent's own tasks. Parts go on; another agent on the same journal finds them."""
        self._is_recovered = False
        if self._recovering is not None:
            self._recovering.cancel()
            await asyncio.gather(self._recovering, return_exceptions=True)
        await self._reconciler.stop()
        await self.desk.stop()

    async def answer(self, thumbprint: str, message: dict[str, Any]) -> dict[str, Any]:
        """The reply to a peer that proved to hold the key with this thumbprint. Never raises."""
        peer = self.peers.by_thumbprint(thumbprint)
        if peer is None:
            return _no("peer-unknown", "This site knows no peer with that key. The hub introduces sites.")
        if not self._is_recovered:
            return _no("not-ready", "This site's agent has just started. Ask again in a moment.")
        if message.get("ask") in ("ping", "greet"):
            return {"ok": True, "site": self.parts.identity.me.site}
        try:
            return await self.desk.answer(peer, message)
        except (Permanent, Temporary) as error:
            return _no(error.code, error.message)
        except (KeyError, TypeError, ValueError) as error:
            return _no("question-malformed", f"The question lacks something: {error}.")

    def _wake(self, subject: str) -> None:
        if not self._is_recovered:
            return
        self._reconciler.wake(subject)
        if subject.startswith("hold/"):
            self._statement.ring()

    def _tell(self, instruction: Instruction, failure: Failure) -> None:
        order = instruction.order
        if isinstance(order, ReplicaOrder):
            self.voice.answer(order.key, instruction.generation)
            self.voice.say(order.key, ready=False, failure=failure)
        else:
            tell_failure(self.outbox, instruction, failure)

    async def _pull(self) -> None:
        failures = 0
        while True:
            try:
                await self._pull_once()
                failures = 0
            except (Temporary, Permanent) as error:
                failures += 1
                backoff = backoff_seconds(self.parts.random, failures, _LONGEST_WAIT_SECONDS)
                least = error.delay_seconds if isinstance(error, Temporary) else _LONGEST_WAIT_SECONDS
                await self.parts.clock.sleep(max(backoff, min(least, _LONGEST_WAIT_SECONDS)))

    async def _pull_once(self) -> None:
        before = self.inbox.since
        documents = await self.parts.carrier.instructions(before, PULL_SECONDS)
        self.inbox.take(documents)
        if documents and self.inbox.since == before:
            raise Temporary("hub-garbled", "The hub sent nothing that this site may obey.")

    async def _state(self) -> None:
        while True:
            await self._statement.say()
            await self._statement.wait(_STATEMENT_SECONDS)

    async def _watch_ways(self) -> None:
        """Somebody may have ended the site's proxy or poolers: what they should hold is held again."""
        while True:
            await self.parts.clock.sleep(_NETWORK_SECONDS)
            await self._check_ways()

    async def _check_ways(self) -> None:
        for check in (self.network.check, self.pools.check):
            with suppress(Temporary, Permanent):  # said by the subjects that need it, and tried again by them
                await check()


def _no(code: str, reason: str) -> dict[str, Any]:
    return {"ok": False, "code": code, "reason": reason}
