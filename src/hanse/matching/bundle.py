"""From candidates to the search and back: what can be told apart, what is scarce, what traffic costs."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hanse.matching.candidates import PRICE_MAX, Candidate, Choices, gib_price
from hanse.matching.search.assignment import INFINITE
from hanse.matching.search.problem import (
    Budget,
    Flags,
    Found,
    Group,
    Level,
    Link,
    Near,
    Problem,
    Undecided,
    Variable,
)
from hanse.matching.search.solve import Effort, solve
from hanse.model.application.requirement import GroupRequirement, Mandate
from hanse.model.market.offer import Catalogue, Site
from hanse.rules.facts import rtt_ms

FREE_UNITS = "free-units"
"""Id of the condition that no offer is sold oftener than it has units."""
TRIAL_STEPS_MAX = 5_000
TRIALS_STEPS_MAX = 80_000
"""Of all trials together; after that every trial is undecided at once."""
_LEVELS: tuple[Level, ...] = ("site", "provider", "country")
_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Solution:
    """One candidate per demand, in the mandate's order, and what all cost a month in micro-euros."""

    chosen: tuple[Candidate, ...]
    cost: int
    proved: bool


class Bundle:
    """A mandate's demands with their candidates; solves it with any of its conditions left out."""

    def __init__(self, mandate: Mandate, catalogue: Catalogue, choices: tuple[Choices, ...]) -> None:
        self.mandate = mandate
        self.choices = choices
        self._measured = catalogue.rtt_ms
        self._sites = tuple(catalogue.sites)
        self._index = {each.demand.component: index for index, each in enumerate(choices)}
        sites = self._sites
        self._codes: dict[Level, dict[str, int]] = {
            "site": _numbered(site.site for site in sites),
            "provider": _numbered(site.provider for site in sites),
            "country": _numbered(site.country for site in sites),
        }
        self._places = {
            (site.site, levels): tuple(_key(site, level) for level in levels)
            for site in sites
            for size in range(len(_LEVELS) + 1)
            for levels in itertools.combinations(_LEVELS, size)
        }
        self._trial_steps = TRIALS_STEPS_MAX
        self._kept: dict[tuple[int, frozenset[str], tuple[Level, ...], bool], list[Candidate]] = {}
        self._rows: dict[tuple[float, int], Flags] = {}
        self._apart_gib = [
            sum(
                each.gib_per_month
                for each in mandate.traffic
                if each.from_component == choice.demand.component
            )
            for choice in choices
        ]

    def solve(
        self,
        dropped: frozenset[str] = _NONE,
        *,
        prefer: tuple[tuple[str, str], ...] = (),
        trial: bool = False,
        first_only: bool = False,
    ) -> Solution | Undecided | None:
        """The cheapest bundle without the requirements named in `dropped`; None if there surely is none.

        A `trial` is one of many questions: it takes fewer steps before it stays undecided or unproved.

        `prefer` adds pairs of demands that stand at different providers. Where a dropped requirement was that
        a price is known, the unknown price counts as 0: good for asking whether, not how much.
        """
        rules = [rule for rule in self.mandate.group if rule.id not in dropped]
        groups = [*self._groups(rules), *self._preferred(prefer)]
        scarce = {} if FREE_UNITS in dropped else self._scarce
        kept = [
            self._worth(index, dropped, self._relevant(index, groups, rules), scarce)
            for index in range(len(self.choices))
        ]
        totals = [
            rule.limit_micro_eur_per_month for rule in rules if rule.kind == "budget" and not rule.components
        ]
        problem = Problem(
            variables=tuple(self._variable(candidates, scarce) for candidates in kept),
            links=tuple(self._links(kept)),
            groups=tuple(groups),
            near=tuple(self._nears(rules)),
            budgets=tuple(self._budgets(rules, kept)),
            units=dict(scarce.values()),
            limit=min((limit for limit in totals if limit is not None), default=None),
        )
        effort = Effort(min(TRIAL_STEPS_MAX, self._trial_steps)) if trial else Effort()
        found = solve(problem, effort, first_only=first_only)
        if trial:
            self._trial_steps -= effort.used
        if not isinstance(found, Found):
            return found
        chosen = tuple(candidates[value] for candidates, value in zip(kept, found.values, strict=True))
        return Solution(chosen, found.cost, found.proved)

    def near_enough(self, limit_ms: float, one: Site, other: Site) -> bool:
        """Round-trip time between two sites: the worse of what was measured either way, else by distance."""
        keys = (f"{one.site}>{other.site}", f"{other.site}>{one.site}")
        measured = [self._measured[key] for key in keys if key in self._measured]
        if measured:
            return max(measured) <= limit_ms
        return rtt_ms(one, (other.latitude, other.longitude), {})[0] <= limit_ms

    def _members(self, rule: GroupRequirement) -> tuple[int, ...]:
        return tuple(dict.fromkeys(self._index[name] for name in rule.components))

    def _groups(self, rules: Sequence[GroupRequirement]) -> Iterator[Group]:
        for rule in rules:
            if rule.level is not None and (rule.kind == "apart" or rule.kind == "together"):
                yield Group(rule.kind, rule.level, self._members(rule))

    def _preferred(self, pairs: tuple[tuple[str, str], ...]) -> Iterator[Group]:
        for one, other in pairs:
            yield Group("apart", "provider", (self._index[one], self._index[other]))

    def _nears(self, rules: Sequence[GroupRequirement]) -> Iterator[Near]:
        for rule in rules:
            if rule.kind == "latency-between" and rule.limit_ms is not None:
                yield Near(self._members(rule), self._near_row(rule.limit_ms))

    def _near_row(self, limit_ms: float) -> Callable[[int], Flags]:
        def row(code: int) -> Flags:
            key = (limit_ms, code)
            if key not in self._rows:
                here = self._sites[code]
                near = [self.near_enough(limit_ms, here, there) for there in self._sites]
                self._rows[key] = np.array(near, dtype=bool)
            return self._rows[key]

        return row

    def _budgets(
        self, rules: Sequence[GroupRequirement], kept: Sequence[Sequence[Candidate]]
    ) -> Iterator[Budget]:
        """Budgets of some demands only; the budget of all is the search's limit."""

        def pays(values: Sequence[int], member: int) -> int:
            chosen = kept[member][values[member]]
            name = self.choices[member].demand.component
            traffic = 0
            for each in self.mandate.traffic:
                if each.from_component == name:
                    other = self._index[each.to_component]
                    if kept[other][values[other]].site.provider != chosen.site.provider:
                        traffic += gib_price(each.gib_per_month, chosen.egress or 0)
            return (chosen.price or 0) + traffic

        for rule in rules:
            if rule.kind == "budget" and rule.components and rule.limit_micro_eur_per_month is not None:
                yield Budget(self._members(rule), rule.limit_micro_eur_per_month, pays)

    @cached_property
    def _scarce(self) -> dict[str, tuple[int, int]]:
        """Offers that this bundle could use up: id to (number, units)."""
        count = len(self.choices)
        units = {
            goods.id: goods.free_units
            for choice in self.choices
            for candidate in choice.candidates
            for goods in (candidate.offer, candidate.volume)
            if goods is not None and goods.free_units is not None and goods.free_units < count
        }
        return {name: (number, units[name]) for number, name in enumerate(sorted(units))}

    def _relevant(
        self, index: int, groups: Sequence[Group], rules: Sequence[GroupRequirement]
    ) -> tuple[Level, ...]:
        """Levels at which it matters where this demand stands."""
        levels: set[Level] = {group.level for group in groups if index in group.members}
        name = self.choices[index].demand.component
        flows = (each for each in self.mandate.traffic if each.gib_per_month > 0)
        if any(name in (each.from_component, each.to_component) for each in flows):
            levels.add("provider")
        if any(rule.kind == "latency-between" and name in rule.components for rule in rules):
            levels.add("site")
        return tuple(level for level in _LEVELS if level in levels)

    def _worth(
        self,
        index: int,
        dropped: frozenset[str],
        levels: tuple[Level, ...],
        scarce: Mapping[str, tuple[int, int]],
    ) -> list[Candidate]:
        """Candidates without those that a cheaper one replaces in every bundle.

        At one place that matters, a candidate is not needed when others, no dearer in price and in egress,
        have together a unit for every demand: one of them is always left.
        """
        choice = self.choices[index]
        key = (index, dropped & choice.names, levels, bool(scarce))
        if key not in self._kept:
            self._kept[key] = self._undominated(index, choice.passing(dropped), levels, scarce)
        return self._kept[key]

    def _undominated(
        self,
        index: int,
        candidates: Sequence[Candidate],
        levels: tuple[Level, ...],
        scarce: Mapping[str, tuple[int, int]],
    ) -> list[Candidate]:
        count = len(self.choices)
        leaves = self._apart_gib[index] > 0
        enough: dict[tuple[str, ...], int] = {}
        cells: dict[tuple[str, ...], list[tuple[int, int]]] = {}
        worth: list[Candidate] = []
        for candidate in candidates:
            place = self._places[candidate.site.site, levels]
            egress = (candidate.egress or 0) if leaves else 0
            if egress >= enough.get(place, INFINITE):
                continue
            units = _sure_units(candidate, scarce, count)
            if units < 0:
                continue
            worth.append(candidate)
            cell = cells.setdefault(place, [])
            cell.append((egress, units))
            enough[place] = _enough(cell, count)
        return worth

    def _variable(self, candidates: Sequence[Candidate], scarce: dict[str, tuple[int, int]]) -> Variable:
        return Variable(
            costs=np.array([candidate.price or 0 for candidate in candidates], dtype=np.int64),
            keys={
                level: np.array([codes[_key(each.site, level)] for each in candidates], dtype=np.int64)
                for level, codes in self._codes.items()
            },
            resources=[
                tuple(scarce[goods][0] for goods in candidate.bought if goods in scarce) if scarce else ()
                for candidate in candidates
            ],
        )

    def _links(self, kept: Sequence[Sequence[Candidate]]) -> Iterator[Link]:
        """Traffic between each two demands, both directions in one link."""
        pays: dict[tuple[int, int], list[float]] = {}
        for each in self.mandate.traffic:
            source, target = self._index[each.from_component], self._index[each.to_component]
            if each.gib_per_month > 0 and source != target:
                pays.setdefault((source, target), []).append(each.gib_per_month)
        for first, second in sorted({(min(pair), max(pair)) for pair in pays}):
            yield Link(
                first,
                second,
                _traffic(kept[first], pays.get((first, second), ())),
                _traffic(kept[second], pays.get((second, first), ())),
            )


