"""A TCP line between two sites in tests: it can be slow, cut after so many bytes, and mended."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from hanse.drivers.contract import Source


class Wire:
    """Forwards every connection; `left`: how many bytes towards the follower pass before it is cut."""

    def __init__(self, far: tuple[str, int], bytes_per_second: float = 0) -> None:
        self.passed = 0
        self.left: int | None = None
        self.is_cut = False
        self._far = far
        self._rate = bytes_per_second
        self._writers: set[asyncio.StreamWriter] = set()

    async def listen(self) -> tuple[str, int]:
        """On the far end's own address, for which its certificate speaks."""
        self._server = await asyncio.start_server(self._accept, self._far[0], 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    def cut(self) -> None:
        self.is_cut = True
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        self.is_cut, self.left = False, None

    async def close(self) -> None:
        self.cut()
        self._server.close()
        await asyncio.sleep(0.05)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if not self.is_cut:
                far_reader, far_writer = await asyncio.open_connection(*self._far)
                self._writers.add(far_writer)
                await asyncio.gather(
                    self._pump(reader, far_writer, counted=False),
                    self._pump(far_reader, writer, counted=True),
                )
        except OSError:
            pass
        finally:
            writer.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
                if counted:
                    await self._count(len(data))
        writer.transport.abort()

    async def _count(self, amount: int) -> None:
        self.passed += amount
        if self._rate:
            await asyncio.sleep(amount / self._rate)
        if self.left is not None:
            self.left -= amount
            if self.left <= 0:
                self.cut()


@asynccontextmanager
async def wired(way: Source, bytes_per_second: float = 0) -> AsyncIterator[tuple[Source, Wire]]:
    """The same way to a source, through a wire."""
    wire = Wire((way.stream.peer.address, way.stream.port), bytes_per_second)
    host, port = await wire.listen()
    peer = way.stream.peer.model_copy(update={"address": host})
    try:
        yield replace(way, stream=way.stream.model_copy(update={"peer": peer, "port": port})), wire
    finally:
        await wire.close()
