"""Depth first, cheapest first, with bounds that never overstate."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hanse.matching.search.assignment import INFINITE, Costs, assignment_cost
from hanse.matching.search.bound import (
    bonds_of,
    contradictory,
    forest_of,
    settled_links,
    slots_of,
    takers_of,
    turned,
)
from hanse.matching.search.problem import UNDECIDED, Budget, Flags, Found, Level, Link, Problem, Undecided

STEPS_MAX = 50_000
NODE_STEPS = 20
"""A node bounds everything that is free; that takes about as long as so many values that fail at once."""


@dataclass(slots=True)
class Effort:
    """How much searching is granted, in values tried; counted, not timed, so that answers stay the same."""

    granted: int = STEPS_MAX
    used: int = 0

    @property
    def spent(self) -> bool:
        """No more is granted: the best bundle found is taken without proof, and none found is undecided."""
        return self.used > self.granted


def solve(problem: Problem, effort: Effort, *, first_only: bool = False) -> Found | Undecided | None:
    """The cheapest bundle, or None when there surely is none; with `first_only`, any. Same in, same out."""
    if not problem.variables:
        return Found((), 0, proved=True)
    if any(not len(variable.costs) for variable in problem.variables):
        return None
    if contradictory(problem.groups):
        return None
    return _Search(problem, effort, first_only=first_only).run()


class _Search:
    """One run. `costs` of a step: per variable, the cost of each value given all values chosen so far."""

    def __init__(self, problem: Problem, effort: Effort, *, first_only: bool) -> None:
        self._first_only = first_only
        self._effort = effort
        self._variables = problem.variables
        self._groups = problem.groups
        self._near = problem.near
        self._budgets = problem.budgets
        self._start, self._links = settled_links(problem)
        self._best: tuple[int, ...] | None = None
        self._below = INFINITE if problem.limit is None else problem.limit + 1
        self._units = dict(problem.units)
        self._chosen: dict[int, int] = {}
        count = len(problem.variables)
        self._neighbours: list[list[Link]] = [[] for _ in range(count)]
        for link in self._links:
            self._neighbours[link.first].append(link)
            self._neighbours[link.second].append(turned(link))
        bonds = bonds_of(problem)
        self._bound_to = [sum(index in (bond.first, bond.second) for bond in bonds) for index in range(count)]
        self._forest = forest_of([*bonds, *self._links], count)
        counts = {
            level: 1 + max(int(each.keys[level].max()) for each in problem.variables)
            for level in problem.variables[0].keys
        }
        self._slots = [slots_of(variable, counts) for variable in problem.variables]
        self._takers = [takers_of(variable) for variable in problem.variables]

    def run(self) -> Found | Undecided | None:
        """Search everything that could still be better."""
        if all((costs < INFINITE).any() for costs in self._start):
            self._step(self._start, 0)
        if self._best is None:
            return UNDECIDED if self._effort.spent else None
        return Found(self._best, self._below, proved=not self._effort.spent)

    @property
    def _stopped(self) -> bool:
        """Enough is found, or no more steps are granted."""
        return (self._first_only and self._best is not None) or self._effort.spent

    def _step(self, costs: list[Costs], paid: int) -> None:
        """Choose a variable and try its values, most promising first."""
        self._effort.used += NODE_STEPS
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
        self._effort.used += 1
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
        """The one with most links to others, then with the widest gap from its best to its second best."""
        if len(free) == 1:
            return free[0]

        def gap(index: int) -> int:
            if len(costs[index]) == 1:
                return INFINITE
            best, second = np.partition(costs[index], 1)[:2].tolist()
            return int(second - best)

        def links(index: int) -> int:
            open_links = sum(link.second not in self._chosen for link in self._neighbours[index])
            return open_links + self._bound_to[index]

        return max(free, key=lambda index: (links(index), gap(index), -index))

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
        """Per value of `root`: what everything free costs at least, a spanning forest of links counted.

        Messages run to the root. What stands apart and links outside the forest are left out, so it never
        overstates; on a forest without such it is exact.
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
            level: Level = link.same or "provider"
            cheapest = self._by_key(below, child, level)[self._variables[index].keys[level]]
            if link.same is None:
                apart = int((below + link.second_pays).min()) + link.first_pays
                cheapest = np.minimum(cheapest, apart)
            total = np.minimum(total + cheapest, INFINITE)
        return total
