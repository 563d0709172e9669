"""A client that asks without pause and notes when it was answered."""

import http.client
import threading
import time
from itertools import pairwise
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

PAUSE_SECONDS = 0.005
TIMEOUT_SECONDS = 70


class Observer:
    """GETs a URL on one connection after the other, in a thread of its own."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._path = parts.hostname or "", parts.port or 80, parts.path or "/"
        self._ends: list[float] = []
        self.errors = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + 30
        while not self._ends:
            if time.monotonic() > deadline:
                raise SystemExit(f"no answer from http://{self._host}:{self._port} for 30 s")
            time.sleep(0.01)
        self.errors = 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(TIMEOUT_SECONDS)

    def gap_ms(self, began: float, ended: float) -> float:
        """Longest time between two answers from `began` until the first one after `ended` (monotonic)."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while self._ends[-1] < ended and time.monotonic() < deadline:
            time.sleep(0.01)
        seen = [at for at in self._ends if at >= began]
        before = [at for at in self._ends if at < began][-1:]
        times = before + seen
        return max((b - a for a, b in pairwise(times)), default=0.0) * 1000

    def _ask(self) -> None:
        while not self._stop.wait(PAUSE_SECONDS):
            connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_SECONDS)
            try:
                connection.request("GET", self._path)
                answer = connection.getresponse()
                answer.read()
                if answer.status < 400:
                    self._ends.append(time.monotonic())
                else:
                    self.errors += 1
            except (OSError, http.client.HTTPException):
                self.errors += 1
            finally:
                connection.close()
