"""The demo's clients: they write down what they were told, and nothing else decides the verdict.

`python -m hanse.demo.clients KIND URL LOG [NAMES]` runs until its standard input closes; kinds are
`write` and `read` (files by WebDAV) and `record` (records of Kinto). One JSON line per request:
`{at, ms, what, name, sha256, status}`; `at` is the monotonic end of the request in seconds, `status` 0
where no answer came.
"""

import hashlib
import http.client
import itertools
import json
import random
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from urllib.parse import quote, urlsplit

TIMEOUT_SECONDS = 75
PAUSE_SECONDS = 0.05
RECORDS = "v1/buckets/ward/collections/patients/records"
_WARD = {
    "authorization": "Basic " + b64encode(b"ward:demo").decode(),
    "content-type": "application/json",
}


@dataclass(frozen=True)
class Answer:
    """What came back; status 0 where nothing did."""

    status: int
    content: bytes

    @property
    def acknowledged(self) -> bool:
        """The server said yes."""
        return 200 <= self.status < 300


class Client:
    """One keep-alive connection, opened again when it broke."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._headers = headers or {}
        self._connection: http.client.HTTPConnection | None = None

    def request(self, method: str, name: str, body: bytes | None = None) -> Answer:
        """One request to the end."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_SECONDS)
        try:
            self._connection.request(method, "/" + quote(name), body, self._headers)
            reply = self._connection.getresponse()
            return Answer(reply.status, reply.read())
        except (OSError, http.client.HTTPException):
            self.close()
            return Answer(0, b"")

    def close(self) -> None:
        """Hang up; the next request connects anew."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def ward(url: str) -> Client:
    """A client that owns the ward's records."""
    return Client(url, _WARD)


def open_ward(url: str) -> Answer:
    """Make the place where records are kept; the last answer."""
    with closing(ward(url)) as client:
        client.request("PUT", "v1/buckets/ward")
        return client.request("PUT", "v1/buckets/ward/collections/patients")


def patient(number: int, random_bytes: bytes) -> bytes:
    """A record with a content of its own."""
    return json.dumps({"data": {"number": number, "note": random_bytes.hex()}}).encode()


def digest_of_record(content: bytes) -> str:
    """Of what the writer chose, however the server dresses it; empty if it is no record."""
    try:
        data = json.loads(content)["data"]
        chosen = {"number": data["number"], "note": data["note"]}
    except (ValueError, KeyError, TypeError):
        return ""
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()


def log_line(log: TextIO, **fields: object) -> None:
    """One line, on disk before the next request."""
    log.write(json.dumps(fields) + "\n")
    log.flush()


def timed(client: Client, log: TextIO, method: str, name: str, body: bytes | None = None) -> None:
    """A request, its time and its answer, written down."""
    began = time.monotonic()
    answer = client.request(method, name, body)
    ended = time.monotonic()
    content = body if body is not None else answer.content
    is_record = name.startswith(RECORDS)
    digest = digest_of_record(content) if is_record else hashlib.sha256(content).hexdigest()
    took_ms = round((ended - began) * 1000)
    log_line(log, at=ended, ms=took_ms, what=method, name=name, sha256=digest, status=answer.status)


def write(url: str, log: TextIO, stop: threading.Event) -> None:
    """Store new objects without pause, each with bytes of its own."""
    client, source = Client(url), random.Random(time.time_ns())  # noqa: S311 - content, not a secret
    number = 0
    while not stop.wait(PAUSE_SECONDS):
        number += 1
        timed(client, log, "PUT", f"written-{number:06}.bin", source.randbytes(source.randint(1_000, 60_000)))


def record(url: str, log: TextIO, stop: threading.Event) -> None:
    """Store new records without pause, each with a content of its own."""
    client, source = ward(url), random.Random(time.time_ns())  # noqa: S311 - content, not a secret
    number = 0
    while not stop.wait(PAUSE_SECONDS):
        number += 1
        timed(client, log, "PUT", f"{RECORDS}/patient-{number:06}", patient(number, source.randbytes(40)))


def read(url: str, log: TextIO, stop: threading.Event, names: list[str]) -> None:
    """Fetch the loaded objects in turn without pause."""
    client = Client(url)
    for name in _forever(names):
        if stop.wait(PAUSE_SECONDS):
            return
        timed(client, log, "GET", name)


def _forever(names: list[str]) -> Iterator[str]:
    return itertools.cycle(names)


def _until_closed(stop: threading.Event) -> None:
    sys.stdin.read()
    stop.set()


def main() -> int:
    """Run one client until standard input closes."""
    kind, url, log_file = sys.argv[1:4]
    stop = threading.Event()
    threading.Thread(target=_until_closed, args=(stop,), daemon=True).start()
    with Path(log_file).open("a", encoding="utf-8") as log:
        match kind:
            case "write":
                write(url, log, stop)
            case "record":
                record(url, log, stop)
            case _:
                read(url, log, stop, json.loads(Path(sys.argv[4]).read_text(encoding="utf-8")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
