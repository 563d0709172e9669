"""A local listener whose connections are spliced to a stream at a site, over TLS with its pinned key."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from hanse.ports import Permanent, Temporary
from hanse.trust.keys import thumbprint_of_pem
from hanse.wire.tls import PeerTrust

CONNECT_SECONDS = 5.0
PATIENCE_SECONDS = 15.0
"""How long a new connection waits for a component that is between two sites."""
PAUSE_SECONDS = 0.25
LOOK_SECONDS = 2.0
"""How often somebody asks where the component is, while nothing fails."""
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


class LocalPort:
    """A port of this machine that leads to a stream. `look_again` tells where it is now; it may block."""

    def __init__(
        self,
        line: Line,
        look_again: Callable[[], Mapping[str, Any] | None],
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._line = line
        self._look_again = look_again
        self._look_seconds = look_seconds
        self._looking = asyncio.Lock()
        self._open: set[asyncio.Task[None]] = set()

    async def serve(self, port: int, ready: Callable[[str, int], None]) -> None:
        """Until SIGINT or SIGTERM; `ready` hears address and port. Raises as `opened` does."""
        async with self.opened(port) as (address, bound):
            loop, stop = asyncio.get_running_loop(), asyncio.Event()
            for each in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(each, stop.set)
            ready(address, bound)
            await stop.wait()

    @asynccontextmanager
    async def opened(self, port: int) -> AsyncIterator[tuple[str, int]]:
        """Address and port of this machine, while the block runs.

        Raises Permanent(`no-reach`) if the first try fails for some seconds, Permanent(`port-taken`).
        """
        _, probe = await self._dial()
        await _abort(probe)
        try:
            server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise Permanent(
                "port-taken",
                f"port {port} of this machine cannot be used: {why}. Choose another with --port.",
            ) from error
        self._open.add(asyncio.create_task(self._keep_looking()))
        try:
            async with server:
                yield server.sockets[0].getsockname()[:2]
        finally:
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._lead((reader, writer)))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _lead(self, here: Streams) -> None:
        try:
            with suppress(Permanent, OSError):
                await _splice(here, await self._dial())
        finally:
            await _abort(here[1])

    async def _dial(self) -> Streams:
        """Patiently: the component may be between two sites."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_SECONDS
        while True:
            try:
                return await self._line.dial()
            except Permanent:
                if loop.time() > deadline:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)
            await self._look()

    async def _keep_looking(self) -> None:
        """So that a move is known before a connection fails, and its new credential too."""
        while True:
            await asyncio.sleep(self._look_seconds)
            await self._look()

    async def _look(self) -> None:
        async with self._looking:
            with suppress(Permanent, Temporary):
                stream = await asyncio.to_thread(self._look_again)
                if stream is not None:
                    self._line.point_to(stream)


async def _splice(here: Streams, there: Streams) -> None:
    """Bytes both ways until either side ends; what came last is delivered."""
    ways = [
        asyncio.create_task(_pump(here[0], there[1])),
        asyncio.create_task(_pump(there[0], here[1])),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        here[1].close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(CONNECT_SECONDS):
                await here[1].wait_closed()
    finally:
        there[1].transport.abort()  # at once: whoever ends this command may interrupt the rest
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        await _abort(there[1])


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(BLOCK_BYTES):
        writer.write(data)
        await writer.drain()


async def _abort(writer: asyncio.StreamWriter) -> None:
    """Nothing more is sent or read, and the socket is given back."""
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()
