"""Where a move may go, and in which order: the application matched again, what stays pinned to its place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hanse.hub.context import Hub
from hanse.hub.planning.market import current_catalogue
from hanse.hub.planning.movers import movers_of
from hanse.hub.planning.narrow import (
    at_provider,
    at_site,
    away_from_provider,
    away_from_sites,
    in_country,
    narrowed,
    on_offer,
    with_own_capacity,
)
from hanse.hub.planning.parts import Part, bindings_of, neighbours, parts_of, sites_of
from hanse.hub.planning.prefixes import Prefixes, provider_of
from hanse.hub.planning.verified import make_verified
from hanse.hub.records import ApplicationRecord, MoveRequest
from hanse.model.application.requirement import Mandate, Requirement
from hanse.model.market.offer import Catalogue
from hanse.model.market.plan import NoSolution, Placement, Plan
from hanse.ports import Permanent
from hanse.replicas.groups import Group, GroupMove, NoOrder, order_moves

_TOLD = 6
"""Dead ends that a refusal names."""


@dataclass(frozen=True, slots=True)
class Replanned:
    """Who moves, in an order in which every placement on the way is legal and reachable."""

    movers: tuple[Part, ...]
    prefixes: Prefixes
    keeps: Mapping[str, int]
    """By mover: for how many seconds its old place goes on. 0: it is left at once."""


def replan(hub: Hub, record: ApplicationRecord, request: MoveRequest) -> Replanned:
    """The moves that the request asks for. Raises Permanent as `commands.moves.move` says."""
    if sum(each is not None for each in (request.to, request.away_from, request.country)) + request.back != 1:
        raise Permanent(
            "request-malformed",
            "A move goes `to` a site or provider, `away_from` a provider, to a `country`, or `back`.",
        )
    catalogue, parts = current_catalogue(hub), parts_of(record)
    movers = movers_of(record, parts, request, catalogue)
    keeps = {part.name: _keep_seconds(record, part, request) for part in movers}
    dead_ends: NoOrder | None = None
    for apart in (False, True):
        plan = _planned(hub, record, request, movers, catalogue, apart=apart)
        if isinstance(plan, NoSolution):
            raise _no_order(record, dead_ends) if dead_ends else _impossible(record, plan)
        after = _placements_after(plan, movers)
        kept = frozenset(name for name, seconds in keeps.items() if seconds > 0)
        prefixes = Prefixes(record.mandate, catalogue, parts, after, kept)
        found = _ordered(record, prefixes, back=request.back)
        if not isinstance(found, NoOrder):
            return Replanned(tuple(parts[each.component] for each in found), prefixes, keeps)
        dead_ends = dead_ends or found
    raise _no_order(record, dead_ends or NoOrder(()))


def why_not_stay(hub: Hub, record: ApplicationRecord, mandate: Mandate) -> str:
    """Why the present places break another mandate, in words; empty if they do not."""
    catalogue, parts = current_catalogue(hub), parts_of(record)
    added = {part.name: _pinned(part.placement, catalogue) for part in parts.values()}
    kept = with_own_capacity(catalogue, [part.placement for part in parts.values()])
    plan = make_verified(hub, narrowed(mandate, added), kept, market="bookable")
    return _conflicts(plan) if isinstance(plan, NoSolution) else ""


def _conflicts(none: NoSolution) -> str:
    return "; or ".join(" and ".join(conflict.says) for conflict in none.conflicts[:3])


def _keep_seconds(record: ApplicationRecord, part: Part, request: MoveRequest) -> int:
    """How long the old place goes on after the move: following, or answering at the old address."""
    if part.is_endpoint and request.keep_old_address_seconds is not None:
        return request.keep_old_address_seconds
    leave = request.away_from is not None
    return 0 if leave else record.application.components[part.component].way_back_seconds


def _planned(
    hub: Hub,
    record: ApplicationRecord,
    request: MoveRequest,
    movers: Sequence[Part],
    catalogue: Catalogue,
    *,
    apart: bool,
) -> Plan | NoSolution:
    """`apart`: who moves must reach everybody also as they stand now, whatever comes first."""
    parts = parts_of(record)
    moving = {part.name for part in movers}
    added: dict[str, tuple[Requirement, ...]] = {}
    for part in parts.values():
        if part.name in moving:
            near = parts if apart else {name: each for name, each in parts.items() if name not in moving}
            added[part.name] = (
                *_reachable(record, part, near, catalogue),
                *_place_of(part, request, catalogue),
            )
        else:
            added[part.name] = _pinned(part.placement, catalogue)
    bought = [part.placement for part in parts.values() if part.name not in moving]
    bought += [place for part in movers for place in part.ways_back if _goes_to(place, part, request)]
    wanted, offered = narrowed(record.mandate, added), with_own_capacity(catalogue, bought)
    return make_verified(hub, wanted, offered, market="bookable")


def _goes_to(place: Placement, part: Part, request: MoveRequest) -> bool:
    """The request leads to this place, where the part stood before: it needs no unit but its own."""
    if request.back:
        return place == part.ways_back[-1]
    return request.to in (place.site, provider_of(place.site))


def _placements_after(plan: Plan, movers: Sequence[Part]) -> dict[str, Placement]:
    """As planned; a place that is still bought is used as it was bought."""
    planned = {placed.component: placed for placed in plan.placements}
    after = {}
    for part in movers:
        bought = {each.site: each for each in part.ways_back}
        after[part.name] = bought.get(planned[part.name].site, planned[part.name])
    return after


def _place_of(part: Part, request: MoveRequest, catalogue: Catalogue) -> tuple[Requirement, ...]:
    if request.back and part.ways_back:
        return _pinned(part.ways_back[-1], catalogue)
    if request.away_from is not None:
        return (away_from_provider(part.name, request.away_from),)
    if request.country is not None:
        return (in_country(part.name, request.country),)
    to = request.to or ""
    return (at_site(part.name, to),) if "/" in to else (at_provider(part.name, to),)


def _pinned(placement: Placement, catalogue: Catalogue) -> tuple[Requirement, ...]:
    offer = next((each for each in catalogue.offers if each.id == placement.offer), None)
    name = placement.component
    return on_offer(name, offer) if offer is not None else (at_site(name, placement.site),)


def _reachable(
    record: ApplicationRecord, part: Part, near: Mapping[str, Part], catalogue: Catalogue
) -> tuple[Requirement, ...]:
    """Sites that were measured as out of reach of those `near` who must reach them, or the other way."""
    uses, users = neighbours(record, part)
    out: dict[str, str] = {}
    for site in catalogue.runs:
        pairs = [(site, near[name].site) for name in uses if name in near]
        pairs += [(near[name].site, site) for name in users if name in near]
        if part.kind not in ("container", "endpoint"):
            pairs += [(part.site, site), (site, part.site)]
        cut = [f"{a} does not reach {b}" for a, b in pairs if catalogue.reach.get(f"{a}>{b}") is False]
        if cut and site != part.site:
            out[site] = cut[0]
    return tuple(away_from_sites(part.name, [site], why) for site, why in sorted(out.items()))


def _ordered(record: ApplicationRecord, prefixes: Prefixes, *, back: bool) -> tuple[GroupMove, ...] | NoOrder:
    sites, bindings = sites_of(prefixes.parts), bindings_of(record)
    for part in prefixes.parts.values():
        kept = list(part.ways_back) if part.is_endpoint else []
        if part.is_endpoint and part.name in prefixes.kept:
            kept.append(part.placement)
        for each in kept:
            address = f"the old address of {part.component}"
            name = f"{address} ({each.site})" if address in sites else address
            sites[name] = each.site
            bindings.append((name, part.component))
    moves = [GroupMove(name, placement.site) for name, placement in prefixes.after.items()]
    reach = prefixes.catalogue.reach
    return order_moves(
        Group(sites, bindings),
        moves,
        lambda a, b: reach.get(f"{a}>{b}") is not False,
        breaks=prefixes.breaks,
        last_first=back,
    )


def _no_order(record: ApplicationRecord, none: NoOrder) -> Permanent:
    more = f"; and {len(none.why) - _TOLD} more" if len(none.why) > _TOLD else ""
    sure = "" if none.proved else " (the search ended before it had seen every order)"
    code = "no-reach" if all("would not reach" in line for line in none.why) else "no-order"
    return Permanent(
        code,
        f"{record.name} cannot be moved so: in whatever order its parts move, one after the other, something "
        f"on the way is cut off or not allowed{sure}: {'; '.join(none.why[:_TOLD])}{more}. "
        "Nothing was changed. Name other places, move parts one by one, or relax what is named in the file "
        "(`way_back: 0` where ways back cost too much) and apply it first.",
    )


def _impossible(record: ApplicationRecord, none: NoSolution) -> Permanent:
    return Permanent(
        "move-impossible",
        f"No bookable offer satisfies everything for this move of {record.name}. "
        f"Together impossible: {_conflicts(none) or 'nothing there is offered'}. Nothing was changed.",
    )
