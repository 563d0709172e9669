"""The channel between agents: one JSON line, one JSON line back, over mutual TLS with pinned keys."""

import asyncio
import json
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from hanse.agent.place.peers import Peers
from hanse.model.replica.spec import Peer
from hanse.ports import Permanent, Temporary
from hanse.wire.tls import PeerTrust

LINE_LIMIT_BYTES = 1 << 20
_CONNECTIONS_AT_ONCE = 64
_CONNECT_SECONDS = 5.0
_READ_SECONDS = 10.0
_ANSWER_SECONDS = 600.0
"""Longer than any ticket's deadline: the asker gives up before."""
_SILENT_SECONDS = 6
"""A peer whose machine acknowledges nothing for so long is away: clients must not wait for it in vain."""
_PROBES = 4
_log = logging.getLogger(__name__)

Answer = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
"""(thumbprint of the peer's key, question) to reply; never raises."""


class Channel:
    """Asks peers, and answers those whose keys the hub's orders named."""

    def __init__(self, trust: PeerTrust, peers: Peers) -> None:
        self._trust = trust
        self._peers = peers
        self._open = 0
        peers.on_change = self._learn
        self._learn()

    async def ask(self, peer: Peer, message: Mapping[str, Any], timeout_seconds: float) -> dict[str, Any]:
        """One question; the reply, with `connect_ms`, the time that the TCP connection took.

        Raises Temporary(`peer-unreachable`), also if somebody else answers at the peer's address.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._ask(peer, message)
        except TimeoutError as error:
            raise _unreachable(peer, f"no answer within {timeout_seconds:.0f} s") from error
        except (OSError, ssl.SSLError, ValueError, EOFError) as error:
            raise _unreachable(peer, _words(error)) from error
        except Permanent as error:
            raise _unreachable(peer, error.message) from error

    async def serve(
        self, address: str, port: int, answer: Answer, ready: Callable[[], None] = lambda: None
    ) -> None:
        """Answer peers until cancelled. Raises Permanent(`port-taken`, `address-unusable`)."""

        async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._converse(reader, writer, answer)

        try:
            server = await asyncio.start_server(
                on_connection,
                address,
                port,
                ssl=self._trust.server,
                ssl_handshake_timeout=_CONNECT_SECONDS,
                limit=LINE_LIMIT_BYTES,
            )
        except OSError as error:
            raise _unusable(address, port, error) from error
        ready()
        async with server:
            await server.serve_forever()

    async def _ask(self, peer: Peer, message: Mapping[str, Any]) -> dict[str, Any]:
        reader, writer, connect_ms = await self._connect(peer)
        try:
            self._trust.require(writer, peer.thumbprint)
            writer.write(_line(message))
            await writer.drain()
            reply = await _read(reader)
        finally:
            writer.transport.abort()
        return {**reply, "connect_ms": connect_ms}

    async def _connect(self, peer: Peer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, float]:
        loop = asyncio.get_running_loop()
        if self._peers.by_thumbprint(peer.thumbprint) is None:
            raise Permanent("peer-unknown", "the hub has not introduced it")
        async with asyncio.timeout(_CONNECT_SECONDS):
            place = (await loop.getaddrinfo(peer.address, peer.channel_port, type=socket.SOCK_STREAM))[0]
            plain = socket.socket(place[0], place[1])
            try:
                plain.setblocking(False)
                _notice_silence(plain)
                began = loop.time()
                await loop.sock_connect(plain, place[4])
                connect_ms = (loop.time() - began) * 1000
                reader, writer = await asyncio.open_connection(
                    sock=plain, ssl=self._trust.client, server_hostname="", limit=LINE_LIMIT_BYTES
                )
            except BaseException:
                plain.close()
                raise
        return reader, writer, connect_ms

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer
    ) -> None:
        self._open += 1
        try:
            if self._open > _CONNECTIONS_AT_ONCE:
                return
            thumbprint = self._trust.require(writer)
            async with asyncio.timeout(_READ_SECONDS):
                question = await _read(reader)
            async with asyncio.timeout(_ANSWER_SECONDS):
                reply = await answer(thumbprint, question)
            writer.write(_line(reply))
            await writer.drain()
            with suppress(OSError, EOFError, TimeoutError):
                async with asyncio.timeout(_READ_SECONDS):
                    await reader.read(1)
        except (OSError, ValueError, EOFError, TimeoutError, Permanent) as error:
            _log.info("a peer's connection ended: %s", _words(error))
        finally:
            self._open -= 1
            writer.transport.abort()

    def _learn(self) -> None:
        """Let in exactly the known peers; one with an unreadable certificate is left out."""
        certificates = [peer.certificate_pem for peer in self._peers.all()]
        try:
            self._trust.trust(certificates)
        except Permanent:
            self._trust.trust(pem for pem in certificates if _is_readable(pem))


def _notice_silence(connection: socket.socket) -> None:
    """Let the kernel end a connection over a cut link, also while only an answer is awaited."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _SILENT_SECONDS - _PROBES)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENT_SECONDS * 1000)


def _is_readable(pem: str) -> bool:
    try:
        ssl.PEM_cert_to_DER_cert(pem)
    except ValueError:
        return False
    return True


def _line(message: Mapping[str, Any]) -> bytes:
    data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
    if len(data) > LINE_LIMIT_BYTES:
        raise ValueError(f"a message of {len(data)} bytes is too long for the channel")
    return data


async def _read(reader: asyncio.StreamReader) -> dict[str, Any]:
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


def _words(error: BaseException) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({(error.reason or str(error)).replace('_', ' ').lower()})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


def _unreachable(peer: Peer, why: str) -> Temporary:
    where = f"{peer.address}:{peer.channel_port}" if peer.address else "no data address"
    return Temporary("peer-unreachable", f"{peer.site} cannot be reached at {where}: {why}.")


def _unusable(address: str, port: int, error: OSError) -> Permanent:
    if error.errno == 98:
        return Permanent(
            "port-taken",
            f"The channel's port {port} at {address} is taken by another program."
            " End that program or choose another `data.channel_port` in offers.yaml.",
        )
    return Permanent(
        "address-unusable",
        f"The channel cannot listen at {address}:{port}: {_words(error)}."
        " `data.address` must be an address of this machine; behind NAT, say which one with `data.listen`.",
    )
