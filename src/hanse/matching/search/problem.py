"""What is searched, as columns, and what is found.

A *variable* is one demand, a *value* one candidate for it. The cost of a bundle is the cost of each value,
and for each link between two variables, what its ends pay when they stand at different providers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from hanse.matching.search.assignment import Costs

Level = Literal["site", "provider", "country"]
Flags = npt.NDArray[np.bool_]


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
    """Traffic between two variables: per value of each end, its cost when the providers differ.

    With `same`, a bond instead: the ends stand at one place of that level, whatever it costs.
    """

    first: int
    second: int
    first_pays: Costs
    second_pays: Costs
    same: Level | None = None


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


class Undecided(Enum):
    """The search ended before it found a bundle or was sure that there is none."""

    UNDECIDED = "undecided"


UNDECIDED: Final = Undecided.UNDECIDED
