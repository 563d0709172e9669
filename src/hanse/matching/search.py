"""Exact search over a bundle: depth first, cheapest first, with bounds that never overstate.

A *variable* is one demand, a *value* one candidate for it. The cost of a bundle is the cost of each value,
and for each link between two variables, what its ends pay when they stand at different providers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from hanse.matching.assignment import INFINITE, Costs, assignment_cost

Level = Literal["site", "provider", "country"]
Flags = npt.NDArray[np.bool_]
NODES_MAX = 20_000
"""After so many steps the best bundle found is taken without proof."""


@dataclass(frozen=True, slots=True)
class Variable:
    """The candidates of one demand, as columns."""

    costs: Costs
    keys: Mapping[Level, Costs]
    """Numbers that are equal exactly when two values stand at the same site, provider or country."""
    resources: Sequence[tuple[int, ...]]
    """Per value: what it takes one unit of. Only what is scarce is named."""


@dataclass(frozen=True, slots=True)
class Link:
    """Traffic between two variables: per value of each end, its cost when the providers differ."""

    first: int
    second: int
    first_pays: Costs
    second_pays: Costs


@dataclass(frozen=True, slots=True)
class Group:
    """Variables whose keys at a level all differ, or are all equal."""

    kind: Literal["apart", "together"]
    level: Level
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Near:
    """Variables that stand pairwise near: `row(site)` says per site key whether it is near enough."""

    members: tuple[int, ...]
    row: Callable[[int], Flags]


@dataclass(frozen=True, slots=True)
class Budget:
    """Members cost at most `limit` together; `pays` counts a member's part given all values."""

    members: tuple[int, ...]
    limit: int
    pays: Callable[[Sequence[int], int], int]


@dataclass(frozen=True, slots=True)
class Problem:
    """Everything that the search needs."""

    variables: tuple[Variable, ...]
    links: tuple[Link, ...] = ()
    groups: tuple[Group, ...] = ()
    near: tuple[Near, ...] = ()
    budgets: tuple[Budget, ...] = ()
    units: Mapping[int, int] = field(default_factory=dict)
    limit: int | None = None
    """Most that the whole bundle may cost."""


@dataclass(frozen=True, slots=True)
class Found:
    """A bundle: one value per variable."""

    values: tuple[int, ...]
    cost: int
    proved: bool


def solve(problem: Problem, *, first_only: bool = False) -> Found | None:
    """The cheapest bundle, or None when there is none; with `first_only`, any bundle. Same in, same out."""
    if not problem.variables:
        return Found((), 0, proved=True)
    if any(not len(variable.costs) for variable in problem.variables):
        return None
    return _Search(problem, first_only).run()


