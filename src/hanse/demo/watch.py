"""The demo's clients as processes, and what they have written down so far."""

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from hanse.demo.clients import Client, digest_of_record, ward
from hanse.demo.verdict import Seen, acknowledged, lines_of, seen

FETCHERS = 6
KINDS = {"write": "images", "read": "images", "record": "records"}
"""Kind of client to what it asks for."""
WRITERS = ("write", "record")


@dataclass
class Watch:
    """Clients that never pause, from `begin` to `finish`."""

    directory: Path
    urls: dict[str, str]
    """Where `images` and `records` are asked for."""
    loaded: dict[str, str]
    """Object name to SHA-256 of what was loaded before they began."""
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def log(self, kind: str) -> Path:
        """What a client of this kind wrote down."""
        return self.directory / f"client-{kind}.jsonl"

    def begin(self) -> None:
        """Start one of each kind."""
        names = self.directory / "loaded.json"
        names.write_text(json.dumps(sorted(self.loaded)), encoding="utf-8")
        for kind, what in KINDS.items():
            command = [
                *(sys.executable, "-m", "hanse.demo.clients"),
                *(kind, self.urls[what], str(self.log(kind)), str(names)),
            ]
            # Ctrl-C is the demo's; clients end when it closes their standard input, or dies
            process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
            self._processes.append(process)

    def finish(self) -> None:
        """Close their standard input and wait until the request under way is answered."""
        for process in self._processes:
            if process.stdin:
                process.stdin.close()
        for process in self._processes:
            process.wait(timeout=120)
        self._processes.clear()

    def during(self, since: float) -> dict[str, Seen]:
        """What each kind of client saw since a monotonic moment."""
        return {kind: seen(lines_of(self.log(kind)), since) for kind in KINDS}

    def writes_since(self, moment: float) -> int:
        """Acknowledged writes after a monotonic moment, of the writer that has fewer."""
        return min(
            sum(1 for line in lines_of(self.log(kind)) if line["at"] > moment and acknowledged(line))
            for kind in WRITERS
        )

    def wait_for_writes(self, moment: float, count: int, seconds: float = 60.0) -> bool:
        """True once each writer had `count` writes acknowledged after `moment`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.writes_since(moment) >= count:
                return True
            time.sleep(0.1)
        return False


def count_different(
    images: tuple[str, dict[str, str]], records: tuple[str, dict[str, str]]
) -> tuple[int, int]:
    """(absent, different) among what must be there, all of it fetched and hashed.

    Each side is a URL, and name to SHA-256.
    """
    counts = [_fetch_all(*images, Client), _fetch_all(*records, ward)]
    return sum(absent for absent, _ in counts), sum(different for _, different in counts)


def _fetch_all(url: str, expected: dict[str, str], make: Callable[[str], Client]) -> tuple[int, int]:
    shares = [dict(list(expected.items())[start::FETCHERS]) for start in range(FETCHERS)]
    with ThreadPoolExecutor(FETCHERS) as pool:
        counts = list(pool.map(lambda share: _fetch_share(make(url), share), shares))
    return sum(absent for absent, _ in counts), sum(different for _, different in counts)


def _fetch_share(client: Client, expected: dict[str, str]) -> tuple[int, int]:
    absent, different = 0, 0
    for name, digest in expected.items():
        answer = client.request("GET", name)
        content = answer.content
        if not answer.acknowledged:
            absent += 1
        elif digest not in (hashlib.sha256(content).hexdigest(), digest_of_record(content)):
            different += 1
    return absent, different
