"""Connections to peers: made over mutual TLS, kept for a while after a question, noticed when cut."""

import asyncio
import json
import socket
from collections.abc import Mapping
from typing import Any

from hanse.model.replica.spec import Peer
from hanse.wire.tls import PeerTrust

LINE_LIMIT_BYTES = 1 << 20
CONNECT_SECONDS = 5.0
KEPT_SECONDS = 15.0
"""A cut-over asks the same peers several things, one soon after the other, while clients wait."""
_SILENT_SECONDS = 6
"""A peer whose machine acknowledges nothing for so long is away: clients must not wait for it in vain."""
_PROBES = 4


class Line:
    """One connection to one peer, for one question after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connect_ms: float) -> None:
        self._reader = reader
        self.writer = writer
        self.connect_ms = connect_ms
        """What the TCP connection took."""

    async def ask(self, question: bytes) -> dict[str, Any]:
        """The reply. Raises OSError, EOFError or ValueError; the line is good for nothing then."""
        self.writer.write(question)
        await self.writer.drain()
        return await read_line(self._reader)

    @property
    def is_open(self) -> bool:
        """As far as this end knows."""
        return not (self._reader.at_eof() or self.writer.is_closing())

    def end(self) -> None:
        """At once."""
        self.writer.transport.abort()


class Lines:
    """At most one idle line to each peer."""

    def __init__(self, trust: PeerTrust) -> None:
        self._trust = trust
        self._kept: dict[str, tuple[Line, asyncio.TimerHandle]] = {}

    async def connect(self, peer: Peer) -> Line:
        """A new line. Raises OSError, ssl.SSLError, TimeoutError, Permanent(`peer-key-wrong`)."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_SECONDS):
            place = (await loop.getaddrinfo(peer.address, peer.channel_port, type=socket.SOCK_STREAM))[0]
            plain = socket.socket(place[0], place[1])
            try:
                plain.setblocking(False)
                _notice_silence(plain)
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                began = loop.time()
                await loop.sock_connect(plain, place[4])
                connect_ms = (loop.time() - began) * 1000
                reader, writer = await asyncio.open_connection(
                    sock=plain, ssl=self._trust.client, server_hostname="", limit=LINE_LIMIT_BYTES
                )
            except BaseException:
                plain.close()
                raise
        line = Line(reader, writer, connect_ms)
        try:
            self._trust.require(writer, peer.thumbprint)
        except BaseException:
            line.end()
            raise
        return line

    def take(self, peer: Peer) -> Line | None:
        """The idle line to a peer, if there is one that looks good; nobody else has it then."""
        line, alarm = self._kept.pop(peer.thumbprint, (None, None))
        if line is None or alarm is None:
            return None
        alarm.cancel()
        if line.is_open and peer.thumbprint in self._trust.trusted:
            return line
        line.end()
        return None

    def keep(self, peer: Peer, line: Line) -> None:
        """For the next question, if it comes soon."""
        self._drop(peer.thumbprint)
        alarm = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._drop, peer.thumbprint)
        self._kept[peer.thumbprint] = (line, alarm)

    def end(self) -> None:
        """Keep none."""
        for thumbprint in list(self._kept):
            self._drop(thumbprint)

    def _drop(self, thumbprint: str) -> None:
        line, alarm = self._kept.pop(thumbprint, (None, None))
        if line is not None and alarm is not None:
            alarm.cancel()
            line.end()


def to_line(message: Mapping[str, Any]) -> bytes:
    """As it goes over the channel. Raises ValueError if it is too long."""
    data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
    if len(data) > LINE_LIMIT_BYTES:
        raise ValueError(f"a message of {len(data)} bytes is too long for the channel")
    return data


async def read_line(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The next message. Raises EOFError at the end, ValueError for garbage."""
    line = await reader.readline()
    if not line:
        raise EOFError("it closed the connection")
    try:
        message = json.loads(line)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None
    if not isinstance(message, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - like any other garbled line
    return message


def _notice_silence(connection: socket.socket) -> None:
    """Let the kernel end a connection over a cut link, also while only an answer is awaited."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _SILENT_SECONDS - _PROBES)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENT_SECONDS * 1000)