def _traffic(candidates: Sequence[Candidate], amounts: Sequence[float]) -> np.typing.NDArray[np.int64]:
    """Per candidate: what these amounts cost when they leave its provider."""
    costs = (sum(gib_price(gib, each.egress or 0) for gib in amounts) for each in candidates)
    return np.array([cost if cost <= PRICE_MAX else INFINITE for cost in costs], dtype=np.int64)


def _key(site: Site, level: Level) -> str:
    if level == "site":
        return site.site
    return site.provider if level == "provider" else site.country


def _numbered(names: Iterator[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(dict.fromkeys(names))}


def _enough(cell: Sequence[tuple[int, int]], count: int) -> int:
    """The least egress at which candidates no dearer have units for every demand."""
    total = 0
    for egress, units in sorted(cell):
        total += units
        if total >= count:
            return egress
    return INFINITE


def _sure_units(candidate: Candidate, scarce: Mapping[str, tuple[int, int]], count: int) -> int:
    """Units that only its own buyers use up; 0 if it shares a scarce volume, -1 if something is sold out."""
    if not scarce:
        return count
    taken = [scarce[goods] for goods in candidate.bought if goods in scarce]
    if any(units == 0 for _, units in taken):
        return -1
    if not taken:
        return count
    return 0 if candidate.volume is not None else taken[0][1]
