"""The cheapest way to give each row a column of its own: the bound for components that stand apart."""

import numpy as np
import numpy.typing as npt

Costs = npt.NDArray[np.int64]
INFINITE = 1 << 60
"""No way. Sums of real costs stay far below it."""


def assignment_cost(costs: Costs) -> int:
    """Least sum of one entry per row, no column twice; `INFINITE` if there is none.

    Shortest augmenting paths with potentials (Kuhn 1955, Jonker and Volgenant 1987); rows are few, columns
    a few hundred, so the inner loop over columns is one vector step.
    """
    rows, columns = costs.shape
    if rows > columns:
        return INFINITE
    potential_row = np.zeros(rows + 1, dtype=np.int64)
    potential_column = np.zeros(columns + 1, dtype=np.int64)
    owner = np.full(columns + 1, -1, dtype=np.int64)
    for row in range(rows):
        if not _augment(costs, row, owner, (potential_row, potential_column)):
            return INFINITE
    taken = np.flatnonzero(owner[:columns] >= 0)
    return int(costs[owner[taken], taken].sum())


def _augment(costs: Costs, row: int, owner: Costs, potentials: tuple[Costs, Costs]) -> bool:
    """Give `row` a column, moving others along the cheapest path. Column `columns` stands for the start."""
    of_row, of_column = potentials
    columns = costs.shape[1]
    shortest = np.full(columns + 1, INFINITE, dtype=np.int64)
    previous = np.full(columns + 1, columns, dtype=np.int64)
    used = np.zeros(columns + 1, dtype=bool)
    owner[columns] = row
    column = columns
    while owner[column] >= 0:
        used[column] = True
        at = owner[column]
        reduced = costs[at] - of_row[at] - of_column[:columns]
        closer = ~used[:columns] & (reduced < shortest[:columns])
        shortest[:columns][closer] = reduced[closer]
        previous[:columns][closer] = column
        nearest = int(np.argmin(np.where(used, 2 * INFINITE, shortest)))
        step = int(shortest[nearest])
        if used[nearest] or nearest == columns or step >= INFINITE // 2:
            owner[columns] = -1
            return False
        of_row[owner[used]] += step
        of_column[used] -= step
        shortest[~used] -= step
        column = nearest
    while column != columns:
        before = int(previous[column])
        owner[column] = owner[before]
        column = before
    owner[columns] = -1
    return True
