"""A cut-over's papers and memory: tickets as the hub signed them, relinquishments, how far each part is."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from hanse.agent.parts import Parts
from hanse.agent.replica.claims import RELINQUISHMENT
from hanse.model.document.claim import Relinquishment
from hanse.model.replica.instruction import Instruction
from hanse.model.replica.order import Ticket, TicketOrder
from hanse.ports import Permanent
from hanse.replicas.cutover import RouteSwitch, SourceCutOver, TargetCutOver

_TABLE = "ticket"
Part = Literal["source", "target", "route"]
CutOver = SourceCutOver | TargetCutOver | RouteSwitch


@dataclass(frozen=True, slots=True)
class Page:
    """One part of one cut-over as the journal has it."""

    part: Part
    state: CutOver
    document: str
    """The hub's signed instruction that holds the ticket."""
    relinquishment: str = ""
    dark_ms: int | None = None
    told: bool = True
    """False for a target until it has told every route site, or has tried long enough."""


class Papers:
    """Every ticket that was ever admitted or refused here. A ticket is good for one cut-over."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._journal = parts.journal

    def read(self, part: Part, ticket: str) -> Page | None:
        """How a part of a cut-over stands, or None if its ticket was never seen."""
        row = self._journal.get(_TABLE, f"{part}/{ticket}")
        return None if row is None else self._page(part, row)

    def write(self, page: Page) -> None:
        """Durable when this returns."""
        state = page.state
        row: dict[str, Any] = {
            "ticket": state.ticket.model_dump(mode="json"),
            "document": page.document,
            "phase": state.phase,
            "reason": state.reason,
            "relinquishment": page.relinquishment,
            "dark_ms": page.dark_ms,
            "told": page.told,
        }
        if not isinstance(state, RouteSwitch):
            row["position"] = state.position
        if isinstance(state, TargetCutOver):
            row["relinquished_position"] = state.relinquished_position
        self._journal.put(_TABLE, f"{page.part}/{state.ticket.ticket}", row)

    def all(self) -> Iterator[Page]:
        """Every part of every cut-over that was ever seen here."""
        for key, row in self._journal.items(_TABLE):
            match key.partition("/")[0]:
                case "source":
                    yield self._page("source", row)
                case "target":
                    yield self._page("target", row)
                case _:
                    yield self._page("route", row)

    def used(self, part: Part) -> frozenset[str]:
        """Tickets that this part was admitted with, or refused."""
        prefix = f"{part}/"
        return frozenset(
            key.removeprefix(prefix) for key, _ in self._journal.items(_TABLE) if key.startswith(prefix)
        )

    def ticket_of(self, document: str) -> Ticket:
        """The ticket in an instruction of the hub for any site.

        Raises Permanent(`signature-wrong`, `ticket-malformed`).
        """
        payload = self._parts.signer.verify(
            document, "hanse-instruction", self._parts.identity.hub_certificate_pem
        )
        try:
            order = Instruction.model_validate_json(payload).order
        except ValidationError as error:
            raise _malformed("the instruction cannot be read") from error
        if not isinstance(order, TicketOrder):
            raise _malformed(f"the instruction is a {order.order} order")
        return order.ticket

    def relinquishment_of(self, document: str, ticket: Ticket) -> Relinquishment:
        """What the ticket's source signed. Raises Permanent(`signature-wrong`, `ticket-malformed`)."""
        payload = self._parts.signer.verify(document, RELINQUISHMENT, ticket.source.certificate_pem)
        try:
            return Relinquishment.model_validate_json(payload)
        except ValidationError as error:
            raise _malformed("the relinquishment cannot be read") from error

    def _page(self, part: Part, row: dict[str, Any]) -> Page:
        ticket = Ticket.model_validate(row["ticket"])
        phase, reason = row["phase"], row["reason"]
        state: CutOver
        match part:
            case "source":
                state = SourceCutOver(ticket, phase, row["position"], reason)
            case "target":
                state = TargetCutOver(ticket, phase, row["position"], row["relinquished_position"], reason)
            case "route":
                state = RouteSwitch(ticket, phase, reason)
        told = bool(row.get("told", True))
        return Page(part, state, row["document"], row["relinquishment"], row["dark_ms"], told)


def _malformed(why: str) -> Permanent:
    return Permanent("ticket-malformed", f"A cut-over's papers were refused: {why}. Nothing was done.")
