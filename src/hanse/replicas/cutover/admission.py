"""May this site take part in this cut-over, and is this relinquishment the one it waits for?"""

from hanse.model.document.claim import Relinquishment
from hanse.model.replica.order import Ticket
from hanse.model.replica.role import ReplicaRole
from hanse.model.shape import SiteId
from hanse.replicas.cutover.route import RouteSwitch
from hanse.replicas.cutover.source import SourceCutOver
from hanse.replicas.cutover.target import TargetCutOver
from hanse.replicas.level import Refused, Standing


def admit_source(ticket: Ticket, standing: Standing, site: SiteId) -> SourceCutOver | Refused:
    """A new cut-over as source. Refuses `ticket-used`, `party-wrong`, `epoch-wrong` and `role-wrong`.

    Ask it once a ticket: a ticket that is under way already is in the journal with its state.
    """
    if refused := _fresh(ticket, ticket.source.site, site, standing.used_tickets):
        return refused
    if standing.holds_epoch != ticket.from_epoch:
        return _wrong_epoch(ticket, site, standing.holds_epoch)
    if standing.role is not ReplicaRole.PRIMARY:
        return _wrong_role(ticket, site, standing.role, ReplicaRole.PRIMARY)
    return SourceCutOver(ticket)


def admit_target(ticket: Ticket, standing: Standing, site: SiteId) -> TargetCutOver | Refused:
    """A new cut-over as target.

    Refuses `ticket-used`, `party-wrong`, `epoch-passed`, `epoch-wrong` and `role-wrong`.
    """
    if refused := _fresh(ticket, ticket.target.site, site, standing.used_tickets):
        return refused
    if standing.epoch > ticket.from_epoch:
        return _passed(ticket, site, standing.epoch)
    if standing.epoch < ticket.from_epoch:
        return _wrong_epoch(ticket, site, standing.epoch)
    if standing.role is not ReplicaRole.STANDBY:
        return _wrong_role(ticket, site, standing.role, ReplicaRole.STANDBY)
    return TargetCutOver(ticket)


def admit_route(
    ticket: Ticket, site: SiteId, used_tickets: frozenset[str], epoch: int
) -> RouteSwitch | Refused:
    """A new switch of a route that now serves `epoch`.

    Refuses `ticket-used`, `party-wrong` and `epoch-passed`.
    """
    party = site if any(peer.site == site for peer in ticket.routes) else ""
    if refused := _fresh(ticket, party, site, used_tickets):
        return refused
    if epoch > ticket.from_epoch:
        return _passed(ticket, site, epoch)
    return RouteSwitch(ticket)


def check_relinquishment(ticket: Ticket, document: Relinquishment, standing: Standing) -> Refused | None:
    """None if `document` (signature verified by the caller) gives this ticket's epoch to its target.

    Refuses `ticket-wrong`, `epoch-wrong`, `party-wrong` and `epoch-passed` (this site knows a
    higher one, or gave that one away already).
    """
    if document.ticket != ticket.ticket or document.key != ticket.key:
        return Refused("ticket-wrong", f"the relinquishment is for ticket {document.ticket}")
    if (document.from_epoch, document.to_epoch) != (ticket.from_epoch, ticket.from_epoch + 1):
        epochs = f"{document.from_epoch} to {document.to_epoch}"
        return Refused("epoch-wrong", f"the relinquishment hands over epoch {epochs}")
    if (document.source, document.target) != (ticket.source.site, ticket.target.site):
        parties = f"{document.source} to {document.target}"
        return Refused("party-wrong", f"the relinquishment is from {parties}")
    if standing.epoch > document.to_epoch or standing.relinquished_epoch >= document.to_epoch:
        return _passed(ticket, ticket.target.site, standing.epoch)
    return None


def _fresh(ticket: Ticket, party: SiteId, site: SiteId, used: frozenset[str]) -> Refused | None:
    if ticket.ticket in used:
        return Refused("ticket-used", f"ticket {ticket.ticket} was used at {site} before; it is single-use")
    if party != site or ticket.source.site == ticket.target.site:
        return Refused("party-wrong", f"ticket {ticket.ticket} has no such part for {site}")
    return None


def _passed(ticket: Ticket, site: SiteId, epoch: int) -> Refused:
    what = f"ticket {ticket.ticket} hands over epoch {ticket.from_epoch}"
    return Refused("epoch-passed", f"{what}, but {site} already knows epoch {epoch} of {ticket.key}")


def _wrong_epoch(ticket: Ticket, site: SiteId, epoch: int) -> Refused:
    what = f"ticket {ticket.ticket} hands over epoch {ticket.from_epoch}"
    return Refused("epoch-wrong", f"{what}, but {site} stands at epoch {epoch} of {ticket.key}")


def _wrong_role(ticket: Ticket, site: SiteId, role: ReplicaRole, needed: ReplicaRole) -> Refused:
    return Refused("role-wrong", f"{site} is {role} of {ticket.key}; ticket {ticket.ticket} needs {needed}")
