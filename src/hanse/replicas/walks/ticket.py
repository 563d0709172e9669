"""The cut-over stage: one ticket out, and then the source's word, whatever it is."""

from datetime import timedelta

from hanse.model.replica.order import Ticket, TicketOrder
from hanse.model.replica.role import ReplicaRole
from hanse.model.shape import Moment, SiteId
from hanse.replicas.outcome import AnyOrder
from hanse.replicas.view import ComponentView, TicketView
from hanse.replicas.walks.stages import SATISFIED, Case, Check, abort_reason

ATTEMPTS = 5
"""Tickets of one move before it gives up: each that fails costs clients a short pause."""
PAUSE_SECONDS = (2.0, 10.0, 30.0, 60.0)
"""After the first ticket, the second, …, from when it was given out. A short trouble passes in the first
pause; the others together outlast a restart of a site."""
SILENCE_SECONDS = 600.0
"""So long a target that is not heard from, or not reached, is waited for before the next ticket."""
DEADLINE_SECONDS = 60.0


def source_of(case: Case) -> SiteId:
    """The operation's source. Raises ValueError where there is none."""
    if case.operation.source is None:
        raise ValueError(f"operation {case.operation.operation} ({case.operation.kind}) has no source site")
    return case.operation.source


def route_sites(case: Case) -> tuple[SiteId, ...]:
    """Sites with a route to this component: consumers' and the endpoint's, old addresses too; sorted."""
    sites = {site for consumer in case.view.consumers for site in consumer.live_sites()}
    if case.view.endpoint is not None:
        sites.update(case.view.endpoint.sites)
    return tuple(sorted(sites))


def holding_consumers(case: Case) -> tuple[ComponentView, ...]:
    """Consumers that lose their connections in a cut-over, and whose requests their endpoints can hold."""
    return tuple(
        consumer
        for consumer in case.view.consumers
        if consumer.clients == "session"
        and consumer.endpoint is not None
        and consumer.endpoint.protocol == "http"
    )


def cutting_over(case: Case) -> Check:
    """Satisfied once the source says, or either side shows by document, that it has relinquished."""
    if handed_over(case):
        return SATISFIED
    why = abort_reason(case)
    if case.operation.ticket is None:
        return Check(undo=why) if why else _issue(case, 1)
    ordered = _order_of(case)
    if ordered is None:
        return _issue(case, _attempt(case))
    if _called_off(case):
        return _next_attempt(case)
    why = why or _declined(case)
    if why:
        return _tell_all(ordered.model_copy(update={"wanted": "abort"}), case, f"{why}: asking the source")
    return _tell_all(ordered, case, f"{case.operation.source} hands over to {case.operation.target}")


def handed_over(case: Case) -> bool:
    """The source relinquished: by its own word or document. The target's word alone is not enough."""
    if relinquishment_of(case):
        return True
    source = case.view.tickets.get(source_of(case), TicketView()).state
    return source is not None and source.phase in ("relinquished", "done")


def relinquishment_of(case: Case) -> str:
    """The source's signed relinquishment, if the hub has seen it, from whomever; empty otherwise.

    The hub takes no document into its observations that the source did not sign.
    """
    for site in (source_of(case), case.operation.target or ""):
        ticket = case.view.tickets.get(site, TicketView()).state
        if ticket is not None and ticket.relinquishment:
            return ticket.relinquishment
    state = case.view.replica(case.operation.source).state
    if state is not None and state.role is ReplicaRole.FENCED and state.epoch == case.operation.from_epoch:
        return state.relinquishment
    return ""


def relay(case: Case) -> Check:
    """The relinquishment goes to the target and the routes by the hub too (DESIGN 13.5)."""
    document = relinquishment_of(case)
    ordered = _order_of(case)
    target = case.view.tickets.get(case.operation.target or "", TicketView()).state
    if not document or ordered is None or (target is not None and target.phase in ("serving", "done")):
        return SATISFIED
    wanted = ordered.model_copy(update={"wanted": "cut-over", "relinquishment": document})
    return _tell_all(wanted, case, "", but=source_of(case))


def _order_of(case: Case) -> TicketOrder | None:
    orders = [ticket.order for ticket in case.view.tickets.values() if ticket.order is not None]
    return orders[0].model_copy(update={"wanted": "cut-over", "relinquishment": ""}) if orders else None


