"""A person's line to the hub: plain requests over TLS, one connection, no event loop, little to import."""

import http.client
import json
import secrets
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO
from urllib.parse import urlencode, urlsplit

from hanse.ports import Permanent, Temporary
from hanse.wire.fault import fault_words
from hanse.wire.problem import problem_of

CONNECT_SECONDS = 10.0
TIMEOUT_SECONDS = 60.0
BLOCK_BYTES = 1024 * 1024
ANSWER_MAX_BYTES = 64 * 1024 * 1024
_TRIES = 6
_PAUSE_SECONDS = 0.2
_PASSING = (409, 429, 503)
"""Statuses of a hub that is only busy at this moment."""

Document = dict[str, Any]


class ApiClient:
    """The hub's HTTP API with an admin token. Not for use by several threads.

    Every method raises `ApiProblem` (a Permanent with the hub's code), Temporary(`hub-unreachable`,
    `hub-garbled`, `hub-key-wrong`). A write carries one idempotency key, so trying it again does no harm.
    """

    def __init__(self, url: str, token: str, authority_pem: str = "") -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise Permanent("url-malformed", f"`{url}` is no hub's address. Use https://HOST:PORT.")
        self.url = url.rstrip("/")
        self._host, self._port = parts.hostname, parts.port or 443
        self._token = token
        self._context = _context(authority_pem)
        self._connection: http.client.HTTPSConnection | None = None

    def get(self, path: str, **query: object) -> Document:
        """A document. Query values that are empty or None are left out."""
        asked = {name: value for name, value in query.items() if value not in ("", None)}
        return self._repeated("GET", f"{path}?{urlencode(asked)}" if asked else path, b"", {})

    def send(self, method: str, path: str, document: Mapping[str, Any] | None = None) -> Document:
        """A write and its answer."""
        body = json.dumps(document or {}).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": secrets.token_urlsafe(18)}
        return self._repeated(method, path, body, headers)

    def upload(self, path: str, file: BinaryIO, size: int, sent: Callable[[int], None]) -> Document:
        """PUT a file of `size` bytes without holding it in memory; `sent` hears the bytes so far."""
        self.close()
        connection = self._dial()
        headers = self._headers({"Content-Type": "application/octet-stream", "Content-Length": str(size)})
        refused: OSError | None = None
        try:
            try:
                connection.request("PUT", path, _blocks(file, sent), headers)
            except (BrokenPipeError, ConnectionResetError, ssl.SSLError) as error:
                refused = error  # it may have said why before it hung up
            try:
                return self._answer(connection, path)
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(refused or error) from error
        finally:
            self.close()

    def close(self) -> None:
        """End the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _repeated(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Document:
        """Once more after a moment where the hub is only busy."""
        for left in reversed(range(_TRIES)):
            try:
                return self._once(method, path, body, headers)
            except Permanent as problem:
                if not left or getattr(problem, "status", 0) not in _PASSING:
                    raise
            time.sleep(_PAUSE_SECONDS)
        raise AssertionError("unreachable")

    def _once(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Document:
        """On the kept connection; it may have died meanwhile, then on a fresh one."""
        while True:
            fresh = self._connection is None
            connection = self._dial()
            try:
                connection.request(method, path, body or None, self._headers(headers))
                return self._answer(connection, path)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if fresh or isinstance(error, TimeoutError):
                    raise self._unreachable(error) from error

    def _dial(self) -> http.client.HTTPSConnection:
        if self._connection is None:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=CONNECT_SECONDS, context=self._context
            )
            try:
                connection.connect()
            except OSError as error:
                connection.close()
                raise self._unreachable(error) from error
            connection.sock.settimeout(TIMEOUT_SECONDS)
            self._connection = connection
        return self._connection

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}", "Accept": "application/json", **headers}

    def _answer(self, connection: http.client.HTTPSConnection, path: str) -> Document:
        response = connection.getresponse()
        body = response.read(ANSWER_MAX_BYTES + 1)
        if len(body) > ANSWER_MAX_BYTES:
            raise Temporary(
                "hub-garbled", f"the hub's answer to {path} has more than {ANSWER_MAX_BYTES} bytes."
            )
        if response.status >= 300:
            raise problem_of(response.status, body)
        try:
            found = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise self._garbled() from error
        if not isinstance(found, dict):
            raise self._garbled()
        return found

    def _garbled(self) -> Temporary:
        return Temporary(
            "hub-garbled", f"what answers at {self.url} is not a hub of this version. Check the address."
        )

    def _unreachable(self, error: BaseException) -> Temporary:
        if isinstance(error, ssl.SSLCertVerificationError):
            return Temporary(
                "hub-key-wrong",
                f"the server at {self.url} does not show a certificate of this hub "
                f"({error.verify_message or error}), so nothing was said to it. Check the address "
                "and HANSE_HUB_CA.",
            )
        return Temporary(
            "hub-unreachable",
            f"the hub at {self.url} does not answer: {fault_words(error)}. Start one with `hanse hub run`, "
            "or name another with HANSE_HUB=https://HOST:PORT.",
        )


def _blocks(file: BinaryIO, sent: Callable[[int], None]) -> Iterator[bytes]:
    done = 0
    while block := file.read(BLOCK_BYTES):
        yield block
        done += len(block)
        sent(done)


def _context(authority_pem: str) -> ssl.SSLContext:
    """TLS 1.3; names are compared, and only the hub's own authority counts where one is given."""
    try:
        context = _for_authority(authority_pem) if authority_pem else ssl.create_default_context()
    except ssl.SSLError as error:
        raise Permanent(
            "certificate-unreadable",
            "the hub's authority certificate cannot be read. Point HANSE_HUB_CA at the hub's `ca.crt`.",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def _for_authority(authority_pem: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authority_pem)
    return context
