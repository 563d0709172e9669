"""What components write, for the readers whom the hub names: the last lines, sealed for each of them."""

from hanse.agent.parts import Parts
from hanse.agent.post.outbox import Outbox
from hanse.agent.replica.memory import Memory
from hanse.model.replica.instruction import Instruction
from hanse.model.replica.observation import LogsState
from hanse.model.replica.order import LogReader, LogsOrder
from hanse.model.replica.role import ReplicaKey
from hanse.ports import Permanent
from hanse.trust.sealing import SECRET_LIMIT_BYTES

TEXT_BYTES_MAX = SECRET_LIMIT_BYTES
FOLLOW_SECONDS = 2.0


class Logs:
    """Asks the driver while somebody reads; what it says goes through the hub unreadable."""

    def __init__(self, parts: Parts, memory: Memory, outbox: Outbox) -> None:
        self._parts = parts
        self._memory = memory
        self._outbox = outbox
        self._sealed: dict[str, dict[str, tuple[str, str]]] = {}
        """By subject and reader: the text, and its JWE; sealed anew only for new text."""

    async def hold(self, instruction: Instruction) -> float | None:
        """Tell every reader once; seconds until the next look, for those who follow or expire.

        Raises Permanent(`replica-unknown`) and what the driver raises.
        """
        order, subject = instruction.order, instruction.subject
        if not isinstance(order, LogsOrder):
            raise TypeError(f"{subject} is no order for logs")
        now = self._parts.clock.now()
        readers = [reader for reader in order.readers if reader.expires_at > now]
        text = await self._written(order.key, max(reader.lines for reader in readers)) if readers else ""
        before = self._sealed.get(subject, {})
        told = {reader.reader: self._told(reader, text, before.get(reader.reader)) for reader in readers}
        self._sealed[subject] = told
        state = LogsState(sealed={name: sealed for name, (_, sealed) in told.items()})
        self._outbox.say(subject, state, instruction.generation)
        if any(reader.follows for reader in readers):
            return FOLLOW_SECONDS
        return min(((reader.expires_at - now).total_seconds() for reader in readers), default=None)

    async def _written(self, key: ReplicaKey, lines: int) -> str:
        replica = self._memory.get(key)
        if replica is None:
            raise Permanent(
                "replica-unknown",
                f"{self._parts.identity.me.site} holds nothing of {key.application}/{key.component}, so it "
                "knows no word of it.",
            )
        return await self._parts.drivers[replica.spec.kind].logs(key, lines)

    def _told(self, reader: LogReader, text: str, before: tuple[str, str] | None) -> tuple[str, str]:
        text = bounded("\n".join(text.splitlines()[-reader.lines :]))
        if before is not None and before[0] == text:
            return before
        return text, self._parts.sealer.seal(text.encode(), reader.sealing_key)


def bounded(text: str) -> str:
    """The last whole lines of it, at most 48 KiB; of a longer line its end."""
    data = text.encode()
    if len(data) <= TEXT_BYTES_MAX:
        return text
    kept = data[-TEXT_BYTES_MAX:]
    _, newline, rest = kept.partition(b"\n")
    return (rest if newline else kept).decode(errors="ignore")
