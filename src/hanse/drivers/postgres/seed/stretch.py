"""How a copy is cut up: stretches of files, in batches that one connection reads at a time."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from hanse.drivers.postgres.seed.listing import File

CHUNK = 128 * 1024
"""Bytes of a row; larger ones cost more time in copying memory than they save."""
STRETCH_BYTES = 4 * 1024 * 1024
"""So much is noted at once; a cut costs up to twice this for each connection."""
_BATCH_BYTES = 32 * 1024 * 1024
_BATCH_CHUNKS = 2000


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a file, read in one row."""

    path: str
    first: int
    length: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """The bytes of a file from `first` up to, and without, `end`."""

    file: File
    first: int
    end: int

    @property
    def length(self) -> int:
        """Bytes; an empty file is a stretch of none."""
        return self.end - self.first

    @property
    def is_last(self) -> bool:
        """Whether the file ends with it."""
        return self.end == self.file.size

    def pieces(self) -> Iterator[Piece]:
        """Its rows, in order."""
        for first in range(self.first, self.end, CHUNK):
            yield Piece(self.file.path, first, min(CHUNK, self.end - first))


def whole(file: File) -> Stretch:
    """All of a file."""
    return Stretch(file, 0, file.size)


def batches(plan: Sequence[Stretch]) -> Iterator[list[Stretch]]:
    """All that is planned, in order, cut into stretches of at most STRETCH_BYTES.

    The last batches are small: who finds none left does not wait long for the others.
    """
    batch: list[Stretch] = []
    size = chunks = 0
    left = sum(one.length for one in plan)
    for stretch in _cut(plan):
        batch.append(stretch)
        size += stretch.length
        left -= stretch.length
        chunks += 1 + stretch.length // CHUNK
        if size >= min(_BATCH_BYTES, max(STRETCH_BYTES, left // 4)) or chunks >= _BATCH_CHUNKS:
            yield batch
            batch, size, chunks = [], 0, 0
    if batch:
        yield batch


def _cut(plan: Iterable[Stretch]) -> Iterator[Stretch]:
    for one in plan:
        for first in range(one.first, max(one.end, one.first + 1), STRETCH_BYTES):
            yield Stretch(one.file, first, min(one.end, first + STRETCH_BYTES))
