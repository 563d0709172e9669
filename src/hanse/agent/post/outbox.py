"""Observations on their way to the hub: signed at once, kept until the hub has them."""

import logging
from collections.abc import Sequence

from hanse.agent.parts import Parts
from hanse.agent.waiting import Bell, backoff_seconds
from hanse.model.replica.instruction import Generation
from hanse.model.replica.observation import Failure, Observation, State
from hanse.model.shape import canonical_bytes
from hanse.ports import Permanent, Temporary

_TABLE = "outbox"
_BATCH = 50
_LONGEST_WAIT_SECONDS = 30.0
_log = logging.getLogger(__name__)


class Outbox:
    """The newest observation of each subject, durable from `say` until the hub took it.

    A newer one replaces an older one of the same subject; so what must never be lost (a
    relinquishment, an erasure) has to stand in every later state of its subject, and does.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._journal = parts.journal
        self._bell = Bell(parts.clock)
        self._said: dict[str, bytes] = {}

    def say(
        self, subject: str, state: State, generation: Generation | None, failure: Failure | None = None
    ) -> None:
        """Report a subject, unless exactly this was the last thing said of it since the start.

        Never raises: what a full disk does not let it write is said again with the next look.
        """
        draft = Observation(
            site=self._parts.identity.me.site,
            subject=subject,
            sequence=0,
            generation=generation,
            at=self._parts.clock.now(),
            state=state,
            failure=failure,
        )
        same = canonical_bytes(draft.model_copy(update={"at": _never(draft)}))
        if self._said.get(subject) == same:
            return
        try:
            self._write(subject, draft)
        except Temporary as error:
            _log.warning("%s was not reported: %s", subject, error.message)
            return
        self._said[subject] = same
        self._bell.ring()

    def _write(self, subject: str, draft: Observation) -> None:
        observation = draft.model_copy(update={"sequence": self._journal.next_number("observation")})
        document = self._parts.signer.sign(canonical_bytes(observation), "hanse-observation")
        self._journal.put(_TABLE, subject, {"sequence": observation.sequence, "document": document})

    def forget(self, subject: str) -> None:
        """Say the next state of a subject even if it equals the last one."""
        self._said.pop(subject, None)

    async def run(self) -> None:
        """Deliver for ever, oldest first. The hub may be away as long as it likes."""
        failures = 0
        while True:
            waiting = sorted(self._journal.items(_TABLE), key=lambda item: int(item[1]["sequence"]))[:_BATCH]
            if not waiting:
                await self._bell.wait(None)
                continue
            try:
                await self._parts.carrier.observe([str(value["document"]) for _, value in waiting])
                self._taken(waiting)
            except (Temporary, Permanent):
                failures += 1
                delay = backoff_seconds(self._parts.random, failures, _LONGEST_WAIT_SECONDS)
                await self._parts.clock.sleep(delay)
                continue
            failures = 0

    def _taken(self, delivered: Sequence[tuple[str, dict[str, object]]]) -> None:
        for subject, value in delivered:
            now = self._journal.get(_TABLE, subject)
            if now is not None and now["sequence"] == value["sequence"]:
                self._journal.delete(_TABLE, subject)


def _never(observation: Observation) -> object:
    return observation.at.replace(year=2000, month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
