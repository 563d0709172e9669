"""From candidates to the search and back: what can be told apart, what is scarce, what traffic costs."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hanse.matching.assignment import INFINITE
from hanse.matching.candidates import PRICE_MAX, Candidate, Choices, gib_price
from hanse.matching.search import Budget, Flags, Group, Level, Link, Near, Problem, Variable, solve
from hanse.model.application.requirement import GroupRequirement, Mandate
from hanse.model.market.offer import Catalogue, Site
from hanse.rules.facts import rtt_ms

FREE_UNITS = "free-units"
"""Id of the condition that no offer is sold oftener than it has units."""
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
        first_only: bool = False,
    ) -> Solution | None:
        """The cheapest bundle without the requirements named in `dropped`; None if there is none.

        `prefer` adds pairs of demands that stand at different providers. Where a dropped requirement was that
        a price is known, the unknown price counts as 0: good for asking whether, not how much.
        """
        rules = [rule for rule in self.mandate.group if rule.id not in dropped]
        groups = [*self._groups(rules), *self._preferred(prefer)]
        scarce = {} if FREE_UNITS in dropped else self._scarce()
        kept = [
            self._worth(index, choice.passing(dropped), self._relevant(index, groups, rules), scarce)
            for index, choice in enumerate(self.choices)
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
        found = solve(problem, first_only=first_only)
        if found is None:
            return None
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
        if any(name in (each.from_component, each.to_component) for each in self.mandate.traffic):
            levels.add("provider")
        if any(rule.kind == "latency-between" and name in rule.components for rule in rules):
            levels.add("site")
        return tuple(level for level in _LEVELS if level in levels)

    def _worth(
        self,
        index: int,
        candidates: Sequence[Candidate],
        levels: tuple[Level, ...],
        scarce: dict[str, tuple[int, int]],
    ) -> list[Candidate]:
        """Candidates without those that a cheaper one replaces in every bundle.

        At one place that matters, a candidate is not needed when others, no dearer in price and in egress,
        have together a unit for every demand: one of them is always left.
        """
        count = len(self.choices)
        leaves = self._apart_gib[index] > 0
        cells: dict[tuple[str, ...], list[tuple[int, int]]] = {}
        worth: list[Candidate] = []
        for candidate in candidates:
            if any(scarce[goods][1] == 0 for goods in candidate.bought if goods in scarce):
                continue
            place = tuple(_key(candidate.site, level) for level in levels)
            cell = cells.setdefault(place, [])
            egress = (candidate.egress or 0) if leaves else 0
            if sum(units for dearness, units in cell if dearness <= egress) >= count:
                continue
            worth.append(candidate)
            cell.append((egress, _sure_units(candidate, scarce, count)))
        return worth

    def _variable(self, candidates: Sequence[Candidate], scarce: dict[str, tuple[int, int]]) -> Variable:
        return Variable(
            costs=np.array([candidate.price or 0 for candidate in candidates], dtype=np.int64),
            keys={
                level: np.array([codes[_key(each.site, level)] for each in candidates], dtype=np.int64)
                for level, codes in self._codes.items()
            },
            resources=[
                tuple(scarce[goods][0] for goods in candidate.bought if goods in scarce)
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


def _sure_units(candidate: Candidate, scarce: dict[str, tuple[int, int]], count: int) -> int:
    """Units that only this candidate's own buyers can use up; 0 where it shares a scarce volume."""
    if candidate.volume is not None and candidate.volume.id in scarce:
        return 0
    if candidate.offer is None or candidate.offer.id not in scarce:
        return count
    return 0 if candidate.volume is not None else scarce[candidate.offer.id][1]
