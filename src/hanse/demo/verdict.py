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


@dataclass(frozen=True)
class Scene:
    """What a scene did, and what each kind of client saw of it."""

    title: str
    seconds: float
    clients: dict[str, Seen]


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


def expected(writer: list[dict[str, Any]]) -> dict[str, str]:
    """Every acknowledged write and its SHA-256: what must still be there at the end."""
    return {line["name"]: line["sha256"] for line in writer if acknowledged(line)}


def wrong_reads(loaded: dict[str, str], reader: list[dict[str, Any]]) -> int:
    """Answered reads whose bytes were not the stored ones."""
    return sum(1 for line in reader if acknowledged(line) and loaded[line["name"]] != line["sha256"])


CLIENTS = {"record": "Kinto writes", "write": "WebDAV writes", "read": "WebDAV reads"}
"""Kind of client to its heading. All ask over HTTP, and all that they ask may be repeated."""


def table(scenes: list[Scene]) -> str:
    """What clients saw, scene by scene; what is real and what is simulated."""
    head = "".join(f"{words:>24}" for words in CLIENTS.values())
    rows = [f"{'':36}{head}", f"{'scene':28}{'took':>8}" + f"{'answered  failed   gap':>24}" * len(CLIENTS)]
    rows += [
        f"{scene.title:28}{scene.seconds:>6.1f} s" + "".join(_cells(scene.clients[kind]) for kind in CLIENTS)
        for scene in scenes
    ]
    rows += [
        "gap: the longest time between two answers, in milliseconds",
        "real: Kinto, rclone, PostgreSQL, pgbouncer, SeaweedFS, podman, haproxy, TLS, images, listed prices",
        "simulated: the three companies, their prices, the distance between them (one machine)",
        "mandate: not signed · data at rest: not encrypted",
    ]
    return "\n".join(rows)


def _cells(client: Seen) -> str:
    return f"{client.requests - client.errors:>10}{client.errors:>8}{client.gap_ms:>6}"


def verdict_line(seconds_total: float, verdict: dict[str, Any]) -> str:
    """The one JSON line at the end."""
    return json.dumps({"seconds_total": round(seconds_total, 1)} | verdict)


def good(verdict: dict[str, Any]) -> bool:
    """Nothing lost or different, nobody saw an error, and neither a cut link nor a dead hub did harm."""
    zeros = all(verdict[key] == 0 for key in ("writes_lost", "client_errors", "objects_different"))
    kept = verdict["source_served_after_cut"] is True and verdict["move_finished_after_hub_kill"] is True
    return zeros and kept and bool(verdict["writes_acknowledged"])
