"""A local listener whose connections are spliced to a stream at a site, over TLS with its pinned key."""

import asyncio
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from hanse.ports import Permanent, Temporary
from hanse.trust.keys import thumbprint_of_pem
from hanse.wire.tls import PeerTrust

CONNECT_SECONDS = 5.0
PATIENCE_SECONDS = 15.0
"""How long a new connection waits for a component that is between two sites."""
PAUSE_SECONDS = 0.25
BLOCK_BYTES = 64 * 1024

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Line:
    """The way to one stream, as the hub describes it; it may change when the component moves."""

    def __init__(self, stream: Mapping[str, Any], trust: PeerTrust) -> None:
        self._trust = trust
        self.point_to(stream)

    def point_to(self, stream: Mapping[str, Any]) -> None:
        """From now on to this stream. Raises Permanent(`no-reach`) if its site has no data address."""
        peer = stream["peer"]
        if not peer["address"]:
            raise Permanent(
                "no-reach",
                f"{peer['site']} advertises no data address, so nobody can connect to it from outside. "
                "Its operator sets `data.address` in the site's file.",
            )
        self.site, self.address, self.port = peer["site"], peer["address"], stream["port"]
        self._thumbprint = thumbprint_of_pem(peer["certificate_pem"])
        self._trust.trust([peer["certificate_pem"]])

    async def dial(self) -> Streams:
        """One connection. Raises Permanent(`no-reach`, `peer-key-wrong`)."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(
                    self.address, self.port, ssl=self._trust.client
                )
        except (OSError, TimeoutError) as error:
            why = getattr(error, "strerror", "") or str(error) or "no answer"
            raise Permanent(
                "no-reach",
                f"this machine does not reach {self.site} at {self.address}:{self.port} ({why}). A network "
                "between must let it through; try from a machine that the site's network knows.",
            ) from error
        try:
            self._trust.require(writer, self._thumbprint)
        except BaseException:
            writer.transport.abort()
            raise
        return reader, writer


async def serve(
    line: Line,
    port: int,
    *,
    look_again: Callable[[], Mapping[str, Any] | None],
    ready: Callable[[str, int], None],
) -> None:
    """Until SIGINT or SIGTERM, which raise KeyboardInterrupt. `look_again` may block.

    Raises Permanent(`no-reach`) at once if the first try fails for some seconds, Permanent(`port-taken`).
    """
    looking, stop = asyncio.Lock(), asyncio.Event()

    async def patient() -> Streams:
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while True:
            try:
                return await line.dial()
            except Permanent:
                if asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)
            async with looking:
                with suppress(Permanent, Temporary):
                    stream = await asyncio.to_thread(look_again)
                    if stream is not None:
                        line.point_to(stream)

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(Permanent, OSError):
            await _splice((reader, writer), await patient())
        writer.transport.abort()

    _, probe = await patient()
    probe.transport.abort()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stop.set)
    try:
        server = await asyncio.start_server(one, "127.0.0.1", port)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise Permanent(
            "port-taken", f"port {port} of this machine cannot be used: {why}. Choose another with --port."
        ) from error
    async with server:
        ready(*server.sockets[0].getsockname()[:2])
        await stop.wait()
    raise KeyboardInterrupt


async def _splice(here: Streams, there: Streams) -> None:
    """Bytes both ways until either side ends."""
    ways = [
        asyncio.create_task(_pump(here[0], there[1])),
        asyncio.create_task(_pump(there[0], here[1])),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        there[1].transport.abort()
        here[1].close()
        with suppress(OSError):
            await here[1].wait_closed()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(BLOCK_BYTES):
        writer.write(data)
        await writer.drain()
