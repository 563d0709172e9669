"""What an image file is, by its content, and whether it may be given to the engine at all.

Read as a stream, in one pass, with bounded memory: nothing of it is written anywhere. Layers inside
an OCI or docker archive are read with the same eyes.
"""

import lzma
import subprocess
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from hanse.drivers.container.process import program_path

_ENTRIES = 2_000_000
_NAME_BYTES = 4096
_ZSTD = b"\x28\xb5\x2f\xfd"
_TELLING = {"oci-layout", "index.json", "manifest.json"}


@dataclass(frozen=True, slots=True)
class Archive:
    """A file that may be given to the engine."""

    form: str
    """`rootfs`, `oci` or `docker`."""
    unpacked_bytes: int


@dataclass(slots=True)
class _Reading:
    limit_bytes: int
    entries: int = 0
    unpacked_bytes: int = 0
    top: set[str] = field(default_factory=set)


class UnusableError(Exception):
    """Why an image cannot be used, in words that complete `image X cannot be used: …`."""

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.detail = detail


def judge(file: Path, limit_bytes: int) -> Archive:
    """Read a file once from front to end.

    Raises UnusableError for what is no archive, is cut off, holds names that leave its root, or would
    unpack to more than `limit_bytes`.
    """
    reading = _Reading(limit_bytes)
    try:
        with _opened(file) as stream:
            _read(stream, reading, nested=False)
    except (
        tarfile.TarError,
        EOFError,
        OSError,
        ValueError,
        OverflowError,
        zlib.error,
        lzma.LZMAError,
    ) as error:
        raise UnusableError(f"it is not a whole tar archive ({_first_words(error)})") from None
    if reading.entries == 0:
        raise UnusableError("the archive is empty")
    return Archive(_form(reading.top), reading.unpacked_bytes)


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    with file.open("rb") as raw:
        packed_by_zstd = raw.read(4) == _ZSTD
        raw.seek(0)
        if not packed_by_zstd:
            yield raw
            return
        try:
            process = subprocess.Popen(
                ["zstd", "-dcq"], stdin=raw, stdout=subprocess.PIPE, env={"PATH": program_path()}
            )
        except FileNotFoundError:
            raise UnusableError(
                "it is packed with zstd, which this site lacks (apt-get install zstd)"
            ) from None
        try:
            assert process.stdout is not None  # noqa: S101 - it was asked for
            yield process.stdout
        finally:
            process.kill()
            process.communicate()


def _read(stream: IO[bytes], reading: _Reading, *, nested: bool) -> None:
    with tarfile.open(fileobj=stream, mode="r|*") as archive:
        for member in archive:
            _check(member, reading)
            if not nested and (name := str(PurePosixPath(member.name))) in _TELLING:
                reading.top.add(name)
            if member.isfile():
                _read_content(archive, member, reading, nested=nested)
            # Else it remembers every entry of a large archive.
            archive.members = []  # type: ignore[attr-defined]


def _read_content(
    archive: tarfile.TarFile, member: tarfile.TarInfo, reading: _Reading, *, nested: bool
) -> None:
    """Look into a layer; anything else is only counted."""
    if nested or not _may_be_layer(member.name):
        return
    content = archive.extractfile(member)
    if content is None:
        return
    try:
        _read(content, reading, nested=True)
    except tarfile.ReadError:
        return  # not a layer but a description; the engine checks each one's digest


def _check(member: tarfile.TarInfo, reading: _Reading) -> None:
    reading.entries += 1
    if reading.entries > _ENTRIES:
        raise UnusableError(f"it holds more than {_ENTRIES:,} files")
    if len(member.name.encode("utf-8", "surrogateescape")) > _NAME_BYTES:
        raise UnusableError(f"a name in it is longer than {_NAME_BYTES} bytes")
    _check_name(member.name)
    if member.islnk():
        _check_name(member.linkname)
    if member.size < 0:
        raise UnusableError(f"the size of {member.name!r} in it is negative")
    reading.unpacked_bytes += member.size
    if reading.unpacked_bytes > reading.limit_bytes:
        raise UnusableError(f"it would unpack to more than {reading.limit_bytes / 2**30:.1f} GiB")


def _check_name(name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute():
        raise UnusableError(f"it holds the absolute name {name!r}")
    if ".." in path.parts:
        raise UnusableError(f"the name {name!r} in it leaves the archive")


def _may_be_layer(name: str) -> bool:
    path = PurePosixPath(name)
    return path.parts[:1] == ("blobs",) or path.name.endswith(("layer.tar", ".tar"))


def _form(top: set[str]) -> str:
    if {"oci-layout", "index.json"} <= top:
        return "oci"
    return "docker" if "manifest.json" in top else "rootfs"


def _first_words(error: Exception) -> str:
    return str(error).partition("\n")[0][:80] or type(error).__name__