def _tell_all(wanted: TicketOrder, case: Case, why: str, but: SiteId | None = None) -> Check:
    sites = {wanted.ticket.source.site, wanted.ticket.target.site}
    sites |= {peer.site for peer in wanted.ticket.routes}
    orders: tuple[tuple[SiteId, AnyOrder], ...] = tuple(
        (site, wanted)
        for site in sorted(sites)
        if site != but and case.view.tickets.get(site, TicketView()).order != wanted
    )
    return Check(orders=orders, why=why)


def _attempt(case: Case) -> int:
    return int((case.operation.ticket or ".1").rsplit(".", 1)[1])


def _issue(case: Case, attempt: int) -> Check:
    """A new single-use ticket for all parties."""
    target = case.operation.target or ""
    state = case.view.replica(target).state
    if state is None or state.clients is None:
        return Check(why=f"{target} has not said yet where clients will find it")
    source_peer, target_peer = case.view.peers[source_of(case)], case.view.peers[target]
    holding = holding_consumers(case)
    sites_told = {site for each in holding if each.endpoint is not None for site in each.endpoint.sites}
    told = sorted(sites_told.union(route_sites(case)) & case.view.peers.keys())
    routes = tuple(case.view.peers[site] for site in told)
    name = f"{case.operation.operation}.{attempt}"
    ticket = Ticket(
        ticket=name,
        key=case.operation.key,
        from_epoch=case.operation.from_epoch,
        source=source_peer,
        target=target_peer,
        routes=routes,
        holding=tuple(sorted(consumer.key.component for consumer in holding)),
        target_stream=state.clients,
        deadline_seconds=DEADLINE_SECONDS,
    )
    sites = sorted({source_peer.site, target_peer.site, *(peer.site for peer in routes)})
    orders = tuple((site, TicketOrder(ticket=ticket)) for site in sites)
    return Check(orders=orders, why=f"ticket {name} is issued", ticket=name)


def _called_off(case: Case) -> bool:
    """The source itself says that this ticket is aborted, or refuses it after being told to abort it."""
    ticket = case.view.tickets.get(source_of(case), TicketView())
    if ticket.state is not None:
        return ticket.state.outcome == "aborted"
    told_to_abort = ticket.order is not None and ticket.order.wanted == "abort"
    return told_to_abort and ticket.told.is_answered and ticket.told.failure is not None


def _declined(case: Case) -> str:
    """Why the source will not take this ticket; empty while it may. Once told to abort, it stays told."""
    ticket = case.view.tickets.get(source_of(case), TicketView())
    if ticket.order is not None and ticket.order.wanted == "abort":
        return "the source declined the ticket"
    failure = ticket.told.failure if ticket.told.is_answered else None
    return failure.message if failure is not None and not failure.temporary and ticket.state is None else ""


def _next_attempt(case: Case) -> Check:
    ticket = case.view.tickets.get(source_of(case), TicketView())
    reason = ticket.state.reason if ticket.state is not None else ""
    if ticket.told.failure is not None and not reason:
        reason = ticket.told.failure.message
    asked = abort_reason(case)
    if asked:
        return Check(undo=asked)
    attempt = _attempt(case)
    if attempt >= ATTEMPTS:
        return Check(undo=f"{attempt} cut-overs were called off; the last: {reason}")
    failed = f"cut-over {attempt} was called off ({reason})"
    since = ticket.told.ordered_at
    waiting = Check() if since is None else _waits_for_target(case, since, failed)
    if not waiting.satisfied:
        return waiting
    if since is not None:
        until = since + timedelta(seconds=PAUSE_SECONDS[attempt - 1])
        if case.now < until:
            return Check(why=f"{failed}; it is tried again at {until:%H:%M:%S} UTC", until=until)
    return _issue(case, attempt + 1)


def _waits_for_target(case: Case, since: Moment, failed: str) -> Check:
    """A ticket for a target that cannot take it would be wasted; for how long that is waited has an end."""
    target = case.operation.target or ""
    away = _away(case, target)
    if not away:
        return SATISFIED
    until = since + timedelta(seconds=SILENCE_SECONDS)
    if case.now >= until:
        return Check(undo=f"{failed}, and for {SILENCE_SECONDS / 60:.0f} minutes {away}")
    return Check(why=f"{failed}; {away}: this waits for it until {until:%H:%M:%S} UTC", until=until)


def _away(case: Case, target: SiteId) -> str:
    """Why the target could not take a ticket now, as far as anybody knows; empty if it could."""
    told = case.view.tickets.get(target, TicketView()).told
    if told.ordered is not None and not told.is_answered:
        return f"{target} is not heard from"
    source = source_of(case)
    if case.view.reach.get(f"{source}>{target}") is False:
        return f"{source} does not reach {target}"
    return ""
