"""The verdict, from the clients' own logs alone."""

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Seen:
    """What one client saw between two moments, or in all."""

    requests: int
    errors: int
    gap_ms: int
    """Longest time between two answered requests."""
    slowest_ms: int


def lines_of(log: Path) -> list[dict[str, Any]]:
    """The requests of a log, oldest first; a torn last line is left out."""
    found: list[dict[str, Any]] = []
    if not log.exists():
        return found
    for line in log.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found


def acknowledged(line: dict[str, Any]) -> bool:
    """The server said yes."""
    return 200 <= int(line["status"]) < 300


def seen(lines: list[dict[str, Any]], since: float = 0.0, until: float = float("inf")) -> Seen:
    """Counts and gaps of the requests that ended in a span of monotonic seconds."""
    within = [line for line in lines if since <= line["at"] <= until]
    good = [line["at"] for line in within if acknowledged(line)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(good)]
    return Seen(
        requests=len(within),
        errors=len(within) - len(good),
        gap_ms=round(max(gaps, default=0.0) * 1000),
        slowest_ms=max((int(line["ms"]) for line in within), default=0),
    )


def expected_objects(loaded: dict[str, str], writer: list[dict[str, Any]]) -> dict[str, str]:
    """Every acknowledged object and its SHA-256: what must still be there at the end."""
    return loaded | {line["name"]: line["sha256"] for line in writer if acknowledged(line)}


def wrong_reads(loaded: dict[str, str], reader: list[dict[str, Any]]) -> int:
    """Answered reads whose bytes were not the stored ones."""
    return sum(1 for line in reader if acknowledged(line) and loaded[line["name"]] != line["sha256"])
