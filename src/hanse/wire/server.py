"""The hub's HTTP and WebSocket server: uvicorn, with the client's certificate in the ASGI scope.

Every scope has `extensions.tls.client_cert_thumbprint`: the thumbprint of the key that the client
proved to hold by a certificate of the hub's authority, or None.
"""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Callable, Generator
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from hanse.ports import Permanent
from hanse.wire.tls import peer_thumbprint

Application = Callable[..., Any]
"""An ASGI 3 application."""

WEBSOCKET_LIMIT_BYTES = 64 * 1024


def client_thumbprint(scope: dict[str, Any]) -> str | None:
    """Thumbprint of the client's key as `serve` put it into an ASGI scope; None without certificate."""
    found = scope.get("extensions", {}).get("tls", {}).get("client_cert_thumbprint")
    return found if isinstance(found, str) else None


async def serve(
    app: Application,
    address: tuple[str, int],
    context: ssl.SSLContext | None,
    *,
    stop: asyncio.Event,
    ready: Callable[[str, int], None] | None = None,
    grace_seconds: int = 3,
) -> None:
    """Serve until `stop` is set, then let running requests finish for `grace_seconds`.

    `address`: host and port, 0 for any free one; `ready` is called with the real ones once clients
    can connect. `context` None: plain HTTP, for tests. Signals are the caller's. Raises
    Permanent(`port-taken`, `address-unusable`).
    """
    listener = _listen(*address)
    server = _Server(_config(app, context, grace_seconds))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    starting = asyncio.create_task(server.is_up.wait())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, starting}, return_when=asyncio.FIRST_COMPLETED)
        if ready is not None and server.started:
            ready(*listener.getsockname()[:2])
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await running
    finally:
        starting.cancel()
        stopping.cancel()
        server.should_exit = True
        listener.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.is_up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to whoever called `serve`."""
        yield


class _HttpProtocol(H11Protocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app = _introduced(self.app, transport)


class _WebSocketProtocol(WebSocketsSansIOProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.app = _introduced(self.app, transport)


def _introduced(app: Application, transport: asyncio.BaseTransport) -> Application:
    thumbprint = peer_thumbprint(transport)

    async def introduce(scope: dict[str, Any], receive: Application, send: Application) -> None:
        extensions = dict(scope.get("extensions") or {})
        extensions["tls"] = {"client_cert_thumbprint": thumbprint}
        await app({**scope, "extensions": extensions}, receive, send)

    return introduce


def _config(app: Application, context: ssl.SSLContext | None, grace_seconds: int) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http=_HttpProtocol,
        ws=_WebSocketProtocol,
        loop="none",
        ws_max_size=WEBSOCKET_LIMIT_BYTES,
        ws_per_message_deflate=False,
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=grace_seconds,
        proxy_headers=False,
    )
    config.load()
    config.ssl = context
    return config


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Permanent(
                "port-taken",
                f"port {port} at {host} is taken by another program. "
                "End that program, or choose another port with --port.",
            ) from error
        raise Permanent(
            "address-unusable",
            f"{host}:{port} cannot be listened on: {error.strerror or error}. "
            "Choose an address of this machine with --host.",
        ) from error