class _Search:
    """One run. `costs` of a step: per variable, the cost of each value given all values chosen so far."""

    def __init__(self, problem: Problem, first_only: bool) -> None:
        self._first_only = first_only
        self._variables = problem.variables
        self._groups = problem.groups
        self._near = problem.near
        self._budgets = problem.budgets
        self._start, self._links = _settled_links(problem)
        self._best: tuple[int, ...] | None = None
        self._below = INFINITE if problem.limit is None else problem.limit + 1
        self._nodes = 0
        self._units = dict(problem.units)
        self._chosen: dict[int, int] = {}
        count = len(problem.variables)
        self._neighbours: list[list[Link]] = [[] for _ in range(count)]
        for link in self._links:
            self._neighbours[link.first].append(link)
            self._neighbours[link.second].append(_turned(link))
        self._forest = _forest(self._links, count)
        counts = {
            level: 1 + max(int(each.keys[level].max()) for each in problem.variables)
            for level in problem.variables[0].keys
        }
        self._slots = [_slots(variable, counts) for variable in problem.variables]
        self._takers = [_takers(variable) for variable in problem.variables]

    def run(self) -> Found | None:
        """Search everything that could still be better."""
        if all((costs < INFINITE).any() for costs in self._start):
            self._step(self._start, 0)
        if self._best is None:
            return None
        return Found(self._best, self._below, proved=not self._stopped or self._first_only)

    @property
    def _stopped(self) -> bool:
        """A bundle is in hand and no more steps are granted."""
        return self._best is not None and (self._first_only or self._nodes > NODES_MAX)

    def _step(self, costs: list[Costs], paid: int) -> None:
        """Choose a variable and try its values, most promising first."""
        self._nodes += 1
        free = [index for index in range(len(costs)) if index not in self._chosen]
        if not free:
            if all(self._within(budget) for budget in self._budgets):
                self._best = tuple(self._chosen[index] for index in range(len(costs)))
                self._below = paid
            return
        if paid + self._apart_bound(costs, free) >= self._below:
            return
        chosen = self._next_variable(costs, free)
        bound = self._tree_bound(costs, chosen, set(free)) + paid
        for value in np.lexsort((costs[chosen], bound)).tolist():
            if bound[value] >= self._below or self._stopped:
                return
            self._try(costs, paid, chosen, value)

    def _try(self, costs: list[Costs], paid: int, chosen: int, value: int) -> None:
        taken = self._variables[chosen].resources[value]
        self._chosen[chosen] = value
        for resource in taken:
            self._units[resource] -= 1
        left = self._consequences(costs, chosen, value)
        if left is not None:
            self._step(left, paid + int(costs[chosen][value]))
        for resource in taken:
            self._units[resource] += 1
        del self._chosen[chosen]

    def _within(self, budget: Budget) -> bool:
        values = [self._chosen[index] for index in range(len(self._variables))]
        return sum(budget.pays(values, member) for member in budget.members) <= budget.limit

    def _next_variable(self, costs: list[Costs], free: list[int]) -> int:
        """The one with most to lose: the widest gap between its best and its second best value."""
        if len(free) == 1:
            return free[0]

        def gap(index: int) -> int:
            if len(costs[index]) == 1:
                return INFINITE
            best, second = np.partition(costs[index], 1)[:2].tolist()
            return int(second - best)

        return max(free, key=lambda index: (gap(index), len(self._neighbours[index]), -index))

    def _consequences(self, costs: list[Costs], chosen: int, value: int) -> list[Costs] | None:
        """Costs of the others once `chosen` has its value; None if some variable is left without any."""
        changed: dict[int, Costs] = {}

        def of(index: int) -> Costs:
            if index not in changed:
                changed[index] = costs[index].copy()
            return changed[index]

        mine = {level: keys[value] for level, keys in self._variables[chosen].keys.items()}
        for link in self._neighbours[chosen]:
            if link.second not in self._chosen:
                away = self._variables[link.second].keys["provider"] != mine["provider"]
                of(link.second)[away] += link.first_pays[value] + link.second_pays[away]
        for other, forbidden in self._forbidden(chosen, value, mine):
            of(other)[forbidden] = INFINITE
        if any(int(array.min()) >= INFINITE for array in changed.values()):
            return None
        return [np.minimum(changed[i], INFINITE) if i in changed else array for i, array in enumerate(costs)]

    def _forbidden(self, chosen: int, value: int, mine: Mapping[Level, np.int64]) -> list[tuple[int, Flags]]:
        """Values of others that can stand beside this one no more."""
        found: list[tuple[int, Flags]] = []
        for group in self._groups:
            if chosen in group.members:
                for other in set(group.members) - self._chosen.keys():
                    same = self._variables[other].keys[group.level] == mine[group.level]
                    found.append((other, same if group.kind == "apart" else ~same))
        for near in self._near:
            if chosen in near.members:
                row = near.row(int(mine["site"]))
                others = set(near.members) - self._chosen.keys()
                found.extend((other, ~row[self._variables[other].keys["site"]]) for other in others)
        found.extend(
            (other, takers[resource])
            for resource in self._variables[chosen].resources[value]
            if not self._units[resource]
            for other, takers in enumerate(self._takers)
            if other not in self._chosen and resource in takers
        )
        return found

    def _apart_bound(self, costs: list[Costs], free: list[int]) -> int:
        """What the rest costs at least when those that stand apart take different places; no traffic."""
        cheapest = {index: int(costs[index].min()) for index in free}
        total = sum(cheapest.values())
        bound = total
        for group in self._groups:
            members = [index for index in group.members if index in cheapest]
            if group.kind == "apart" and len(members) > 1:
                table = np.stack([self._by_key(costs[index], index, group.level) for index in members])
                table = table[:, (table < INFINITE).any(axis=0)]
                apart = assignment_cost(table)
                bound = max(bound, total - sum(cheapest[index] for index in members) + apart)
        return bound

    def _by_key(self, costs: Costs, index: int, level: Level) -> Costs:
        """Cheapest value at each place of a level."""
        order, starts, places, count = self._slots[index][level]
        best = np.full(count, INFINITE, dtype=np.int64)
        best[places] = np.minimum.reduceat(costs[order], starts)
        return best

    def _tree_bound(self, costs: list[Costs], root: int, free: set[int]) -> Costs:
        """Per value of `root`: what everything free costs at least, links of a spanning forest counted.

        Messages run to the root. Groups and links outside the forest are left out, so it never overstates;
        on a forest without groups it is exact.
        """
        seen: set[int] = set()
        bound = self._gather(costs, root, free, seen)
        rest = 0
        for index in sorted(free):
            if index not in seen:
                rest += int(self._gather(costs, index, free, seen).min())
        return np.minimum(bound + min(rest, INFINITE), INFINITE)

    def _gather(self, costs: list[Costs], index: int, free: set[int], seen: set[int]) -> Costs:
        seen.add(index)
        total = costs[index]
        for link in self._forest[index]:
            child = link.second
            if child not in free or child in seen:
                continue
            below = self._gather(costs, child, free, seen)
            together = self._by_key(below, child, "provider")[self._variables[index].keys["provider"]]
            apart = int((below + link.second_pays).min()) + link.first_pays
            total = np.minimum(total + np.minimum(together, apart), INFINITE)
        return total


