"""The channel on real TLS: known keys are answered, everybody else is not."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pytest
from agent_world import MemoryJournal

from hanse.agent.place.peers import Peers
from hanse.agent.post.channel import LINE_LIMIT_BYTES, Channel
from hanse.model.replica.order import ReachOrder
from hanse.model.replica.spec import Peer
from hanse.ports import Permanent, Temporary
from hanse.trust.authority import self_signed
from hanse.trust.keys import load_or_make_key, thumbprint_of
from hanse.wire.tls import PeerTrust


class Site:
    def __init__(self, directory: Path, name: str) -> None:
        key = load_or_make_key(directory / f"{name}.key")
        pem = self_signed(key, f"{name}/1", ["127.0.0.1"], datetime.now(UTC))
        (directory / f"{name}.crt").write_text(pem)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.peer = Peer(
            site=f"{name}/1",
            thumbprint=thumbprint_of(key),
            certificate_pem=pem,
            sealing_key="{}",
            address="127.0.0.1",
            channel_port=self.port,
        )
        self.peers = Peers(MemoryJournal())
        self.channel = Channel(PeerTrust(directory / f"{name}.crt", directory / f"{name}.key"), self.peers)

    def knows(self, *others: "Site") -> None:
        self.peers.learn(ReachOrder(peers=tuple(other.peer for other in others)))

    async def serve(
        self, answer: Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
    ) -> asyncio.Task[None]:
        ready = asyncio.Event()
        task = asyncio.create_task(self.channel.serve("127.0.0.1", self.port, answer, ready.set))
        await asyncio.wait([asyncio.ensure_future(ready.wait()), task], return_when=asyncio.FIRST_COMPLETED)
        return task


async def echo(thumbprint: str, message: dict[str, Any]) -> dict[str, Any]:
    return {"ok": True, "from": thumbprint, "said": message}


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_known_peers_talk_and_each_sees_the_key_of_the_other(tmp_path: Path) -> None:
    a, b = Site(tmp_path, "a"), Site(tmp_path, "b")
    a.knows(b)
    b.knows(a)
    task = await b.serve(echo)
    reply = await a.channel.ask(b.peer, {"ask": "ping"}, 5)
    await end(task)
    assert (reply["from"], reply["said"]) == (a.peer.thumbprint, {"ask": "ping"})
    assert 0 < reply["connect_ms"] < 1000


async def test_a_stranger_is_not_answered(tmp_path: Path) -> None:
    a, b = Site(tmp_path, "a"), Site(tmp_path, "b")
    a.knows(b)
    task = await b.serve(echo)
    with pytest.raises(Temporary) as refused:
        await a.channel.ask(b.peer, {"ask": "ping"}, 5)
    await end(task)
    assert refused.value.code == "peer-unreachable"


async def test_somebody_else_at_the_peers_address_is_told_nothing(tmp_path: Path) -> None:
    a, b, c = (Site(tmp_path, name) for name in "abc")
    a.knows(b, c)
    c.knows(a)
    heard: list[Any] = []

    async def listen(_thumbprint: str, message: dict[str, Any]) -> dict[str, Any]:
        heard.append(message)
        return {}

    task = await c.serve(listen)
    impostor = b.peer.model_copy(update={"channel_port": c.port})
    with pytest.raises(Temporary, match="showed the key"):
        await a.channel.ask(impostor, {"ask": "prepare"}, 5)
    await end(task)
    assert heard == []


async def test_nobody_there_is_said_with_the_address(tmp_path: Path) -> None:
    a, b = Site(tmp_path, "a"), Site(tmp_path, "b")
    a.knows(b)
    with pytest.raises(Temporary, match=f"b/1 cannot be reached at 127.0.0.1:{b.port}"):
        await a.channel.ask(b.peer, {"ask": "ping"}, 5)


async def test_a_silent_peer_costs_no_more_than_the_timeout(tmp_path: Path) -> None:
    a, b = Site(tmp_path, "a"), Site(tmp_path, "b")
    a.knows(b)
    b.knows(a)

    async def wait(_thumbprint: str, _message: dict[str, Any]) -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    task = await b.serve(wait)
    with pytest.raises(Temporary, match="no answer within"):
        await a.channel.ask(b.peer, {"ask": "ping"}, 0.2)
    await end(task)


async def test_a_line_that_is_too_long_is_not_sent(tmp_path: Path) -> None:
    a, b = Site(tmp_path, "a"), Site(tmp_path, "b")
    a.knows(b)
    b.knows(a)
    task = await b.serve(echo)
    with pytest.raises(Temporary, match="too long"):
        await a.channel.ask(b.peer, {"ask": "x" * LINE_LIMIT_BYTES}, 5)
    await end(task)


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    b = Site(tmp_path, "b")
    task = await b.serve(echo)
    with pytest.raises(Permanent, match=f"port {b.port} at 127.0.0.1 is taken"):
        await b.channel.serve("127.0.0.1", b.port, echo)
    await end(task)


async def test_a_site_with_a_new_key_replaces_its_old_one(tmp_path: Path) -> None:
    a, b, c = (Site(tmp_path, name) for name in "abc")
    a.knows(b)
    renewed = c.peer.model_copy(update={"site": "b/1"})
    a.peers.learn(ReachOrder(peers=(renewed,)))
    assert a.peers.by_thumbprint(b.peer.thumbprint) is None
    assert a.peers.by_thumbprint(c.peer.thumbprint) == renewed


def _silence_limits(port: int) -> list[tuple[bool, int]]:
    """Of this process's connections to a port: whether the kernel probes them, and its patience in ms."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError), socket.socket(fileno=os.dup(int(entry.name))) as connection:
            if connection.family == socket.AF_INET and connection.getpeername()[1] == port:
                probed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                found.append((probed, connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)))
    return found


