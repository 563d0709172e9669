"""Moves of several components: an order in which every prefix is a reachable placement (DESIGN section 5)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hanse.model.shape import Name, SiteId

Reaches = Callable[[SiteId, SiteId], bool]
TRIED_MAX = 10_000
"""Partial orders that are tried before giving up; far more than any real application needs."""


@dataclass(frozen=True, slots=True)
class GroupMove:
    """One component of a group leaves for another site."""

    component: Name
    target: SiteId


@dataclass(frozen=True, slots=True)
class Group:
    """An application as it stands: who is where, who talks to whom."""

    sites: Mapping[Name, SiteId]
    """Every component's primary."""
    bindings: Sequence[tuple[Name, Name]] = ()
    """(consumer, provider): the consumer's site opens connections to the provider's."""
    endpoints: Mapping[Name, SiteId] = field(default_factory=dict)
    """Site of the endpoint of each exposed component."""


@dataclass(frozen=True, slots=True)
class NoOrder:
    """Whatever comes first, somebody would be cut off."""

    why: tuple[str, ...]
    """One line for each move that could come next and whom it would cut off."""


def order_moves(
    group: Group, moves: Sequence[GroupMove], reaches: Reaches
) -> tuple[GroupMove, ...] | NoOrder:
    """The moves in an order whose every prefix keeps every binding and endpoint reachable.

    Providers before their consumers where both work, then by name; the same arguments give the same
    order. A binding that is out of reach already, and that no move changes, is not held against it.
    """
    ranked = sorted(moves, key=lambda move: (_depth(move.component, group.bindings), move.component))
    broken = set(_cut_off(group.sites, group, reaches))
    search = _Search(group, reaches, broken)
    found = search.complete(dict(group.sites), tuple(ranked))
    return found if found is not None else NoOrder(tuple(search.why))


@dataclass(slots=True)
class _Search:
    group: Group
    reaches: Reaches
    broken: set[str]
    tried: set[frozenset[Name]] = field(default_factory=set)
    why: list[str] = field(default_factory=list)

    def complete(
        self, sites: dict[Name, SiteId], left: tuple[GroupMove, ...]
    ) -> tuple[GroupMove, ...] | None:
        """Depth first; what remains decides everything, so no remainder is tried twice."""
        if not left:
            return ()
        remainder = frozenset(move.component for move in left)
        if remainder in self.tried or len(self.tried) >= TRIED_MAX:
            return None
        self.tried.add(remainder)
        for move in left:
            after = {**sites, move.component: move.target}
            cut = [line for line in _cut_off(after, self.group, self.reaches) if line not in self.broken]
            if cut:
                self.why.append(f"moving {move.component} to {move.target}: {cut[0]}")
                continue
            rest = self.complete(after, tuple(other for other in left if other != move))
            if rest is not None:
                return (move, *rest)
        return None


def _cut_off(sites: Mapping[Name, SiteId], group: Group, reaches: Reaches) -> Iterator[str]:
    """Whoever would not reach what it needs."""
    for consumer, provider in sorted(group.bindings):
        origin, to = sites[consumer], sites[provider]
        if origin != to and not reaches(origin, to):
            yield f"{consumer} at {origin} would not reach {provider} at {to}"
    for component, origin in sorted(group.endpoints.items()):
        to = sites[component]
        if origin != to and not reaches(origin, to):
            yield f"the endpoint of {component} at {origin} would not reach it at {to}"


def _depth(
    component: Name, bindings: Sequence[tuple[Name, Name]], seen: frozenset[Name] = frozenset()
) -> int:
    """0 for what uses nothing, more for what stands on it."""
    used = [provider for consumer, provider in bindings if consumer == component and provider not in seen]
    return 1 + max(_depth(one, bindings, seen | {component}) for one in used) if used else 0
