"""The demo's two clients as processes, and what they have written down so far."""

import hashlib
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from hanse.demo.clients import Client
from hanse.demo.verdict import Seen, acknowledged, lines_of, seen

FETCHERS = 6


@dataclass
class Watch:
    """A writer and a reader that never pause, from `begin` to `finish`."""

    directory: Path
    url: str
    loaded: dict[str, str]
    """Object name to SHA-256 of what was loaded before they began."""
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def log(self, kind: str) -> Path:
        """The log of the `write` or the `read` client."""
        return self.directory / f"client-{kind}.jsonl"

    def begin(self) -> None:
        """Start both."""
        names = self.directory / "loaded.json"
        names.write_text(json.dumps(sorted(self.loaded)), encoding="utf-8")
        for kind in ("write", "read"):
            command = [
                sys.executable,
                "-m",
                "hanse.demo.clients",
                kind,
                self.url,
                str(self.log(kind)),
                str(names),
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

    def during(self, since: float) -> tuple[Seen, Seen]:
        """What the writer and the reader saw since a monotonic moment."""
        return seen(lines_of(self.log("write")), since), seen(lines_of(self.log("read")), since)

    def writes_since(self, moment: float) -> int:
        """Acknowledged writes after a monotonic moment."""
        return sum(1 for line in lines_of(self.log("write")) if line["at"] > moment and acknowledged(line))

    def wait_for_writes(self, moment: float, count: int, seconds: float = 60.0) -> bool:
        """True once `count` writes were acknowledged after `moment`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.writes_since(moment) >= count:
                return True
            time.sleep(0.1)
        return False


def fetch_different(url: str, expected: dict[str, str]) -> tuple[int, int]:
    """(absent, different) among the expected objects, each fetched and hashed."""
    shares = [dict(list(expected.items())[start::FETCHERS]) for start in range(FETCHERS)]
    with ThreadPoolExecutor(FETCHERS) as pool:
        counts = list(pool.map(lambda share: _fetch_share(url, share), shares))
    return sum(absent for absent, _ in counts), sum(different for _, different in counts)


def _fetch_share(url: str, expected: dict[str, str]) -> tuple[int, int]:
    client, absent, different = Client(url), 0, 0
    for name, digest in expected.items():
        status, content = client.request("GET", name)
        if status != 200:
            absent += 1
        elif hashlib.sha256(content).hexdigest() != digest:
            different += 1
    return absent, different
