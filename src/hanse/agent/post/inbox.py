"""Instructions from the hub: verified, aged, kept as received bytes, handed over."""

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ValidationError

from hanse.agent.parts import Parts
from hanse.agent.place.peers import Peers
from hanse.agent.post.outbox import Outbox
from hanse.model.replica.instruction import Generation, Instruction
from hanse.model.replica.observation import Declined, Failure
from hanse.model.replica.order import subject_of
from hanse.ports import Permanent

_TABLE = "instruction"
_META = "hub"
KIND = "hanse-instruction"


class Inbox:
    """Takes documents in; gives the newest accepted instruction of each subject out."""

    def __init__(self, parts: Parts, outbox: Outbox, peers: Peers, on_order: Callable[[str], None]) -> None:
        self._parts = parts
        self._outbox = outbox
        self._peers = peers
        self._on_order = on_order
        self._newest: dict[str, Instruction] = {}

    @property
    def since(self) -> int:
        """Highest serial that was taken in; 0 for none."""
        value = self._parts.journal.get(_META, "serial")
        return 0 if value is None else int(value["serial"])

    def subjects(self) -> tuple[str, ...]:
        """Every subject with an accepted instruction."""
        return tuple(subject for subject, _ in self._parts.journal.items(_TABLE))

    def newest(self, subject: str) -> Instruction | None:
        """The instruction in force for a subject."""
        if subject not in self._newest:
            document = self.document(subject)
            if not document:
                return None
            self._newest[subject] = Instruction.model_validate_json(_payload(document))
        return self._newest[subject]

    def document(self, subject: str) -> str:
        """The instruction in force as it was received; empty if there is none."""
        value = self._parts.journal.get(_TABLE, subject)
        return "" if value is None else str(value["document"])

    def take(self, documents: Sequence[str]) -> int:
        """Take in what the hub sent; returns how many were really the hub's."""
        genuine = 0
        for document in documents:
            try:
                payload = self._parts.signer.verify(document, KIND, self._parts.identity.hub_certificate_pem)
            except Permanent:
                continue
            genuine += 1
            self._take_one(document, payload)
        return genuine

    def _take_one(self, document: str, payload: bytes) -> None:
        try:
            instruction = Instruction.model_validate_json(payload)
        except ValidationError as error:
            self._decline_malformed(payload, error)
            return
        subject = instruction.subject
        known = self._generation(subject)
        wrong = self._refusal(instruction, known)
        if wrong is not None:
            self._decline(subject, instruction.generation, wrong)
        elif instruction.generation != known:
            self._accept(document, instruction)
        self._advance(instruction.serial)

    def _accept(self, document: str, instruction: Instruction) -> None:
        self._peers.learn(instruction.order)
        generation = instruction.generation
        self._parts.journal.put(
            _TABLE,
            instruction.subject,
            {"document": document, "era": generation.era, "number": generation.number},
        )
        self._newest[instruction.subject] = instruction
        self._on_order(instruction.subject)

    def _refusal(self, instruction: Instruction, known: Generation | None) -> Failure | None:
        if instruction.site != self._parts.identity.me.site:
            return _failure("wrong-site", f"the instruction is for {instruction.site}, not for this site")
        if instruction.subject != subject_of(instruction.order):
            return _failure(
                "malformed-instruction",
                f"the subject {instruction.subject} does not name its order, {subject_of(instruction.order)}",
            )
        if known is not None and instruction.generation < known:
            return _failure(
                "generation-too-old",
                f"generation {instruction.generation.era}.{instruction.generation.number} of"
                f" {instruction.subject} is older than {known.era}.{known.number}, which this site obeys",
            )
        return None

    def _generation(self, subject: str) -> Generation | None:
        value = self._parts.journal.get(_TABLE, subject)
        return None if value is None else Generation(era=int(value["era"]), number=int(value["number"]))

    def _advance(self, serial: int) -> None:
        if serial > self.since:
            self._parts.journal.put(_META, "serial", {"serial": serial})

    def _decline(self, subject: str, generation: Generation | None, failure: Failure) -> None:
        self._outbox.say(subject, Declined(), generation, failure)
        self._outbox.forget(subject)

    def _decline_malformed(self, payload: bytes, error: ValidationError) -> None:
        """A newer hub may order what this agent does not know: say so, and go on with the next."""
        try:
            fields: dict[str, Any] = json.loads(payload)
            subject, serial = str(fields["subject"]), int(fields["serial"])
            generation = Generation.model_validate(fields["generation"])
        except (ValueError, KeyError, TypeError):
            return
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        self._decline(
            subject,
            generation,
            _failure("malformed-instruction", f"this agent cannot read {subject}: {where}: {first['msg']}"),
        )
        self._advance(serial)


def _failure(code: str, message: str) -> Failure:
    return Failure(code=code, message=message[:1].upper() + message[1:] + ".", temporary=False)


def _payload(document: str) -> bytes:
    """Payload of a document that was verified when it was stored."""
    text = document.split(".")[1]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
