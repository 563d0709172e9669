"""What the search prepares once: links whose cost is open, a spanning forest of them, values by place."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from hanse.matching.search.assignment import INFINITE, Costs
from hanse.matching.search.problem import Flags, Group, Level, Link, Problem, Variable


def turned(link: Link) -> Link:
    """The same link seen from its other end."""
    return Link(link.second, link.first, link.second_pays, link.first_pays, link.same)


def settled_links(problem: Problem) -> tuple[list[Costs], list[Link]]:
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


def contradictory(groups: Sequence[Group]) -> bool:
    """Whether some group must stand apart that others, taken together, hold at one place."""
    return any(
        group.kind == "apart"
        and any(len(set(group.members) & set(held)) > 1 for held in _held(groups, group.level))
        for group in groups
    )


def _held(groups: Sequence[Group], level: Level) -> list[set[int]]:
    """Variables that share a place of `level`; one site is one provider and one country."""
    held: list[set[int]] = []
    for group in groups:
        if group.kind == "together" and group.level in (level, "site"):
            touched = [each for each in held if each & set(group.members)]
            held = [each for each in held if each not in touched]
            held.append(set(group.members).union(*touched))
    return held


def bonds_of(problem: Problem) -> list[Link]:
    """Groups that stand together, as bonds from each member to the next."""
    none = [np.zeros_like(variable.costs) for variable in problem.variables]
    return [
        Link(one, other, none[one], none[other], group.level)
        for group in problem.groups
        if group.kind == "together"
        for one, other in pairwise(group.members)
    ]


def forest_of(links: Sequence[Link], count: int) -> list[list[Link]]:
    """A spanning forest of bonds and the dearest links, both directions, by variable."""
    tree = list(range(count))
    kept: list[list[Link]] = [[] for _ in range(count)]
    ranked = sorted(
        links, key=lambda each: (each.same is None, -int(each.first_pays.max() + each.second_pays.max()))
    )
    for link in ranked:
        one, other = tree[link.first], tree[link.second]
        if one != other:
            tree = [one if mark == other else mark for mark in tree]
            kept[link.first].append(link)
            kept[link.second].append(turned(link))
    return kept


Slots = dict[Level, tuple[Costs, Costs, Costs, int]]


def slots_of(variable: Variable, counts: Mapping[Level, int]) -> Slots:
    """Per level: values ordered by place, where each begins, which it is, and how many places there are."""
    slots: Slots = {}
    for level, keys in variable.keys.items():
        order = np.argsort(keys, kind="stable")
        places, starts = np.unique(keys[order], return_index=True)
        slots[level] = (order, starts, places, counts[level])
    return slots


def takers_of(variable: Variable) -> dict[int, Flags]:
    """Per scarce thing: the values that take one unit of it."""
    takers: dict[int, Flags] = {}
    for value, resources in enumerate(variable.resources):
        for resource in resources:
            takers.setdefault(resource, np.zeros(len(variable.costs), dtype=bool))[value] = True
    return takers
