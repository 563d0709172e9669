"""The pooler's console: commands over its own unix socket, in the database's wire protocol.

Plain enough to be spoken here: a driver would answer a lost patience with a cancel request, and a
cancelled PAUSE lets everybody through again.
"""

import asyncio
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hanse.drivers.pooler.config import ADMIN
from hanse.ports import Temporary

_PROTOCOL = 196608  # 3.0
_STARTUP = b"user\0" + ADMIN.encode() + b"\0database\0pgbouncer\0\0"
_LENGTH_MAX = 1 << 22

Row = dict[str, str]


class Refused(Exception):  # noqa: N818 - the pooler's word for it
    """The pooler understood and refused; its words."""


class Line:
    """One conversation. Every call ends within the seconds given: Temporary(`pooler-silent`)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, command: str, seconds: float) -> list[Row]:
        """The rows that answer a command. Raises Refused or Temporary(`pooler-silent`)."""
        self.send(command)
        return await self.answer(seconds)

    def send(self, command: str) -> None:
        """Say a command; `answer` hears the reply."""
        text = command.encode() + b"\0"
        self._writer.write(b"Q" + struct.pack("!I", len(text) + 4) + text)

    def greet(self) -> None:
        """The first words; the reply is heard as any other."""
        self._writer.write(struct.pack("!II", len(_STARTUP) + 8, _PROTOCOL) + _STARTUP)

    async def answer(self, seconds: float) -> list[Row]:
        """Rows until the pooler is ready for another command."""
        try:
            async with asyncio.timeout(seconds):
                return await self._answer()
        except (OSError, EOFError, struct.error) as error:
            raise Temporary("pooler-silent", "A pooler of this site does not answer.", 1.0) from error

    async def _answer(self) -> list[Row]:
        names: list[str] = []
        rows: list[Row] = []
        refusal: str | None = None
        while True:
            kind, body = await self._message()
            if kind == b"T":
                names = _names(body)
            elif kind == b"D":
                rows.append(dict(zip(names, _values(body), strict=True)))
            elif kind == b"E":
                refusal = _words(body)
                if b"SFATAL\0" in body:  # the line is closed, nothing more comes
                    raise Refused(refusal)
            elif kind == b"Z":
                if refusal is not None:
                    raise Refused(refusal)
                return rows

    async def _message(self) -> tuple[bytes, bytes]:
        head = await self._reader.readexactly(5)
        (length,) = struct.unpack("!I", head[1:])
        if not 4 <= length <= _LENGTH_MAX:
            raise struct.error("no such length")
        return head[:1], await self._reader.readexactly(length - 4)


@asynccontextmanager
async def line(work: Path, port: int, seconds: float) -> AsyncIterator[Line]:
    """A conversation with the pooler whose files are in `work`. Raises Temporary(`pooler-silent`)."""
    reader, writer = await _connect(work / f".s.PGSQL.{port}", seconds)
    try:
        talk = Line(reader, writer)
        talk.greet()
        await talk.answer(seconds)
        yield talk
    finally:
        writer.close()


async def _connect(path: Path, seconds: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """By a path below the kernel's 108 bytes, however deep the directory lies."""
    try:
        handle = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.open_unix_connection(f"/proc/self/fd/{handle}/{path.name}")
        finally:
            os.close(handle)
    except OSError as error:
        raise Temporary("pooler-silent", "A pooler of this site does not answer.", 1.0) from error


def _names(body: bytes) -> list[str]:
    names, at = [], 2
    for _ in range(struct.unpack("!H", body[:2])[0]):
        end = body.index(b"\0", at)
        names.append(body[at:end].decode(errors="replace"))
        at = end + 19
    return names


def _values(body: bytes) -> list[str]:
    values, at = [], 2
    for _ in range(struct.unpack("!H", body[:2])[0]):
        (length,) = struct.unpack("!i", body[at : at + 4])
        at += 4
        values.append(body[at : at + max(length, 0)].decode(errors="replace"))
        at += max(length, 0)
    return values


def _words(body: bytes) -> str:
    parts = [part.decode(errors="replace") for part in body.split(b"\0")]
    return next((part[1:] for part in parts if part.startswith("M")), "no reason given")
