"""The smallest sets of requirements that cannot hold together."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from hanse.matching.bundle import FREE_UNITS, Bundle
from hanse.matching.candidates import Choices, Market
from hanse.model.market.plan import Conflict

CONFLICTS_MAX = 8
TRIALS_MAX = 250
"""So often the bundle is solved with something left out; more conflicts may exist beyond."""
SETS_MAX = 2_000
Names = frozenset[str]


def conflicts_of(bundle: Bundle, market: Market) -> tuple[Conflict, ...]:
    """Minimal conflicts, smallest first: leaving out any one member of a conflict resolves that conflict.

    Where single demands have no offer at all, the conflicts are among their own requirements; otherwise
    they are between demands, budget and group requirements included. At most `CONFLICTS_MAX`.
    """
    found = [conflict for choice in bundle.choices for conflict in _own_conflicts(choice, market)]
    if not found:
        found = list(_bundle_conflicts(bundle))
    return tuple(found[:CONFLICTS_MAX])


def _own_conflicts(choice: Choices, market: Market) -> Iterator[Conflict]:
    """Of one demand: sets that hit the failing signature of every offer, none of them larger than needed."""
    if any(not candidate.failing for candidate in choice.candidates):
        return
    if not choice.candidates:
        yield _nothing_offered(choice, market)
        return
    says = _words(choice)
    signatures = {
        frozenset(check.id for bit, check in enumerate(choice.checks) if candidate.failing >> bit & 1)
        for candidate in choice.candidates
    }
    for names in hitting_sets(signatures):
        yield _conflict(names, says)


def _nothing_offered(choice: Choices, market: Market) -> Conflict:
    demand = choice.demand
    wanted = (
        "an endpoint" if demand.kind == "endpoint" else f"an offer of kind {' or '.join(demand.offer_kinds)}"
    )
    whose = "the catalogue lists" if market == "all" else "a joined site states"
    says = f"{demand.component} needs {wanted}, and nothing that {whose} is one"
    return Conflict(requirements=(f"{demand.component}.offered",), says=(says,))


def hitting_sets(signatures: Iterable[Names]) -> list[Names]:
    """Minimal sets that share a member with every signature, smallest first (Berge 1989).

    Among very many, those that are smallest along the way are kept; each one returned is minimal.
    """
    sets: list[Names] = [frozenset()]
    for signature in sorted(_minimal(signatures), key=lambda each: (len(each), sorted(each))):
        hit = [each for each in sets if each & signature]
        grown = {each | {name} for each in sets if not each & signature for name in signature}
        sets = _minimal([*hit, *grown])[:SETS_MAX]
    return sets


def _minimal(sets: Iterable[Names]) -> list[Names]:
    """Without those that contain another, in a fixed order."""
    kept: list[Names] = []
    for each in sorted(set(sets), key=lambda names: (len(names), sorted(names))):
        if not any(other <= each for other in kept):
            kept.append(each)
    return kept


def _bundle_conflicts(bundle: Bundle) -> list[Conflict]:
    says = {name: words for choice in bundle.choices for name, words in _words(choice).items()}
    says |= {rule.id: rule.says for rule in bundle.mandate.group}
    says[FREE_UNITS] = "no offer is bought oftener than it has free units"
    conditions = [*_rejecting(bundle), *(rule.id for rule in bundle.mandate.group), FREE_UNITS]
    everything = frozenset(conditions)

    def solvable(kept: Names) -> bool:
        return bundle.solve(everything - kept, trial=True, first_only=True) is not None

    found = minimal_conflicts(conditions, solvable)
    if found:
        return [_conflict(names, says) for names in _minimal(found)]
    return [_conflict(_reduced(conditions, solvable), says, minimal=False)]


def _words(choice: Choices) -> dict[str, str]:
    """What each check says; where two share an id, the mandate's own words."""
    return {check.id: check.says for check in reversed(choice.checks)}


def _rejecting(bundle: Bundle) -> list[str]:
    """Checks that reject something; the others are in no conflict."""
    names: dict[str, None] = {}
    for choice in bundle.choices:
        failing = 0
        for candidate in choice.candidates:
            failing |= candidate.failing
        names |= {check.id: None for bit, check in enumerate(choice.checks) if failing >> bit & 1}
    return list(names)


def minimal_conflicts(conditions: list[str], solvable: Callable[[Names], bool]) -> list[Names]:
    """Minimal sets of conditions that are not `solvable`, by hitting-set tree (Reiter 1987).

    All conditions together are known not to be solvable.
    All are found if there are at most `CONFLICTS_MAX` and `TRIALS_MAX` questions suffice; the first always.
    `solvable` must stay true when conditions are taken away; where it answers true because it does not
    know, what cannot be confirmed is left out.
    """
    everything = frozenset(conditions)
    asked: dict[Names, bool] = {everything: False}

    def holds(kept: Names) -> bool:
        if kept not in asked:
            asked[kept] = solvable(kept)
        return asked[kept]

    found: list[Names] = []
    seen: set[Names] = set()
    queue: deque[Names] = deque([frozenset()])
    while queue and len(found) < CONFLICTS_MAX and (len(asked) < TRIALS_MAX or not found):
        left_out = queue.popleft()
        conflict = next((each for each in found if not each & left_out), None)
        if conflict is None:
            rest = everything - left_out
            if holds(rest):
                continue
            conflict = _shrunk([name for name in conditions if name in rest], holds)
            if holds(conflict):
                continue
            found.append(conflict)
        for name in sorted(conflict):
            branch = left_out | {name}
            if branch not in seen:
                seen.add(branch)
                queue.append(branch)
    return found


def _shrunk(conditions: list[str], holds: Callable[[Names], bool]) -> Names:
    """A minimal conflict within conditions that do not hold together (QuickXplain, Junker 2004)."""

    def split(background: Names, grown: bool, names: list[str]) -> Names:
        if grown and not holds(background):
            return frozenset()
        if len(names) == 1:
            return frozenset(names)
        left, right = names[: len(names) // 2], names[len(names) // 2 :]
        from_right = split(background | frozenset(left), True, right)
        from_left = split(background | from_right, bool(from_right), left)
        return from_left | from_right

    if not conditions or not holds(frozenset()):
        return frozenset()
    return split(frozenset(), False, conditions)


def _reduced(conditions: list[str], solvable: Callable[[Names], bool]) -> Names:
    """A conflict that has lost whatever could be shown not to matter: sure, but maybe not minimal."""
    kept = frozenset(conditions)
    for name in conditions:
        if not solvable(kept - {name}):
            kept -= {name}
    return kept


def _conflict(names: Names, says: dict[str, str], *, minimal: bool = True) -> Conflict:
    ordered = sorted(names)
    words = tuple(says[name] for name in ordered)
    return Conflict(requirements=tuple(ordered), says=words, minimal=minimal)
