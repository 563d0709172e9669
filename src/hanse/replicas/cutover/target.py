"""The target's part of a cut-over: serve on the source's signed relinquishment and on nothing else."""

from dataclasses import dataclass
from typing import Literal

from hanse.model.replica.order import Ticket
from hanse.replicas.cutover.events import TargetAction, TargetEvent

TargetPhase = Literal["accepted", "prepared", "caught-up", "serving", "done", "aborted"]


@dataclass(frozen=True, slots=True)
class TargetCutOver:
    """How far the target is. Keep `phase` and `position` in the journal from `caught-up` on."""

    ticket: Ticket
    phase: TargetPhase = "accepted"
    position: str = ""
    """What the last pass verified."""
    relinquished_position: str | None = None
    """From the relinquishment in hand; None: not in hand."""
    reason: str = ""


def advance_target(
    state: TargetCutOver, event: TargetEvent
) -> tuple[TargetCutOver, tuple[TargetAction, ...]]:
    """The next state and what to do.

    A valid relinquishment is obeyed in every phase, also after an abort: the source has decided. If the
    last pass is missing (this site lost it), it is done first; the fenced source still serves followers.
    """
    raise NotImplementedError