async def test_a_cut_link_is_noticed_within_seconds_while_an_answer_is_awaited(tmp_path: Path) -> None:
    a, b = Site(tmp_path, "a"), Site(tmp_path, "b")
    a.knows(b)
    b.knows(a)
    limits: list[tuple[bool, int]] = []

    async def look(_thumbprint: str, _message: dict[str, Any]) -> dict[str, Any]:
        limits.extend(_silence_limits(b.port))
        return {"ok": True}

    task = await b.serve(look)
    await a.channel.ask(b.peer, {"ask": "catch_up"}, 60)
    await end(task)
    assert limits == [(True, 6000)]


@pytest.mark.parametrize("line", [b"[" * 200_000, b"garbage", b"\xff\xfe", b'{"n":' + b"9" * 5000 + b"}"])
async def test_a_hostile_line_ends_its_connection_and_nothing_else(tmp_path: Path, line: bytes) -> None:
    a, b = Site(tmp_path, "a"), Site(tmp_path, "b")
    a.knows(b)
    b.knows(a)
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context))
    task = await b.serve(echo)
    trust = PeerTrust(tmp_path / "a.crt", tmp_path / "a.key")
    trust.trust([b.peer.certificate_pem])
    reader, writer = await asyncio.open_connection("127.0.0.1", b.port, ssl=trust.client, server_hostname="")
    writer.write(line + b"\n")
    with suppress(OSError):
        assert await reader.read() == b""
    writer.transport.abort()
    assert (await a.channel.ask(b.peer, {"ask": "ping"}, 5))["ok"]
    await end(task)
    assert faults == []


class Relay:
    """A plain TCP relay in front of a site: counts connections, and can break them all."""

    def __init__(self, behind: Site) -> None:
        self.count = 0
        self._behind = behind
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._on_connection, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.peer = self._behind.peer.model_copy(update={"channel_port": port})
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.break_all()

    def break_all(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.count += 1
        inner_reader, inner = await asyncio.open_connection("127.0.0.1", self._behind.port)
        self._writers += [writer, inner]
        await asyncio.gather(self._pump(reader, inner), self._pump(inner_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.transport.abort()


async def test_questions_soon_after_one_another_share_a_connection_but_a_ping_does_not(
    tmp_path: Path,
) -> None:
    a, b = Site(tmp_path, "a"), Site(tmp_path, "b")
    a.knows(b)
    b.knows(a)
    task = await b.serve(echo)
    async with Relay(b) as relay:
        for question in ("prepare", "hold", "catch_up"):
            assert (await a.channel.ask(relay.peer, {"ask": question}, 5))["said"] == {"ask": question}
        assert relay.count == 1
        await a.channel.ask(relay.peer, {"ask": "ping"}, 5)
        assert relay.count == 2
    a.channel.end()
    await end(task)


async def test_a_connection_that_broke_while_it_was_kept_is_made_anew(tmp_path: Path) -> None:
    a, b = Site(tmp_path, "a"), Site(tmp_path, "b")
    a.knows(b)
    b.knows(a)
    task = await b.serve(echo)
    async with Relay(b) as relay:
        await a.channel.ask(relay.peer, {"ask": "prepare"}, 5)
        relay.break_all()
        assert (await a.channel.ask(relay.peer, {"ask": "catch_up"}, 5))["ok"]
        assert relay.count == 2
    a.channel.end()
    await end(task)
