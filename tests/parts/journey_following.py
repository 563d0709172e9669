"""Clients that find out where an application is now, as a name service would tell them."""

import http.client
import json
import ssl
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from journey_objects import request
from journey_stage import Journey, wait_until

PATIENCE_SECONDS = 10.0


class AddressBook:
    """The newest address of an application's endpoint, asked at the hub."""

    def __init__(self, journey: Journey, application: str) -> None:
        config = journey.config
        self._hub, self._path = urlsplit(config["url"]), f"/v1/applications/{application}"
        self._token = Path(config["token_file"]).read_text().strip()
        self._trust = ssl.create_default_context(cafile=config["ca_file"])

    def look(self) -> str:
        """`http://address:port`."""
        host, port = self._hub.hostname or "", self._hub.port
        connection = http.client.HTTPSConnection(host, port, context=self._trust, timeout=20)
        with closing(connection):
            connection.request("GET", self._path, headers={"Authorization": f"Bearer {self._token}"})
            endpoint: dict[str, Any] = json.load(connection.getresponse())["endpoints"][0]
        return f"http://{endpoint['address']}:{endpoint['port']}"


class Followers:
    """A client that asks without pause and looks its address up again once it does not answer."""

    def __init__(self, book: AddressBook, path: str, expected: bytes) -> None:
        self._book, self._path, self._expected = book, path, expected
        self.answered = 0
        self.looked_up = 0
        """How often the address that was known did not answer."""
        self.failed: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        url = self._book.look()
        while not self._stop.wait(0.05):
            until = time.monotonic() + PATIENCE_SECONDS
            while not self._ask(url):
                if time.monotonic() > until:
                    self.failed.append(f"{url} did not answer for {PATIENCE_SECONDS:g} s")
                    break
                self.looked_up += 1
                with suppress(OSError):
                    url = self._book.look()
                self._stop.wait(0.1)

    def _ask(self, url: str) -> bool:
        """False where nobody answers; a wrong answer is kept."""
        try:
            status, content = request(url, "GET", self._path)
        except (OSError, http.client.HTTPException):
            return False
        self.answered += 1
        if (status, content) != (200, self._expected):
            self.failed.append(f"{url}: {status} {content[:100]!r}")
        return True

    def __enter__(self) -> Self:
        self._thread.start()
        self.wait_for_more()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def wait_for_more(self, count: int = 20) -> None:
        """Until so many more were answered."""
        goal = self.answered + count
        wait_until(lambda: self.answered >= goal, f"{count} more answers")
