"""The demo's clients: they write down what they were told, and nothing else decides the verdict.

`python -m hanse.demo.clients write|read URL LOG` runs until its standard input closes. One JSON
line per request: `{at, ms, what, name, sha256, status}`; `at` is the monotonic end of the request
in seconds, `status` 0 where no answer came.
"""

import hashlib
import http.client
import json
import random
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO
from urllib.parse import quote, urlsplit

TIMEOUT_SECONDS = 75
PAUSE_SECONDS = 0.05


class Client:
    """One keep-alive connection, opened again when it broke."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._connection: http.client.HTTPConnection | None = None

    def request(self, method: str, name: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body; status 0 where no answer came."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_SECONDS)
        try:
            self._connection.request(method, "/" + quote(name), body)
            reply = self._connection.getresponse()
            return reply.status, reply.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = None
            return 0, b""


def log_line(log: TextIO, **fields: object) -> None:
    """One line, on disk before the next request."""
    log.write(json.dumps(fields) + "\n")
    log.flush()


def timed(client: Client, log: TextIO, method: str, name: str, body: bytes | None = None) -> None:
    """A request, its time and its answer, written down."""
    began = time.monotonic()
    status, content = client.request(method, name, body)
    ended = time.monotonic()
    digest = hashlib.sha256(body if body is not None else content).hexdigest()
    log_line(
        log, at=ended, ms=round((ended - began) * 1000), what=method, name=name, sha256=digest, status=status
    )


def write(url: str, log: TextIO, stop: threading.Event) -> None:
    """Store new objects without pause, each with bytes of its own."""
    client, source = Client(url), random.Random(time.time_ns())  # noqa: S311 - content, not a secret
    number = 0
    while not stop.wait(PAUSE_SECONDS):
        number += 1
        timed(client, log, "PUT", f"written-{number:06}.bin", source.randbytes(source.randint(1_000, 60_000)))


def read(url: str, log: TextIO, stop: threading.Event, names: list[str]) -> None:
    """Fetch the loaded objects in turn without pause."""
    client = Client(url)
    for name in _forever(names):
        if stop.wait(PAUSE_SECONDS):
            return
        timed(client, log, "GET", name)


def _forever(names: list[str]) -> Iterator[str]:
    while True:
        yield from names


def _until_closed(stop: threading.Event) -> None:
    sys.stdin.read()
    stop.set()


def main() -> int:
    """Run one client until standard input closes."""
    kind, url, log_file = sys.argv[1:4]
    stop = threading.Event()
    threading.Thread(target=_until_closed, args=(stop,), daemon=True).start()
    with Path(log_file).open("a", encoding="utf-8") as log:
        if kind == "write":
            write(url, log, stop)
        else:
            read(url, log, stop, json.loads(Path(sys.argv[4]).read_text(encoding="utf-8")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
