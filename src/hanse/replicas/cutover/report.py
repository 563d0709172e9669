"""One door to the three machines, and how each looks from the hub."""

from typing import overload

from hanse.model.replica.observation import CutOverState
from hanse.replicas.cutover.actions import RouteAction, SourceAction, TargetAction
from hanse.replicas.cutover.events import RouteEvent, SourceEvent, TargetEvent
from hanse.replicas.cutover.route import RouteSwitch, advance_route
from hanse.replicas.cutover.source import SourceCutOver, advance_source
from hanse.replicas.cutover.target import TargetCutOver, advance_target

CutOver = SourceCutOver | TargetCutOver | RouteSwitch


@overload
def advance(state: SourceCutOver, event: SourceEvent) -> tuple[SourceCutOver, tuple[SourceAction, ...]]: ...
@overload
def advance(state: TargetCutOver, event: TargetEvent) -> tuple[TargetCutOver, tuple[TargetAction, ...]]: ...
@overload
def advance(state: RouteSwitch, event: RouteEvent) -> tuple[RouteSwitch, tuple[RouteAction, ...]]: ...
def advance(state, event):  # type: ignore[no-untyped-def]
    """The next state and the actions to do, in order: `advance_source`, `_target` or `_route`."""
    if isinstance(state, SourceCutOver):
        return advance_source(state, event)
    if isinstance(state, TargetCutOver):
        return advance_target(state, event)
    return advance_route(state, event)


def report(state: CutOver, *, relinquishment: str = "", dark_ms: int | None = None) -> CutOverState:
    """The observation for the hub. `relinquishment`: the document, as soon as this site has it."""
    match state:
        case SourceCutOver():
            part = "source"
        case TargetCutOver():
            part = "target"
        case RouteSwitch():
            part = "route"
    ended = {"done": "done", "aborted": "aborted"}
    return CutOverState.model_validate(
        {
            "part": part,
            "phase": state.phase,
            "outcome": ended.get(state.phase, "open"),
            "reason": state.reason,
            "relinquishment": relinquishment,
            "dark_ms": dark_ms,
        }
    )
