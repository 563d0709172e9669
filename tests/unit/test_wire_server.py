"""The server: ends in order, survives what is not HTTP, says who it cannot listen for."""

import asyncio
from typing import Any

import pytest

from hanse.ports import Permanent
from hanse.wire.server import client_thumbprint, serve


class App:
    """Answers each request once `go` is set."""

    def __init__(self) -> None:
        self.go, self.begun, self.up = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.stop = asyncio.Event()
        self.shut_down = False
        self.seen: list[str | None] = []
        self.address = ("", 0)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.shut_down = True
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.seen.append(client_thumbprint(scope))
        self.begun.set()
        await self.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    def ready(self, host: str, port: int) -> None:
        self.address = (host, port)
        self.up.set()

    async def start(self, host: str = "127.0.0.1", **more: Any) -> asyncio.Task[None]:
        task = asyncio.create_task(serve(self, (host, 0), None, stop=self.stop, ready=self.ready, **more))
        await self.up.wait()
        return task

    async def ask(self, words: bytes = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n") -> bytes:
        reader, writer = await asyncio.open_connection(*self.address)
        writer.write(words)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer


async def test_a_request_under_way_is_finished_when_the_server_stops() -> None:
    app = App()
    server = await app.start()
    asking = asyncio.create_task(app.ask())
    await app.begun.wait()
    app.stop.set()
    app.go.set()
    assert (await asking).endswith(b"ok")
    await server
    assert app.shut_down


async def test_a_request_that_never_ends_does_not_keep_the_server_up() -> None:
    app = App()
    server = await app.start(grace_seconds=0)
    asking = asyncio.create_task(app.ask())
    await app.begun.wait()
    app.stop.set()
    await server
    assert b"200" not in await asking


async def test_what_is_not_http_is_refused_and_the_next_one_served() -> None:
    app = App()
    app.go.set()
    server = await app.start()
    assert b"400" in await app.ask(b"\x16\x03\x01 hello\r\n\r\n")
    assert (await app.ask()).endswith(b"ok")
    app.stop.set()
    await server


async def test_without_tls_nobody_has_a_key_whatever_the_client_says() -> None:
    app = App()
    app.go.set()
    server = await app.start()
    await app.ask(b"GET / HTTP/1.1\r\nhost: x\r\nclient-cert: a\r\nconnection: close\r\n\r\n")
    app.stop.set()
    await server
    assert app.seen == [None]


async def test_ipv6_is_served() -> None:
    app = App()
    app.go.set()
    server = await app.start("::1")
    assert (await app.ask()).endswith(b"ok")
    app.stop.set()
    await server


async def test_an_address_of_another_machine_is_said() -> None:
    with pytest.raises(Permanent, match=r"192\.0\.2\.1") as caught:
        await serve(App(), ("192.0.2.1", 0), None, stop=asyncio.Event())
    assert caught.value.code == "address-unusable"
