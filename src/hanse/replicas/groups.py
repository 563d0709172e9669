"""Moves of several parts: an order of which every prefix is legal and reachable (DESIGN section 5)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hanse.model.shape import SiteId

Reaches = Callable[[SiteId, SiteId], bool]
Breaks = Callable[[frozenset[str]], Sequence[str]]
"""What the placement breaks, in words, once exactly the moves of these parts are done; empty: legal."""
TRIED_MAX = 2_000
"""Sets of finished moves that are looked at before giving up; far more than any real application needs."""
WHY_MAX = 20
"""Dead ends that are told."""


@dataclass(frozen=True, slots=True)
class GroupMove:
    """One part of a group, a component or an endpoint, leaves for another site."""

    component: str
    target: SiteId


@dataclass(frozen=True, slots=True)
class Group:
    """An application as it stands: who is where, who talks to whom."""

    sites: Mapping[str, SiteId]
    """Where every part is: components, endpoints, and addresses that stay for a while."""
    bindings: Sequence[tuple[str, str]] = ()
    """(consumer, provider): the consumer's site opens connections to the provider's."""


@dataclass(frozen=True, slots=True)
class NoOrder:
    """Whatever comes first, some placement on the way is not legal."""

    why: tuple[str, ...]
    """One line for each dead end: which move, after which others, and what it would break."""
    proved: bool = True
    """False when the search ended before it had seen every order."""


def legal_always(_done: frozenset[str]) -> Sequence[str]:
    """Nothing but reach counts."""
    return ()


def order_moves(
    group: Group,
    moves: Sequence[GroupMove],
    reaches: Reaches,
    *,
    breaks: Breaks = legal_always,
    last_first: bool = False,
) -> tuple[GroupMove, ...] | NoOrder:
    """The moves in an order whose every prefix keeps every binding reachable and breaks nothing.

    Providers before their consumers where both work, then by name; `last_first` prefers the reverse, as
    a way back does. The same arguments give the same order. A binding that is out of reach already, and
    that no move changes, is not held against it; `breaks` decides that for itself.
    """
    ranked = sorted(moves, key=lambda move: (_depth(move.component, group.bindings), move.component))
    if last_first:
        ranked.reverse()
    broken = frozenset(each for each in _apart(group.sites, group) if not reaches(each[2], each[3]))
    search = _Search(group, reaches, breaks, broken)
    found = search.complete((), tuple(ranked))
    return found if found is not None else NoOrder(tuple(search.why), proved=not search.gave_up)


Binding = tuple[str, str, SiteId, SiteId]
"""Consumer, provider, and where each stands."""


@dataclass(slots=True)
class _Search:
    group: Group
    reaches: Reaches
    breaks: Breaks
    broken: frozenset[Binding]
    tried: set[frozenset[str]] = field(default_factory=set)
    why: list[str] = field(default_factory=list)
    gave_up: bool = False

    def complete(
        self, done: tuple[GroupMove, ...], left: tuple[GroupMove, ...]
    ) -> tuple[GroupMove, ...] | None:
        """Depth first; what is done decides everything, in whatever order, so no set is tried twice."""
        if not left:
            return ()
        names = frozenset(move.component for move in done)
        if names in self.tried:
            return None
        if len(self.tried) >= TRIED_MAX:
            self.gave_up = True
            return None
        self.tried.add(names)
        for move in left:
            wrong = self.wrong((*done, move))
            if wrong:
                self.tell(done, move, wrong)
                continue
            rest = self.complete((*done, move), tuple(other for other in left if other != move))
            if rest is not None:
                return (move, *rest)
        return None

    def wrong(self, done: tuple[GroupMove, ...]) -> str:
        """What is not legal when these are done; empty if all is."""
        sites = {**self.group.sites, **{move.component: move.target for move in done}}
        for binding in _apart(sites, self.group):
            consumer, provider, origin, to = binding
            if binding not in self.broken and not self.reaches(origin, to):
                return f"{consumer} at {origin} would not reach {provider} at {to}"
        return "; ".join(self.breaks(frozenset(move.component for move in done)))

    def tell(self, done: tuple[GroupMove, ...], move: GroupMove, wrong: str) -> None:
        """Note a dead end."""
        after = f" after {', '.join(each.component for each in done)}" if done else ""
        line = f"moving {move.component} to {move.target}{after}: {wrong}"
        if len(self.why) < WHY_MAX:
            self.why.append(line)


def _apart(sites: Mapping[str, SiteId], group: Group) -> Iterator[Binding]:
    """Every binding between two sites."""
    for consumer, provider in sorted(group.bindings):
        if sites[consumer] != sites[provider]:
            yield consumer, provider, sites[consumer], sites[provider]


def _depth(component: str, bindings: Sequence[tuple[str, str]], seen: frozenset[str] = frozenset()) -> int:
    """0 for what uses nothing, more for what stands on it."""
    used = [provider for consumer, provider in bindings if consumer == component and provider not in seen]
    return 1 + max(_depth(one, bindings, seen | {component}) for one in used) if used else 0
