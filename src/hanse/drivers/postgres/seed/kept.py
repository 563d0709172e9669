"""What earlier, cut attempts of a copy have left here that is still good."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hanse.drivers.postgres.seed.listing import File
from hanse.drivers.postgres.seed.stretch import Stretch

_DOUBT_SECONDS = 2
"""The source tells whole seconds: a file read this soon after its last change may have changed again."""

_BEGUN = 4
"""Words of a line that tells of a file; lines of stretches have three."""


@dataclass(frozen=True, slots=True)
class _Read:
    size: int
    modified: int
    read_at: float


class Kept:
    """A list on disk of what was begun and what of it is here; a damaged end is left out.

    What was copied counts only while this machine stays up: after a power cut a file may have its
    length but not its bytes.
    """

    def __init__(self, path: Path, system: int) -> None:
        self._path = path
        self._head = {"system": system, "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip()}
        self._read: dict[str, _Read] = {}
        self._here: dict[str, dict[int, int]] = {}
        if not self._load():
            path.write_text(json.dumps(self._head) + "\n")
            path.chmod(0o600)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to go on from."""
        return not self._read

    def missing(self, file: File, local: Path) -> list[Stretch] | None:
        """What the local file lacks of the source's as it is now; None if nothing of it is good."""
        before = self._read.get(file.path)
        if before is None or (before.size, before.modified) != (file.size, file.modified):
            return None
        if before.modified + _DOUBT_SECONDS >= before.read_at or not local.exists():
            return None
        gaps, good = [], 0
        for first, end in [*sorted(self._here[file.path].items()), (file.size, file.size)]:
            if first > good:
                gaps.append(Stretch(file, good, first))
            good = max(good, end)
        return gaps

    def begin(self, files: Iterable[File], read_at: float) -> None:
        """These are read from their start from now on (`read_at`: seconds of the source's clock)."""
        self._append([[file.path, file.size, file.modified, read_at] for file in files])

    def add(self, stretches: Iterable[Stretch]) -> None:
        """These are here now."""
        self._append([[one.file.path, one.first, one.end] for one in stretches])

    def _append(self, lines: list[list[Any]]) -> None:
        for line in lines:
            self._hear(line)
        with self._path.open("a") as out:
            out.writelines(json.dumps(line) + "\n" for line in lines)

    def _hear(self, line: list[Any]) -> None:
        """A line of the list. Raises KeyError, TypeError or ValueError if it is none."""
        if len(line) == _BEGUN:
            path, size, modified, read_at = line
            self._read[path] = _Read(size, modified, read_at)
            self._here[path] = {}
        else:
            path, first, end = line
            self._here[path][first] = end

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
                self._hear(json.loads(line))
            except (KeyError, TypeError, ValueError):
                break
            good += len(line)
        os.truncate(self._path, good)
        return True
