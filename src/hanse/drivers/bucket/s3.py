"""The few S3 calls that a driver makes itself: signed (AWS Signature Version 4), over plain or pinned TLS."""

import hashlib
import hmac
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from itertools import islice
from typing import IO
from urllib.parse import quote, unquote, urlencode
from xml.etree import ElementTree

from hanse.ports import Permanent, Temporary

REGION = "us-east-1"
_UNSIGNED = "UNSIGNED-PAYLOAD"
_KEPT = (
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
)
_PAGE = 1000
_BLOCK = 1024 * 1024
_CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Account:
    """Access to one S3 service. With `tls` the peer is the holder of the pinned key, or nobody."""

    address: tuple[str, int]
    access_key: str
    secret_key: str = field(repr=False)
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """One object as a listing shows it. `etag` is the MD5 of the content unless it holds a `-`."""

    key: str
    size: int
    etag: str
    modified: str


class S3:
    """One bucket's service. Blocking: call it from a thread. One object for one thread."""

    def __init__(self, account: Account, bucket: str, timeout_seconds: float = 60.0) -> None:
        self._account = account
        self._bucket = bucket
        self._timeout = timeout_seconds
        self._connection: HTTPConnection | None = None
        self._broken_off = False

    def break_off(self) -> None:
        """From another thread: what is waited for ends at once, as if the service were silent."""
        self._broken_off = True
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with suppress(OSError):
                socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Drop the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def objects(self) -> Iterator[Listed]:
        """Every object of the bucket, page by page. Raises Temporary(`storage-silent`) or Permanent."""
        token = ""
        while True:
            query = {"encoding-type": "url", "list-type": "2", "max-keys": str(_PAGE)}
            if token:
                query["continuation-token"] = token
            page = ElementTree.fromstring(self._call("GET", "", query))  # noqa: S314 - expat bounds entities
            space = page.tag.partition("}")[0] + "}" if page.tag.startswith("{") else ""
            for item in page.iter(f"{space}Contents"):
                yield _listed(item, space)
            token = page.findtext(f"{space}NextContinuationToken") or ""
            if page.findtext(f"{space}IsTruncated") != "true" or not token:
                return

    def pages(self) -> Iterator[list[Listed]]:
        """`objects`, up to 1,000 at a time."""
        objects = self.objects()
        while page := list(islice(objects, _PAGE)):
            yield page

    def head(self, key: str) -> Listed | None:
        """One object as a listing would show it; None if it is not there."""
        try:
            answer = self._send("HEAD", key, {}, {}, None)
        except Permanent:
            return None
        self._finish(answer)
        size, etag = answer.headers.get("Content-Length", "0"), answer.headers.get("ETag", "")
        return Listed(key, int(size), etag.strip('"'), answer.headers.get("Last-Modified", ""))

    def make_bucket(self) -> None:
        """Create the bucket; no error if it is there."""
        try:
            self._call("PUT", "", {})
        except Permanent as error:
            if error.detail not in {"BucketAlreadyExists", "BucketAlreadyOwnedByYou"}:
                raise

    def bucket_exists(self) -> bool:
        """Whether the service knows the bucket and lets this account in."""
        try:
            self._call("HEAD", "", {})
        except Permanent:
            return False
        return True

    def delete(self, key: str) -> None:
        """Remove an object; no error if it is not there."""
        self._call("DELETE", key, {})

    def blocks(self, key: str) -> Iterator[bytes]:
        """An object's content, a mebibyte at a time. Raises Temporary(`storage-silent`) or Permanent."""
        answer = self._send("GET", key, {}, {}, None)
        try:
            while block := answer.read(_BLOCK):
                yield block
        except (OSError, HTTPException) as error:
            self.close()
            raise Temporary("storage-silent", f"The S3 service broke off: {error}.") from error

    def copy_from(self, source: "S3", key: str) -> int:
        """Bring one object over as a stream, with its content type and metadata; returns its bytes."""
        answer = source._send("GET", key, {}, {}, None)  # noqa: SLF001 - same class
        length = int(answer.headers.get("Content-Length", "0"))
        headers = {
            name.lower(): value
            for name, value in answer.headers.items()
            if name.lower() in _KEPT or name.lower().startswith("x-amz-meta-")
        }
        body: IO[bytes] = answer
        self._finish(self._send("PUT", key, {}, headers | {"content-length": str(length)}, body))
        return length

    def _call(self, method: str, key: str, query: Mapping[str, str]) -> bytes:
        return self._finish(self._send(method, key, query, {}, None))

    def _finish(self, answer: HTTPResponse) -> bytes:
        try:
            return answer.read()
        except (OSError, HTTPException) as error:
            self.close()
            raise Temporary("storage-silent", f"The S3 service broke off: {error}.") from error

    def _send(
        self,
        method: str,
        key: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: IO[bytes] | None,
    ) -> HTTPResponse:
        path = quote(f"/{self._bucket}/{key}" if key else f"/{self._bucket}", safe="/-_.~")
        signed = self._signed(method, path, query, headers)
        target = path + ("?" + urlencode(sorted(query.items()), quote_via=quote) if query else "")
        try:
            connection = self._connect()
            connection.request(method, target, body, signed)
            answer = connection.getresponse()
        except (OSError, HTTPException) as error:
            self.close()
            raise Temporary("storage-silent", f"The S3 service does not answer: {error}.") from error
        if answer.status >= 300:
            self._refused(method, key, answer)
        return answer

    def _connect(self) -> HTTPConnection:
        if self._broken_off:
            raise Temporary("storage-silent", "The S3 service is not waited for any longer.")
        if self._connection is None:
            host, port = self._account.address
            if self._account.tls is not None:
                context = self._account.tls
                self._connection = HTTPSConnection(host, port, timeout=_CONNECT_SECONDS, context=context)
            else:
                self._connection = HTTPConnection(host, port, timeout=_CONNECT_SECONDS)
        if self._connection.sock is None:
            _open(self._connection, self._timeout)
        return self._connection

    def _refused(self, method: str, key: str, answer: HTTPResponse) -> None:
        text = self._finish(answer).decode(errors="replace")
        code = text.partition("<Code>")[2].partition("</Code>")[0] or str(answer.status)
        what = f"{method} {self._bucket}/{key[:200]} was refused with {answer.status} {code}."
        if answer.status >= 500 or answer.status == 429:
            raise Temporary("storage-busy", what)
        raise Permanent("storage-refused", what, code)

    def _signed(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> dict[str, str]:
        host, port = self._account.address
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{now[:8]}/{REGION}/s3/aws4_request"
        sent = {**headers, "host": f"{host}:{port}", "x-amz-content-sha256": _UNSIGNED, "x-amz-date": now}
        names = sorted(name for name in sent if name == "host" or name.startswith("x-amz-"))
        canonical = "\n".join(
            [
                method,
                path,
                urlencode(sorted(query.items()), quote_via=quote),
                *(f"{name}:{' '.join(sent[name].split())}" for name in names),
                "",
                ";".join(names),
                _UNSIGNED,
            ]
        )
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        key = f"AWS4{self._account.secret_key}".encode()
        for part in (now[:8], REGION, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{digest}".encode(), "sha256").hex()
        sent["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self._account.access_key}/{scope}, "
            f"SignedHeaders={';'.join(names)}, Signature={signature}"
        )
        return sent


def _open(connection: HTTPConnection, timeout_seconds: float) -> None:
    connection.connect()
    connection.sock.settimeout(timeout_seconds)


def _listed(item: ElementTree.Element, space: str) -> Listed:
    def text(name: str) -> str:
        return item.findtext(f"{space}{name}") or ""

    return Listed(
        unquote(text("Key").replace("+", "%20")),
        int(text("Size") or 0),
        text("ETag").strip('"'),
        text("LastModified"),
    )
