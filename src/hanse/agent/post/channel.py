"""The channel between agents: one JSON line, one JSON line back, over mutual TLS with pinned keys."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from hanse.agent.place.peers import Peers
from hanse.agent.post.lines import LINE_LIMIT_BYTES, Line, Lines, read_line, to_line
from hanse.model.replica.spec import Peer
from hanse.ports import Permanent, Temporary
from hanse.wire.fault import fault_words
from hanse.wire.tls import PeerTrust

_CONNECTIONS_AT_ONCE = 64
_HANDSHAKE_SECONDS = 5.0
_READ_SECONDS = 10.0
_IDLE_SECONDS = 20.0
"""Longer than the asker keeps a connection."""
_ANSWER_SECONDS = 600.0
"""Longer than any ticket's deadline: the asker gives up before."""
_log = logging.getLogger(__name__)

Answer = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
"""(thumbprint of the peer's key, question) to reply; never raises."""


class Channel:
    """Asks peers, and answers those whose keys the hub's orders named."""

    def __init__(self, trust: PeerTrust, peers: Peers) -> None:
        self._trust = trust
        self._peers = peers
        self._lines = Lines(trust)
        self._open = 0
        peers.on_change = self._learn
        self._learn()

    async def ask(self, peer: Peer, message: Mapping[str, Any], timeout_seconds: float) -> dict[str, Any]:
        """One question; the reply, with `connect_ms`, the time that the TCP connection took.

        A question may reach the peer twice. A `ping` always connects anew: it measures the way.
        Raises Temporary(`peer-unreachable`), also if somebody else answers at the peer's address.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._ask(peer, message)
        except TimeoutError as error:
            raise _unreachable(peer, f"no answer within {timeout_seconds:.0f} s") from error
        except (OSError, ssl.SSLError, ValueError, EOFError) as error:
            raise _unreachable(peer, fault_words(error)) from error
        except Permanent as error:
            raise _unreachable(peer, error.message) from error

    async def serve(
        self, address: str, port: int, answer: Answer, ready: Callable[[], None] = lambda: None
    ) -> None:
        """Answer peers until cancelled. Raises Permanent(`port-taken`, `address-unusable`)."""

        async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.CancelledError):  # the agent ends
                await self._converse(reader, writer, answer)

        try:
            server = await asyncio.start_server(
                on_connection,
                address,
                port,
                ssl=self._trust.server,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS,
                limit=LINE_LIMIT_BYTES,
            )
        except OSError as error:
            raise _unusable(address, port, error) from error
        ready()
        async with server:
            await server.serve_forever()

    def end(self) -> None:
        """Keep no connection to any peer."""
        self._lines.end()

    async def _ask(self, peer: Peer, message: Mapping[str, Any]) -> dict[str, Any]:
        question, is_ping = to_line(message), message.get("ask") == "ping"
        if self._peers.by_thumbprint(peer.thumbprint) is None:
            raise Permanent("peer-unknown", "the hub has not introduced it")
        kept = None if is_ping else self._lines.take(peer)
        if kept is not None:
            with suppress(OSError, EOFError):  # ended meanwhile: ask again on a new one
                return await self._asked(peer, kept, question, keep=True)
        return await self._asked(peer, await self._lines.connect(peer), question, keep=not is_ping)

    async def _asked(self, peer: Peer, line: Line, question: bytes, *, keep: bool) -> dict[str, Any]:
        try:
            reply = await line.ask(question)
        except BaseException:
            line.end()
            raise
        if keep:
            self._lines.keep(peer, line)
        else:
            line.end()
        return {**reply, "connect_ms": line.connect_ms}

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer
    ) -> None:
        self._open += 1
        answered = 0
        try:
            if self._open > _CONNECTIONS_AT_ONCE:
                return
            thumbprint = self._trust.require(writer)
            while True:
                async with asyncio.timeout(_IDLE_SECONDS if answered else _READ_SECONDS):
                    question = await read_line(reader)
                async with asyncio.timeout(_ANSWER_SECONDS):
                    reply = await answer(thumbprint, question)
                writer.write(to_line(reply))
                await writer.drain()
                answered += 1
        except (OSError, ValueError, EOFError, TimeoutError, Permanent) as error:
            if not answered or not isinstance(error, EOFError | TimeoutError):
                _log.info("a peer's connection ended: %s", fault_words(error))
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


def _is_readable(pem: str) -> bool:
    try:
        ssl.PEM_cert_to_DER_cert(pem)
    except ValueError:
        return False
    return True


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
        f"The channel cannot listen at {address}:{port}: {fault_words(error)}."
        " `data.address` must be an address of this machine; behind NAT, say which one with `data.listen`.",
    )
