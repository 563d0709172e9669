"""Hanse and the plain tools, in turn: figures of both sides and their ratios, one JSON line."""

import json
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

PAIRS = 7


@dataclass(frozen=True, slots=True)
class Side:
    """One run of one side."""

    seconds: float
    """From the command to its end."""
    gap_ms: float | None = None
    """Longest time between two answers that a client got; None where it means nothing."""
    errors: int = 0
    """Requests of clients that failed."""
    lost: int = 0
    """Acknowledged writes that are not there afterwards, or objects absent or different."""


Run = Callable[[int], Side]
"""A run from empty directories; the number is the pair's."""


def compare(bench: str, ours: Run, raw: Run, pairs: int = PAIRS) -> dict[str, object]:
    """Run both sides alternately, each first in every second pair. Ratios are Hanse ÷ raw, pair by pair."""
    left: list[Side] = []
    right: list[Side] = []
    for number in range(pairs):
        both = [(left, ours), (right, raw)]
        for sides, run in both if number % 2 == 0 else reversed(both):
            sides.append(run(number))
    gaps = [(a.gap_ms, b.gap_ms) for a, b in zip(left, right, strict=True)]
    return {
        "bench": bench,
        "seconds": median([side.seconds for side in left]),
        "raw_seconds": median([side.seconds for side in right]),
        "ratio_total": median([a.seconds / b.seconds for a, b in zip(left, right, strict=True)]),
        "gap_ms": median([side.gap_ms for side in left if side.gap_ms is not None]),
        "raw_gap_ms": median([side.gap_ms for side in right if side.gap_ms is not None]),
        "ratio_gap": median([a / b for a, b in gaps if a is not None and b]),
        "errors": sum(side.errors for side in left),
        "lost": sum(side.lost for side in left),
        "load": round(os.getloadavg()[0], 1),
        "pairs": pairs,
        "quartiles_seconds": quartiles([side.seconds for side in left]),
        "raw_quartiles_seconds": quartiles([side.seconds for side in right]),
        "quartiles_gap_ms": quartiles([side.gap_ms for side in left if side.gap_ms is not None]),
        "raw_quartiles_gap_ms": quartiles([side.gap_ms for side in right if side.gap_ms is not None]),
    }


def median(values: Sequence[float]) -> float | None:
    """Rounded; None where there are no values."""
    return round(statistics.median(values), 3) if values else None


def quartiles(values: Sequence[float]) -> list[float] | None:
    """First and third; None for fewer than two values."""
    if len(values) < 2:
        return None
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return [round(first, 3), round(third, 3)]


def tell(line: dict[str, object]) -> None:
    """The one line."""
    print(json.dumps(line), flush=True)
