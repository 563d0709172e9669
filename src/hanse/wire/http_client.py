"""A small asynchronous HTTP/1.1 client for one pinned server: kept connections, streamed bodies."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11

from hanse.ports import Permanent, Temporary
from hanse.wire.fault import fault_words
from hanse.wire.tls import require_peer

READ_BYTES = 64 * 1024
BODY_LIMIT_BYTES = 32 * 1024 * 1024
CONNECT_SECONDS = 10.0
_IDLE_KEPT = 2


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole response."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


@dataclass(slots=True)
class Incoming:
    """A response whose body is still on its way: read `chunks` to the end."""

    status: int
    headers: dict[str, str]
    chunks: AsyncIterator[bytes]


@dataclass(slots=True)
class _Line:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    state: h11.Connection
    fresh: bool = True


class PinnedHttp:
    """Requests to one `https://host:port` whose key is known. Not for use by several event loops.

    Raises Temporary(`hub-unreachable`) if the server cannot be reached, is silent, or breaks off;
    Temporary(`hub-key-wrong`) if it shows another key; Permanent(`url-malformed`).
    """

    def __init__(self, url: str, context: ssl.SSLContext, thumbprint: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise Permanent("url-malformed", f"`{url}` is no hub's address. Use https://HOST:PORT.")
        self.url = url.rstrip("/")
        self.host = parts.hostname
        self.port = parts.port or 443
        self._netloc = parts.netloc
        self._context = context
        self._thumbprint = thumbprint
        self._idle: list[_Line] = []

    async def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float = 30.0,
    ) -> Reply:
        """One request and its whole response, at most 32 MiB."""
        async with self.exchange(
            method, path, body, headers=headers, timeout_seconds=timeout_seconds
        ) as incoming:
            parts: list[bytes] = []
            size = 0
            async for chunk in incoming.chunks:
                size += len(chunk)
                if size > BODY_LIMIT_BYTES:
                    raise self._unreachable(f"its answer to {path} is larger than {BODY_LIMIT_BYTES} bytes")
                parts.append(chunk)
            return Reply(incoming.status, incoming.headers, b"".join(parts))

    @asynccontextmanager
    async def exchange(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float = 30.0,
    ) -> AsyncIterator[Incoming]:
        """One request; its response's body is streamed. `timeout_seconds` bounds each silence."""
        message = self._message(method, path, body, headers or {})
        line, response = await self._begin(message, body, timeout_seconds)
        reply_headers = {name.decode(): value.decode("latin-1") for name, value in response.headers}
        try:
            yield Incoming(response.status_code, reply_headers, self._chunks(line, timeout_seconds))
        finally:
            await self._end(line)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A fresh connection to the server, its key compared."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(self.host, self.port, ssl=self._context)
        except (OSError, TimeoutError) as error:
            raise self._unreachable(fault_words(error)) from error
        try:
            require_peer(writer.transport, self._thumbprint, f"the server at {self.url}")
        except BaseException:
            _drop(writer)
            raise
        return reader, writer

    async def aclose(self) -> None:
        """End kept connections."""
        while self._idle:
            _drop(self._idle.pop().writer)

    def _message(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> h11.Request:
        fields = {"host": self._netloc, **{name.lower(): value for name, value in headers.items()}}
        if body or method in {"POST", "PUT"}:
            fields["content-length"] = str(len(body))
            fields.setdefault("content-type", "application/json")
        return h11.Request(method=method, target=path, headers=list(fields.items()))

    async def _begin(
        self, message: h11.Request, body: bytes, timeout_seconds: float
    ) -> tuple[_Line, h11.Response]:
        """Send on a kept connection if there is one; it may have died, then on a fresh one."""
        while True:
            line = self._idle.pop() if self._idle else await self._dial()
            try:
                async with asyncio.timeout(timeout_seconds):
                    return line, await _converse(line, message, body)
            except (OSError, EOFError, TimeoutError, h11.ProtocolError) as error:
                _drop(line.writer)
                if line.fresh or isinstance(error, TimeoutError):
                    raise self._unreachable(fault_words(error)) from error
            except BaseException:
                _drop(line.writer)
                raise

    async def _dial(self) -> _Line:
        reader, writer = await self.connect()
        return _Line(reader, writer, h11.Connection(h11.CLIENT))

    async def _chunks(self, line: _Line, timeout_seconds: float) -> AsyncIterator[bytes]:
        while True:
            try:
                async with asyncio.timeout(timeout_seconds):
                    event = await _next_event(line)
            except (OSError, EOFError, TimeoutError, h11.ProtocolError) as error:
                raise self._unreachable(fault_words(error)) from error
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return

    async def _end(self, line: _Line) -> None:
        done = line.state.our_state is h11.DONE and line.state.their_state is h11.DONE
        if done and len(self._idle) < _IDLE_KEPT:
            line.state.start_next_cycle()
            line.fresh = False
            self._idle.append(line)
        else:
            _drop(line.writer)

    def _unreachable(self, why: str) -> Temporary:
        return Temporary(
            "hub-unreachable",
            f"the hub at {self.url} cannot be reached: {why}. Check that it runs and that this machine "
            "may connect to it.",
        )


def _drop(writer: asyncio.StreamWriter) -> None:
    """End a connection without a farewell. Python 3.11.2 cannot, once it was closed twice."""
    writer.transport.abort()


async def _converse(line: _Line, message: h11.Request, body: bytes) -> h11.Response:
    data = line.state.send(message) or b""
    if body:
        data += line.state.send(h11.Data(data=body)) or b""
    data += line.state.send(h11.EndOfMessage()) or b""
    line.writer.write(data)
    await line.writer.drain()
    while True:
        event = await _next_event(line)
        if isinstance(event, h11.Response):
            return event


async def _next_event(line: _Line) -> object:
    while True:
        event = line.state.next_event()
        if event is h11.NEED_DATA:
            data = await line.reader.read(READ_BYTES)
            line.state.receive_data(data)
            if not data and line.state.their_state in {h11.IDLE, h11.SEND_RESPONSE}:
                raise EOFError("it closed the connection")
        elif isinstance(event, h11.ConnectionClosed):
            raise EOFError("it closed the connection")
        else:
            return event
