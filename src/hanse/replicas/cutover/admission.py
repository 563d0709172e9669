"""May this site take part in this cut-over, and is this relinquishment the one it waits for?"""

from hanse.model.document.claim import Relinquishment
from hanse.model.replica.order import Ticket
from hanse.model.shape import SiteId
from hanse.replicas.cutover.route import RouteSwitch
from hanse.replicas.cutover.source import SourceCutOver
from hanse.replicas.cutover.target import TargetCutOver
from hanse.replicas.level import Refused, Standing


def admit_source(ticket: Ticket, standing: Standing, site: SiteId) -> SourceCutOver | Refused:
    """A new cut-over as source. Refuses `ticket-used`, `party-wrong`, `epoch-wrong` and `role-wrong`."""
    raise NotImplementedError


def admit_target(ticket: Ticket, standing: Standing, site: SiteId) -> TargetCutOver | Refused:
    """A new cut-over as target. Refuses `ticket-used`, `party-wrong`, `epoch-passed` and `role-wrong`."""
    raise NotImplementedError


def admit_route(
    ticket: Ticket, site: SiteId, used_tickets: frozenset[str], epoch: int
) -> RouteSwitch | Refused:
    """A new switch of a route. `epoch`: of the route now. Refuses `ticket-used`, `party-wrong`, `epoch-passed`."""
    raise NotImplementedError


def check_relinquishment(ticket: Ticket, document: Relinquishment, standing: Standing) -> Refused | None:
    """None if `document` (signature verified by the caller) gives this ticket's epoch to its target.

    Refuses `ticket-wrong`, `epoch-wrong`, `party-wrong` and `epoch-passed` (this site knows a higher one).
    """
    raise NotImplementedError
