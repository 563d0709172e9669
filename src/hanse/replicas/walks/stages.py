"""A walk is a row of stages. Each stage looks whether its condition holds, and if not says what to order."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from hanse.model.replica.observation import Failure
from hanse.model.replica.operation import Operation
from hanse.model.shape import Moment, SiteId
from hanse.replicas.outcome import (
    Aborted,
    AnyOrder,
    Continue,
    Done,
    Step,
    Stuck,
    Waiting,
)
from hanse.replicas.view import View

UNDOING = "undoing"


@dataclass(frozen=True, slots=True)
class Check:
    """What a stage found. Satisfied when it says nothing."""

    orders: tuple[tuple[SiteId, AnyOrder], ...] = ()
    why: str = ""
    """What is still missing, in words."""
    until: Moment | None = None
    """Look again then, even if no site speaks."""
    failure: Failure | None = None
    """A site's words on why the stage does not get on."""
    stuck: str = ""
    """A person must act, or the world must change."""
    undo: str = ""
    """Give up for this reason."""
    ticket: str | None = None
    """The operation's ticket from now on."""

    @property
    def satisfied(self) -> bool:
        """True when the walk may go on to the next stage."""
        return not (self.orders or self.why or self.failure or self.stuck or self.undo)


SATISFIED = Check()


@dataclass(frozen=True, slots=True)
class Case:
    """What a stage looks at: one operation, what is known, and the time."""

    operation: Operation
    view: View
    now: Moment


Look = Callable[[Case], Check]


@dataclass(frozen=True, slots=True)
class Stage:
    """One phase of an operation."""

    phase: str
    look: Look
    undoable: bool = True
    """An abort or a permanent failure here undoes the walk; False: the walk only goes forward."""
    asks_itself: bool = False
    """The stage obeys an abort in its own way (the ticket is out, so the source decides)."""


@dataclass(frozen=True, slots=True)
class Walk:
    """The stages of one kind of operation, and how to undo them."""

    stages: tuple[Stage, ...]
    undo: Look


def abort_reason(case: Case) -> str:
    """Why the operation should be aborted; empty if nobody asks for it."""
    deadline = case.operation.deadline
    if case.operation.abort_wanted:
        return "abort was asked for"
    if deadline is not None and case.now > deadline:
        return f"its deadline {deadline:%Y-%m-%d %H:%M:%S} UTC passed"
    return ""


def run(walk: Walk, case: Case) -> Step:
    """Go on from the operation's phase as far as the view allows."""
    if case.operation.phase == UNDOING:
        return _undo(walk, case)
    for stage in _remaining(walk, case.operation.phase):
        case = _with(case, phase=stage.phase, state="open")
        reason = abort_reason(case)
        if reason and stage.undoable and not stage.asks_itself:
            return _give_up(walk, case, reason, None)
        check = stage.look(case)
        if not check.satisfied:
            return _unsatisfied(walk, stage, case, check)
    update = {"state": "done", "phase": "done", "reason": "", "failure": None, "ended_at": case.now}
    return Step(case.operation.model_copy(update=update), (), Done())


def _with(case: Case, **update: object) -> Case:
    return replace(case, operation=case.operation.model_copy(update=update))


def _remaining(walk: Walk, phase: str) -> tuple[Stage, ...]:
    names = [stage.phase for stage in walk.stages]
    return walk.stages[names.index(phase) :] if phase in names else walk.stages


def _unsatisfied(walk: Walk, stage: Stage, case: Case, check: Check) -> Step:
    if check.undo:
        return _give_up(walk, case, check.undo, check.failure)
    if check.failure is not None and not check.failure.temporary and stage.undoable:
        return _give_up(walk, case, check.failure.message, check.failure)
    outcome = _outcome(stage, case, check)
    update = {
        "ticket": check.ticket or case.operation.ticket,
        "state": "stuck" if isinstance(outcome, Stuck) else "open",
        "reason": check.why if isinstance(outcome, Continue) else outcome.why,
        "failure": check.failure,
    }
    return Step(case.operation.model_copy(update=update), check.orders, outcome)


def _outcome(stage: Stage, case: Case, check: Check) -> Continue | Waiting | Stuck:
    if check.orders:
        return Continue()
    late = "too late to abort, the walk goes on: " if abort_reason(case) and not stage.undoable else ""
    failure = check.failure
    if failure is None:
        return Stuck(late + check.stuck) if check.stuck else Waiting(late + check.why, check.until)
    if not failure.temporary:
        return Stuck(late + failure.message)
    seconds = failure.retry_after_seconds
    until = case.now + timedelta(seconds=seconds) if seconds is not None else check.until
    return Waiting(late + failure.message, until)


def _give_up(walk: Walk, case: Case, reason: str, failure: Failure | None) -> Step:
    return _undo(walk, _with(case, phase=UNDOING, state="open", reason=reason, failure=failure))


def _undo(walk: Walk, case: Case) -> Step:
    """Put everything back. `reason` and `failure` stay those of the giving up."""
    check, operation = walk.undo(case), case.operation
    if check.satisfied:
        update = {"state": "aborted", "phase": "aborted", "ended_at": case.now}
        return Step(operation.model_copy(update=update), (), Aborted(operation.reason))
    if check.orders:
        return Step(operation, check.orders, Continue())
    words = check.failure.message if check.failure is not None else check.why or check.stuck
    return Step(operation, (), Waiting(f"undoing ({operation.reason}): {words}", check.until))
