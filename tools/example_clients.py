"""Clients of the three examples: what each writes, how it reads it again, and what it was told."""

import base64
import hashlib
import http.client
import io
import itertools
import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pydicom
from pydicom.data import get_testdata_file
from pydicom.uid import UID

TIMEOUT_SECONDS = 75
PAUSE_SECONDS = 0.05
JSON = {"Content-Type": "application/json"}


class Web:
    """A keep-alive connection to an endpoint, opened again when it broke; `headers` go with each request."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._headers = headers or {}
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body; status 0 where no answer came."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_SECONDS)
        try:
            self._connection.request(method, path, body, self._headers)
            reply = self._connection.getresponse()
            return reply.status, reply.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = None
            return 0, b""

    def look(self, path: str) -> tuple[int, bytes]:
        """A GET; once more where the connection rested for so long that it was closed meanwhile."""
        found = self.ask("GET", path)
        return found if found[0] else self.ask("GET", path)

    def must(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The body of an answer that says yes. Raises RuntimeError with the one that does not."""
        status, said = self.ask(method, path, body)
        if not 200 <= status < 300:
            raise RuntimeError(f"{method} {path} was answered with HTTP {status}: {said[:200]!r}")
        return said


def password(user: str, secret: str) -> dict[str, str]:
    """The header of HTTP's basic authentication."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()}


@dataclass(frozen=True)
class Answer:
    """One request's: `at` is its monotonic end in seconds."""

    at: float
    number: int
    status: int

    @property
    def good(self) -> bool:
        """The server said yes."""
        return 200 <= self.status < 300


@dataclass
class Client:
    """Does one thing again and again, from `begin` to `finish`.

    `act` does piece of work number N and returns the HTTP status; one that failed is done again.
    `holds` says whether what was acknowledged is still there; None for a client that only reads.
    `repeatable`: the endpoint may send the request again, so that no failure reaches the client.
    """

    name: str
    act: Callable[[int], int]
    holds: Callable[[int], bool] | None = None
    repeatable: bool = True
    session: bool = False
    """The program behind it keeps state in its database connection."""
    answers: list[Answer] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start, on a thread of its own."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Stop, once the request under way is answered."""
        self._stop.set()
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        number = 1
        while not self._stop.wait(PAUSE_SECONDS):
            status = self.act(number)
            self.answers.append(Answer(time.monotonic(), number, status))
            number += self.answers[-1].good

    def good_since(self, moment: float) -> int:
        """Acknowledged pieces of work after a monotonic moment."""
        return sum(1 for answer in list(self.answers) if answer.good and answer.at > moment)

    @property
    def acknowledged(self) -> list[int]:
        """Numbers of the pieces of work that were acknowledged."""
        return [answer.number for answer in self.answers if answer.good]

    @property
    def failures(self) -> int:
        """Requests that were not answered with yes."""
        return sum(not answer.good for answer in self.answers)

    @property
    def gap_ms(self) -> int:
        """Longest time between two answers that said yes."""
        ends = [answer.at for answer in self.answers if answer.good]
        return round(1000 * max((b - a for a, b in itertools.pairwise(ends)), default=0))

    @property
    def reconnect_ms(self) -> int:
        """Longest time from a first failure to the next success."""
        longest, failed = 0.0, None
        for answer in self.answers:
            if not answer.good:
                failed = failed or answer.at
            elif failed:
                longest, failed = max(longest, answer.at - failed), None
        return round(longest * 1000)


def content(number: int) -> bytes:
    """Bytes that belong to one number."""
    return random.Random(number).randbytes(20_000)  # noqa: S311 - content, not a secret


def clinic(urls: dict[str, str]) -> list[Client]:
    """Records in Kinto, images by WebDAV."""
    write, read, images = (
        Web(urls["records-web"], password("ward", "secret") | JSON),
        Web(urls["records-web"], password("ward", "secret") | JSON),
        Web(urls["images-web"]),
    )
    write.must("PUT", "/v1/buckets/ward")
    write.must("PUT", "/v1/buckets/ward/collections/patients")
    records = "/v1/buckets/ward/collections/patients/records"

    def put(number: int) -> int:
        body = json.dumps({"data": {"visit": number}}).encode()
        return write.ask("PUT", f"{records}/p{number}", body)[0]

    def is_kept(number: int) -> bool:
        status, said = write.look(f"{records}/p{number}")
        return status == 200 and json.loads(said)["data"]["visit"] == number

    return [
        Client("records", put, is_kept),
        Client("records read", lambda _: read.ask("GET", f"{records}?_limit=5")[0]),
        Client(
            "images",
            lambda number: images.ask("PUT", f"/scan-{number}.bin", content(number))[0],
            lambda number: images.look(f"/scan-{number}.bin") == (200, content(number)),
        ),
    ]


def registry(urls: dict[str, str]) -> list[Client]:
    """Metrics in the database, files in the bucket, both through MLflow."""
    metrics, files, api = Web(urls["server"], JSON), Web(urls["server"]), "/api/2.0/mlflow"
    body = json.dumps({"name": "example"}).encode()
    experiment = json.loads(metrics.must("POST", f"{api}/experiments/create", body))["experiment_id"]
    body = json.dumps({"experiment_id": experiment, "start_time": 1}).encode()
    run = json.loads(metrics.must("POST", f"{api}/runs/create", body))["run"]["info"]["run_id"]
    place = f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts"
    found: set[int] = set()

    def log(number: int) -> int:
        metric = {"run_id": run, "key": "loss", "value": number, "timestamp": number, "step": number}
        return metrics.ask("POST", f"{api}/runs/log-metric", json.dumps(metric).encode())[0]

    def is_kept(number: int) -> bool:
        if not found:
            metrics.look("/health")
            history = f"{api}/metrics/get-history?run_id={run}&metric_key=loss&max_results=25000"
            found.update(each["step"] for each in json.loads(metrics.must("GET", history))["metrics"])
        return number in found

    return [
        Client("metrics", log, is_kept),
        Client(
            "files",
            lambda number: files.ask("PUT", f"{place}/{number}.bin", content(number))[0],
            lambda number: files.look(f"{place}/{number}.bin") == (200, content(number)),
        ),
    ]


def imaging(urls: dict[str, str]) -> list[Client]:
    """Images sent to Orthanc one by one; a reader beside them."""
    login = password("clinic", "change-this-before-you-store-anything")
    write, read = Web(urls["server"], login), Web(urls["server"], login)
    sample = pydicom.dcmread(Path(str(get_testdata_file("CT_small.dcm"))))
    sent: dict[int, tuple[str, str]] = {}

    def scan(number: int) -> bytes:
        sample.SOPInstanceUID = sample.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.826.0.1.{number}")
        target = io.BytesIO()
        sample.save_as(target)
        return target.getvalue()

    def send(number: int) -> int:
        body = scan(number)
        status, said = write.ask("POST", "/instances", body)
        if status == 200:
            sent[number] = json.loads(said)["ID"], hashlib.sha256(body).hexdigest()
        return status

    def is_kept(number: int) -> bool:
        identity, digest = sent[number]
        status, said = write.look(f"/instances/{identity}/file")
        return status == 200 and hashlib.sha256(said).hexdigest() == digest

    return [
        Client("uploads", send, is_kept, repeatable=False, session=True),
        Client("reads", lambda _: read.ask("GET", "/statistics")[0], session=True),
    ]
