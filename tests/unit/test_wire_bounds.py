"""Nobody makes hub or site hold more than was agreed, and only the hub's authority opens the hub."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from hanse.ports import Temporary
from hanse.trust.authority import make_authority, self_signed
from hanse.trust.keys import make_key, private_pem, thumbprint_of
from hanse.wire.hub_client import HubClient, Identity
from hanse.wire.server import WEBSOCKET_LIMIT_BYTES, client_thumbprint, serve
from hanse.wire.tls import hub_client_context, hub_server_context

NOW = datetime.now(UTC)
SITE = make_key()


class Hub:
    """Says what it was given, or `wake`, and remembers who asked."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.key = directory, make_key()
        self.authority = make_authority(make_key(), NOW)
        self.seen: list[str | None] = []
        self.word = "wake"
        self.port = 0
        (directory / "hub.key").write_bytes(private_pem(self.key))
        (directory / "site.key").write_bytes(private_pem(SITE))
        (directory / "server.crt").write_text(self.authority.issue_server(self.key, ["127.0.0.1"], NOW))
        self.show(self.authority.issue_client(SITE, "alpha/one", NOW))

    def show(self, certificate_pem: str) -> None:
        """What the site has as its certificate."""
        (self.directory / "hub.crt").write_text(certificate_pem)

    def client(self) -> HubClient:
        files = (self.directory / "hub.crt", self.directory / "site.key")
        identity = Identity(self.authority.certificate_pem, *files)
        return HubClient(f"https://127.0.0.1:{self.port}", thumbprint_of(self.key), identity)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        self.seen.append(client_thumbprint(scope))
        await receive()
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": self.word})
            while (await receive())["type"] != "websocket.disconnect":
                pass
            return
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def running(hub: Hub) -> AsyncIterator[None]:
    stop, up = asyncio.Event(), asyncio.Event()

    def ready(_host: str, port: int) -> None:
        hub.port = port
        up.set()

    files = (hub.directory / "server.crt", hub.directory / "hub.key")
    context = hub_server_context(*files, hub.authority.certificate_pem)
    server = asyncio.create_task(serve(hub, ("127.0.0.1", 0), context, stop=stop, ready=ready))
    await up.wait()
    try:
        yield
    finally:
        stop.set()
        await server


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    made = Hub(tmp_path)
    async with running(made):
        yield made


def trusting(hub: Hub) -> ssl.SSLContext:
    return hub_client_context(hub.authority.certificate_pem)


async def test_only_a_certificate_of_the_hubs_own_authority_opens_the_hub(hub: Hub) -> None:
    stranger = make_authority(make_key(), NOW)
    for wrong in (stranger.issue_client(SITE, "alpha/one", NOW), self_signed(SITE, "alpha/one", [], NOW)):
        hub.show(wrong)
        with pytest.raises(Temporary):
            await hub.client().observe([])
    assert hub.seen == []


async def test_a_client_without_a_certificate_is_let_in_as_nobody(hub: Hub) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.port, ssl=trusting(hub))
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 204")
    writer.transport.abort()
    assert hub.seen == [None]


async def test_a_head_without_an_end_is_cut_off(hub: Hub) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.port, ssl=trusting(hub))
    writer.write(b"GET / HTTP/1.1\r\nx: " + b"y" * 1_000_000)
    answer = await reader.read()
    writer.transport.abort()
    assert answer.startswith(b"HTTP/1.1 400")
    assert hub.seen == []


async def test_a_wake_up_line_takes_no_large_message_from_a_site(hub: Hub) -> None:
    url = f"wss://127.0.0.1:{hub.port}/v1/site/wake"
    async with connect(url, ssl=trusting(hub), proxy=None, compression=None) as socket:
        assert await socket.recv() == "wake"
        await socket.send("x" * (WEBSOCKET_LIMIT_BYTES + 1))
        with pytest.raises(ConnectionClosed) as caught:
            await socket.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1009


async def test_a_site_takes_no_large_message_from_the_hub(hub: Hub) -> None:
    hub.word = "x" * 100_000
    wakes = hub.client().wakes()
    assert await anext(wakes) is None
    with pytest.raises(Temporary, match="down"):
        await anext(wakes)
