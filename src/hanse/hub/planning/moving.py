"""Where a move may go: the application matched again, everything that stays pinned to its place."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from hanse.hub.context import Hub
from hanse.hub.planning.market import current_catalogue
from hanse.hub.planning.narrow import (
    at_provider,
    at_site,
    away_from_provider,
    away_from_sites,
    narrowed,
    on_offer,
    with_own_capacity,
)
from hanse.hub.planning.verified import make_verified
from hanse.hub.records import ApplicationRecord, ComponentRecord
from hanse.hub.spec import consumers_of, used_by
from hanse.model.application.requirement import Mandate, Requirement
from hanse.model.market.offer import Catalogue
from hanse.model.market.plan import NoSolution, Placement, Plan
from hanse.model.shape import Shape
from hanse.ports import Permanent
from hanse.replicas.groups import Group, GroupMove, NoOrder, order_moves


class MoveRequest(Shape):
    """What a person asks for. Exactly one of `to`, `away_from` and `back`."""

    component: str | None = None
    """None: every component that the wish concerns."""
    to: str | None = Field(default=None, max_length=200)
    """A site or a provider."""
    away_from: str | None = Field(default=None, max_length=200)
    """A provider that everything leaves, without a way back."""
    back: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """A component that shall move."""

    component: str


def replan(hub: Hub, record: ApplicationRecord, request: MoveRequest) -> tuple[Plan, tuple[Wish, ...]]:
    """The plan after the move, and who moves, in an order in which nobody is ever cut off.

    Raises Permanent as `commands.moves.move` says.
    """
    if sum((request.to is not None, request.away_from is not None, request.back)) != 1:
        raise Permanent(
            "request-malformed", "A move goes `to` a site or provider, `away_from` a provider, or `back`."
        )
    catalogue = current_catalogue(hub)
    movers = _movers(record, request, catalogue)
    added = {name: tuple(_place_of(record, request, name, catalogue)) for name in movers}
    added |= {name: tuple(_reachable(record, name, catalogue)) + wishes for name, wishes in added.items()}
    stay = [each for name, each in record.components.items() if name not in movers]
    stay += record.endpoints.values()
    added |= {each.placement.component: _stays(each, catalogue) for each in stay}
    kept = [each.placement for each in stay]
    wanted, offered = narrowed(record.mandate, added), with_own_capacity(catalogue, kept)
    plan = make_verified(hub, wanted, offered, market="bookable")
    if isinstance(plan, NoSolution):
        raise _impossible(record, plan)
    return plan, _ordered(record, plan, movers, catalogue)


def why_not_stay(hub: Hub, record: ApplicationRecord, mandate: Mandate) -> str:
    """Why the present places break another mandate, in words; empty if they do not."""
    catalogue = current_catalogue(hub)
    placed = [*record.components.values(), *record.endpoints.values()]
    added = {each.placement.component: _stays(each, catalogue) for each in placed}
    kept = with_own_capacity(catalogue, [each.placement for each in placed])
    plan = make_verified(hub, narrowed(mandate, added), kept, market="bookable")
    return _conflicts(plan) if isinstance(plan, NoSolution) else ""


def _conflicts(none: NoSolution) -> str:
    return "; or ".join(" and ".join(conflict.says) for conflict in none.conflicts[:3])


def _movers(record: ApplicationRecord, request: MoveRequest, catalogue: Catalogue) -> tuple[str, ...]:
    if request.component is not None and request.component not in record.components:
        known = ", ".join(sorted(record.components))
        raise Permanent(
            "component-unknown", f"{record.name} has no component {request.component}; it has {known}."
        )
    names = [request.component] if request.component is not None else sorted(record.components)
    if request.back:
        return _movers_back(record, names, asked=request.component)
    if request.away_from is not None:
        return _movers_away(record, names, request.away_from, catalogue)
    return _movers_to(record, names, request.to or "", catalogue)


def _movers_back(record: ApplicationRecord, names: Sequence[str], asked: str | None) -> tuple[str, ...]:
    found = tuple(name for name in names if record.components[name].way_back_site is not None)
    if not found:
        what = f"{record.name}/{asked}" if asked else record.name
        raise Permanent(
            "no-way-back",
            f"Nothing follows {what} at an old site any more. Move it with `--to SITE` instead.",
        )
    return found


def _movers_away(
    record: ApplicationRecord, names: Sequence[str], provider: str, catalogue: Catalogue
) -> tuple[str, ...]:
    _require_provider(provider, catalogue)
    stuck = [
        name for name in record.endpoints if _provider(record.endpoints[name].placement.site) == provider
    ]
    if stuck:
        where = record.endpoints[stuck[0]].placement.site
        raise Permanent(
            "move-impossible",
            f"The endpoint of {stuck[0]} stands at {where}, and moving an endpoint is not built yet: its "
            f"address would change. Apply {record.name} under another name with `{provider}` in "
            "`exclude_providers`, then retire this one.",
        )
    found = tuple(name for name in names if _provider(_site_of(record, name)) == provider)
    back = [record.components[name].way_back_site for name in names]
    if not found and provider not in {_provider(site) for site in back if site}:
        raise Permanent("nothing-to-move", f"Nothing of {record.name} stands with {provider}.")
    return found


def _movers_to(
    record: ApplicationRecord, names: Sequence[str], to: str, catalogue: Catalogue
) -> tuple[str, ...]:
    if "/" in to:
        _require_site(to, catalogue)
        found = tuple(name for name in names if _site_of(record, name) != to)
    else:
        _require_provider(to, catalogue)
        found = tuple(name for name in names if _provider(_site_of(record, name)) != to)
    if not found:
        what = f"{record.name}/{names[0]} is" if len(names) == 1 else f"All of {record.name} is"
        raise Permanent("same-site", f"{what} at {to} already. Name another site or provider.")
    return found


def _place_of(
    record: ApplicationRecord, request: MoveRequest, name: str, catalogue: Catalogue
) -> Sequence[Requirement]:
    component = record.components[name]
    if request.back and component.way_back_site is not None:
        return _pinned(component.way_back_placement, name, component.way_back_site, catalogue)
    if request.away_from is not None:
        return (away_from_provider(name, request.away_from),)
    to = request.to or ""
    return (at_site(name, to),) if "/" in to else (at_provider(name, to),)


def _pinned(placement: Placement | None, name: str, site: str, catalogue: Catalogue) -> Sequence[Requirement]:
    offer = next((each for each in catalogue.offers if placement and each.id == placement.offer), None)
    return on_offer(name, offer) if offer is not None else (at_site(name, site),)


def _stays(each: ComponentRecord, catalogue: Catalogue) -> tuple[Requirement, ...]:
    placement = each.placement
    return tuple(_pinned(placement, placement.component, placement.site, catalogue))


def _reachable(record: ApplicationRecord, name: str, catalogue: Catalogue) -> Sequence[Requirement]:
    """Sites that were measured as out of reach of those who must reach them."""
    source = _site_of(record, name)
    wanted = record.application.components[name]
    out: dict[str, str] = {}
    for site in catalogue.runs:
        pairs = [(site, _site_of(record, used)) for used in used_by(record.application, name)]
        pairs += [(_site_of(record, user), site) for user in consumers_of(record.application, name)]
        if name in record.endpoints:
            pairs.append((record.endpoints[name].placement.site, site))
        if wanted.kind == "bucket":
            pairs += [(source, site), (site, source)]
        cut = [f"{a} does not reach {b}" for a, b in pairs if catalogue.reach.get(f"{a}>{b}") is False]
        if cut and site != source:
            out[site] = cut[0]
    return tuple(away_from_sites(name, [site], why) for site, why in sorted(out.items()))


def _ordered(
    record: ApplicationRecord, plan: Plan, movers: Sequence[str], catalogue: Catalogue
) -> tuple[Wish, ...]:
    targets = {placed.component: placed.site for placed in plan.placements}
    group = Group(
        sites={name: _site_of(record, name) for name in record.components},
        bindings=[(name, used) for name in record.components for used in used_by(record.application, name)],
        endpoints={name: each.placement.site for name, each in record.endpoints.items()},
    )
    moves = [GroupMove(name, targets[name]) for name in movers]
    ordered = order_moves(group, moves, lambda a, b: catalogue.reach.get(f"{a}>{b}") is not False)
    if isinstance(ordered, NoOrder):
        raise Permanent(
            "no-reach",
            f"{record.name} cannot be moved so without cutting somebody off: {'; '.join(ordered.why)}",
        )
    return tuple(Wish(each.component) for each in ordered)


def _impossible(record: ApplicationRecord, none: NoSolution) -> Permanent:
    return Permanent(
        "move-impossible",
        f"No bookable offer satisfies everything for this move of {record.name}. "
        f"Together impossible: {_conflicts(none) or 'nothing there is offered'}. Nothing was changed.",
    )


def _require_site(site: str, catalogue: Catalogue) -> None:
    if site not in catalogue.runs:
        known = ", ".join(sorted(catalogue.runs)) or "none"
        raise Permanent("site-unknown", f"No site {site} has joined this hub. Joined: {known}.")


def _require_provider(provider: str, catalogue: Catalogue) -> None:
    if all(each.provider != provider for each in catalogue.providers):
        raise Permanent("provider-unknown", f"No provider {provider} is known here. See `hanse providers`.")


def _site_of(record: ApplicationRecord, name: str) -> str:
    component = record.components[name]
    return component.primary or component.placement.site


def _provider(site: str) -> str:
    return site.partition("/")[0]
