"""A bucket's objects by rclone, through `hanse connect`; and clients of an endpoint that never pause."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from journey_stage import Journey, wait_until

RCLONE = str(Path(sys.executable).parent / "rclone")


class Bucket:
    """What a stranger's program knows of an open connection: the printed facts, nothing else."""

    def __init__(self, facts: dict[str, Any], process: "subprocess.Popen[str]") -> None:
        self.facts = facts
        self.process = process
        self.secret = Path(facts["secret_key_file"]).read_text()

    def rclone(self, *words: str, content: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        """`rclone WORDS` with the remote `it:`."""
        settings = {
            "TYPE": "s3",
            "PROVIDER": "SeaweedFS",
            "FORCE_PATH_STYLE": "true",
            "NO_CHECK_BUCKET": "true",
            "REGION": self.facts["region"],
            "ENDPOINT": self.facts["endpoint"],
            "ACCESS_KEY_ID": self.facts["access_key"],
            "SECRET_ACCESS_KEY": self.secret,
        }
        env = os.environ | {f"RCLONE_CONFIG_IT_{name}": value for name, value in settings.items()}
        return subprocess.run(
            [RCLONE, "--retries", "1", "--low-level-retries", "2", *words],
            env=env | {"RCLONE_CONFIG": "/dev/null"},
            input=content,
            capture_output=True,
            check=False,
            timeout=120,
        )

    def path(self, name: str = "") -> str:
        return f"it:{self.facts['bucket']}/{name}"

    def put(self, name: str, content: bytes) -> None:
        done = self.rclone("rcat", self.path(name), content=content)
        assert done.returncode == 0, done.stderr

    def get(self, name: str) -> bytes:
        done = self.rclone("cat", self.path(name))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def names(self) -> list[str]:
        done = self.rclone("lsf", "-R", self.path())
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().splitlines()

    def close(self) -> int:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


@contextmanager
def connected(journey: Journey, what: str, *words: str) -> Iterator[Bucket]:
    """`hanse connect` while the block runs."""
    process = journey.begin("connect", what, "--json", *words)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("{"), line + process.stdout.read()
        yield Bucket(json.loads(line), process)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        process.stdout.close()


def request(url: str, method: str, name: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Status and body of one request on a connection of its own."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=90)
    try:
        connection.request(method, f"/{name}", body)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


class Visitors:
    """Clients that ask without pause; every wrong answer is kept."""

    def __init__(self, url: str, path: str, expected: bytes) -> None:
        self._made = (url, path, expected)
        self.answered = 0
        self.failed: list[tuple[int, bytes]] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._visit, args=(pause,)) for pause in (0.02, 0.3)]

    def _visit(self, pause: float) -> None:
        url, path, expected = self._made
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=90)
        with closing(connection):
            while not self._stop.wait(pause):
                try:
                    connection.request("GET", f"/{path}")
                    reply = connection.getresponse()
                    status, content = reply.status, reply.read()
                except (OSError, http.client.HTTPException) as error:
                    connection.close()
                    status, content = 0, repr(error).encode()
                self.answered += 1
                if status != 200 or content != expected:
                    self.failed.append((status, content[:200]))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self.wait_for_more()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, count: int = 20) -> None:
        """Until so many more were answered."""
        goal = self.answered + count
        wait_until(lambda: self.answered >= goal, f"{count} more answers")
