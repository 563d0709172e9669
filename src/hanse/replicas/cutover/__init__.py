"""Planned cut-over, epoch e to e+1: pure machines for source, target and routes (DESIGN section 5).

`advance(state, event) -> (state, actions)`. The agent does the actions and feeds what they bring.
"""

from hanse.replicas.cutover.admission import admit_route, admit_source, admit_target, check_relinquishment
from hanse.replicas.cutover.report import advance, report
from hanse.replicas.cutover.route import RouteSwitch
from hanse.replicas.cutover.source import SourceCutOver, begin_source
from hanse.replicas.cutover.target import TargetCutOver

__all__ = [
    "RouteSwitch",
    "SourceCutOver",
    "TargetCutOver",
    "admit_route",
    "admit_source",
    "admit_target",
    "advance",
    "begin_source",
    "check_relinquishment",
    "report",
]
