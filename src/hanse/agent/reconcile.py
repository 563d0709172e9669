"""One task a subject: hold what was ordered, again and again; say what stands in the way."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from hanse.agent.parts import Parts
from hanse.agent.post.inbox import Inbox
from hanse.agent.post.outbox import Outbox
from hanse.agent.waiting import Bell, backoff_seconds
from hanse.model.replica.instruction import Instruction
from hanse.model.replica.observation import Failure
from hanse.ports import Permanent, Temporary

_LONGEST_BACKOFF_SECONDS = 30.0
_DETAIL_CHARS = 4000
_FAULT = "agent-fault"
_log = logging.getLogger(__name__)


class Keeper(Protocol):
    """Holds one kind of order."""

    async def hold(self, instruction: Instruction) -> float | None:
        """One step. Seconds until the next look; None: not before a newer order."""
        ...


@runtime_checkable
class Yielding(Protocol):
    """A keeper whose step may take long, and may be cut short by a newer order."""

    def make_way(self, instruction: Instruction) -> None:
        """A newer instruction is in while a step for an older one runs. Cheap; at once."""
        ...


class Teller(Protocol):
    """Says that a subject is not as ordered."""

    def __call__(self, instruction: Instruction, failure: Failure) -> None:
        """The state as it is, with the failure."""
        ...


class Reconciler:
    """Level-triggered: what counts is the newest accepted instruction and what is there now."""

    def __init__(
        self, parts: Parts, inbox: Inbox, outbox: Outbox, keepers: Mapping[str, Keeper], tell: Teller
    ) -> None:
        self._parts = parts
        self._inbox = inbox
        self._outbox = outbox
        self._keepers = keepers
        """By kind of order."""
        self._tell = tell
        self._bells: dict[str, Bell] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._held: dict[str, Instruction] = {}
        """What a running step is for."""

    def start(self) -> None:
        """Begin with every subject that the journal knows."""
        for subject in self._inbox.subjects():
            self.wake(subject)

    def wake(self, subject: str) -> None:
        """Look at a subject now; begin if it is a new one. A step for an older order makes way."""
        self._make_way(subject)
        if subject in self._tasks:
            self._bells[subject].ring()
            return
        self._bells[subject] = Bell(self._parts.clock)
        self._tasks[subject] = asyncio.ensure_future(self._keep(subject))

    async def recover(self, subject: str) -> None:
        """One step before anything else goes on; what fails is tried again by `start`."""
        instruction = self._inbox.newest(subject)
        if instruction is not None:
            await self._step(instruction, 0)

    async def stop(self) -> None:
        """End all tasks. What they hold stays."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, subject: str) -> None:
        failures = 0
        while True:
            instruction = self._inbox.newest(subject)
            delay: float | None = None
            if instruction is not None:
                failed, delay = await self._step(instruction, failures)
                failures = failures + 1 if failed else 0
            await self._bells[subject].wait(delay)

    def _make_way(self, subject: str) -> None:
        held, newest = self._held.get(subject), self._inbox.newest(subject)
        if held is None or newest is None or newest.generation == held.generation:
            return
        keeper = self._keepers[newest.order.order]
        if isinstance(keeper, Yielding):
            keeper.make_way(newest)

    async def _step(self, instruction: Instruction, failures: int) -> tuple[bool, float | None]:
        self._held[instruction.subject] = instruction
        try:
            return await self._guarded(instruction, failures)
        finally:
            del self._held[instruction.subject]

    async def _guarded(self, instruction: Instruction, failures: int) -> tuple[bool, float | None]:
        try:
            return False, await self._keepers[instruction.order.order].hold(instruction)
        except Temporary as error:
            backoff = backoff_seconds(self._parts.random, failures + 1, _LONGEST_BACKOFF_SECONDS)
            delay = max(error.delay_seconds, backoff)
            self._tell(instruction, _failure(error.code, error.message, again=delay))
            return True, delay
        except Permanent as error:
            self._tell(instruction, _failure(error.code, error.message, error.detail))
            return True, None
        except Exception as error:  # noqa: BLE001 - one subject's fault must not stop the others
            _log.exception("a fault while holding %s", instruction.subject)
            delay = backoff_seconds(self._parts.random, failures + 1, _LONGEST_BACKOFF_SECONDS)
            message = (
                f"The agent met a fault while holding {instruction.subject} ({type(error).__name__})."
                " It tries again; the site's log has the details for the makers of Hanse."
            )
            self._tell(instruction, _failure(_FAULT, message, again=delay))
            return True, delay


def _failure(code: str, message: str, detail: str = "", *, again: float | None = None) -> Failure:
    return Failure(
        code=code,
        message=message,
        temporary=again is not None,
        retry_after_seconds=None if again is None else round(again),
        detail=detail[-_DETAIL_CHARS:],
    )
