"""What earlier, cut attempts of a copy have left here that is still good."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from hanse.drivers.postgres.seed.listing import File

_DOUBT_SECONDS = 2
"""The source tells whole seconds: a file read this soon after its last change may have changed again."""


@dataclass(frozen=True, slots=True)
class _Read:
    size: int
    modified: int
    read_at: float


class Kept:
    """A list on disk of what was begun, in the order it was begun; a damaged end is left out.

    What was copied counts only while this machine stays up: after a power cut a file may have its
    length but not its bytes.
    """

    def __init__(self, path: Path, system: int) -> None:
        self._path = path
        self._head = {"system": system, "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip()}
        self._read: dict[str, _Read] = {}
        if not self._load():
            path.write_text(json.dumps(self._head) + "\n")
            path.chmod(0o600)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to go on from."""
        return not self._read

    def good_bytes(self, file: File, local: Path) -> int:
        """How many bytes from the start of the local file are those of the source's file as it is now."""
        before = self._read.get(file.path)
        if before is None or (before.size, before.modified) != (file.size, file.modified):
            return 0
        if before.modified + _DOUBT_SECONDS >= before.read_at:
            return 0
        try:
            return min(local.stat().st_size, file.size)
        except FileNotFoundError:
            return 0

    def begin(self, files: list[File], read_at: float) -> None:
        """These are read from their start from now on (`read_at`: seconds of the source's clock)."""
        with self._path.open("a") as out:
            for file in files:
                self._read[file.path] = _Read(file.size, file.modified, read_at)
                out.write(json.dumps([file.path, file.size, file.modified, read_at]) + "\n")

    def _load(self) -> bool:
        try:
            lines = self._path.read_bytes().splitlines(keepends=True)
            if not lines or json.loads(lines[0]) != self._head:
                return False
        except (OSError, ValueError):
            return False
        good = len(lines[0])
        for line in lines[1:]:
            try:
                path, size, modified, read_at = json.loads(line)
            except ValueError:
                break
            self._read[path] = _Read(size, modified, read_at)
            good += len(line)
        os.truncate(self._path, good)
        return True
