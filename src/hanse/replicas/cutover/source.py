"""The source's part of a cut-over. It alone decides, and its one durable write is the decision."""

from dataclasses import dataclass
from typing import Literal

from hanse.model.replica.order import Ticket
from hanse.replicas.cutover.events import AskPrepare, SourceAction, SourceEvent

SourcePhase = Literal[
    "accepted", "prepared", "closed", "fenced", "caught-up", "relinquished", "done", "aborted"
]


@dataclass(frozen=True, slots=True)
class SourceCutOver:
    """How far the source is. Before `relinquished` nothing of this needs to survive a restart."""

    ticket: Ticket
    phase: SourcePhase = "accepted"
    position: str = ""
    reason: str = ""
    """Why it was aborted, in words."""


def begin_source(state: SourceCutOver) -> tuple[SourceAction, ...]:
    """First actions after admission. Write the ticket as used in the journal before doing them."""
    return (AskPrepare(),)


def advance_source(
    state: SourceCutOver, event: SourceEvent
) -> tuple[SourceCutOver, tuple[SourceAction, ...]]:
    """The next state and what to do. Do the actions in order, feed what they bring, one event at a time.

    Before `relinquished` every error, silence, deadline and restart aborts: Resume at the same epoch. Between
    WriteRelinquishment and its outcome everything else is put aside: that write alone decides. After
    it nothing resumes, and HandOver is repeated for ever. Late answers of a phase that is over
    are ignored. Raises ValueError for RelinquishmentWritten where none was asked for.
    """
    raise NotImplementedError