def _turned(link: Link) -> Link:
    return Link(link.second, link.first, link.second_pays, link.first_pays)


def _settled_links(problem: Problem) -> tuple[list[Costs], list[Link]]:
    """Starting costs, and the links whose cost is still open.

    Ends that must stand at different providers pay in any case; ends that must share one never do.
    """
    costs = [np.minimum(variable.costs, INFINITE) for variable in problem.variables]
    for group in problem.groups:
        if group.kind == "together":
            _keep_shared_places(problem, group, costs)
    apart = _pairs(problem, "apart", ("provider",))
    together = _pairs(problem, "together", ("provider", "site"))
    links = []
    for link in problem.links:
        pair = frozenset((link.first, link.second))
        if pair in apart:
            costs[link.first] = np.minimum(costs[link.first] + link.first_pays, INFINITE)
            costs[link.second] = np.minimum(costs[link.second] + link.second_pays, INFINITE)
        elif pair not in together:
            links.append(link)
    return costs, links


def _keep_shared_places(problem: Problem, group: Group, costs: list[Costs]) -> None:
    keys = [problem.variables[index].keys[group.level] for index in group.members]
    shared = keys[0][costs[group.members[0]] < INFINITE]
    for index, places in zip(group.members[1:], keys[1:], strict=True):
        shared = np.intersect1d(shared, places[costs[index] < INFINITE])
    for index, places in zip(group.members, keys, strict=True):
        costs[index] = np.where(np.isin(places, shared), costs[index], INFINITE)


def _pairs(problem: Problem, kind: str, levels: tuple[str, ...]) -> set[frozenset[int]]:
    return {
        frozenset((one, other))
        for group in problem.groups
        if group.kind == kind and group.level in levels
        for one in group.members
        for other in group.members
        if one != other
    }


def _forest(links: Sequence[Link], count: int) -> list[list[Link]]:
    """A spanning forest of the dearest links, both directions, by variable."""
    tree = list(range(count))
    kept: list[list[Link]] = [[] for _ in range(count)]
    for link in sorted(links, key=lambda each: -int(each.first_pays.max() + each.second_pays.max())):
        one, other = tree[link.first], tree[link.second]
        if one != other:
            tree = [one if mark == other else mark for mark in tree]
            kept[link.first].append(link)
            kept[link.second].append(_turned(link))
    return kept


Slots = dict[Level, tuple[Costs, Costs, Costs, int]]


def _slots(variable: Variable, counts: Mapping[Level, int]) -> Slots:
    """Per level: values ordered by place, where each begins, which it is, and how many places there are."""
    slots: Slots = {}
    for level, keys in variable.keys.items():
        order = np.argsort(keys, kind="stable")
        places, starts = np.unique(keys[order], return_index=True)
        slots[level] = (order, starts, places, counts[level])
    return slots


def _takers(variable: Variable) -> dict[int, Flags]:
    """Per scarce thing: the values that take one unit of it."""
    takers: dict[int, Flags] = {}
    for value, resources in enumerate(variable.resources):
        for resource in resources:
            takers.setdefault(resource, np.zeros(len(variable.costs), dtype=bool))[value] = True
    return takers
