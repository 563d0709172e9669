"""One of the connections over which a copy comes: it reads batches of stretches into the target's files."""

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hanse.drivers.postgres.seed.stretch import Piece, Stretch
from hanse.ports import Permanent

if TYPE_CHECKING:
    from psycopg import Connection

_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_READ = (
    "copy (select pg_read_binary_file(path, first, length, true)"
    " from unnest(%s::text[], %s::bigint[], %s::bigint[])"
    " with ordinality as piece(path, first, length, number)"
    " order by number) to stdout (format binary)"
)


class Lane:
    """Blocking: one thread's alone. Every method raises psycopg's errors."""

    def __init__(self, connection: "Connection[Any]") -> None:
        self._connection = connection

    def clock(self) -> float:
        """The source's, in seconds."""
        with self._connection.cursor() as cursor:
            row = cursor.execute("select extract(epoch from clock_timestamp())::float8").fetchone()
        return float(row[0]) if row else 0.0

    def read(self, batch: list[Stretch], data: Path, moved: Callable[[int], None]) -> Iterator[Stretch]:
        """Into files that are there, below `data`; each stretch as it is written. Raises OSError.

        `moved` hears of each row's bytes.
        """
        pieces = [piece for stretch in batch for piece in stretch.pieces()]
        columns = (
            [one.path for one in pieces],
            [one.first for one in pieces],
            [one.length for one in pieces],
        )
        with self._connection.cursor() as cursor, cursor.copy(_READ, columns) as copy:
            rows = _rows(copy)
            for stretch in batch:
                handle = os.open(data / stretch.file.path, os.O_WRONLY)
                try:
                    for piece in stretch.pieces():
                        if (content := next(rows, None)) is None:
                            raise _wrong("less")
                        _write(handle, content, piece)
                        moved(piece.length)
                finally:
                    os.close(handle)
                yield stretch
            if next(rows, None) is not None:
                raise _wrong("more")


def _wrong(how: str) -> Permanent:
    return Permanent("source-wrong", f"The followed database sent {how} than it was asked for.")


def _rows(copy: Any) -> Iterator[bytes | memoryview]:
    """The one column of each row; a file that is gone or shorter gives less."""
    begun = False
    for message in copy:
        view = memoryview(message)
        if not begun:
            if bytes(view[: len(_SIGNATURE)]) != _SIGNATURE:
                raise Permanent("source-wrong", "The followed database speaks another copy format.")
            view, begun = view[len(_SIGNATURE) + 8 :], True
        while len(view) >= 2:
            if struct.unpack_from("!h", view)[0] < 0:
                break
            (length,) = struct.unpack_from("!i", view, 2)
            end = 6 + max(0, length)
            yield view[6:end]
            view = view[end:]


def _write(handle: int, content: bytes | memoryview, piece: Piece) -> None:
    """Never more than was asked for: what a source sends is not believed."""
    view, offset = memoryview(content)[: piece.length], piece.first
    while view:
        written = os.pwrite(handle, view, offset)
        view, offset = view[written:], offset + written
