"""PostgreSQL's own programs: found, run, listened to."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from hanse.cli.verbs.psql import DEBIAN_PROGRAMS
from hanse.ports import Permanent

LOOK_SECONDS = 2.0
_LAST_WORDS = 3
_WORDS_MAX = 600
_END_SECONDS = 10.0


def find(name: str, major: int | None = None) -> str:
    """That of a server's version if it is on this machine, else the newest. Raises `program-missing`.

    A newer one may say what an older server does not understand.
    """
    installed = DEBIAN_PROGRAMS.glob(f"*/bin/{name}")
    versions = {float(path.parts[-3]): path for path in installed}
    fits = versions.get(major or 0) or (versions[max(versions)] if versions else None)
    found = str(fits) if fits else shutil.which(name)
    if found is None:
        raise Permanent(
            "program-missing",
            f"{name} is not on this machine. On Debian or Ubuntu: `apt-get install postgresql-client`.",
        )
    return found


def run(
    what: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    printed: IO[bytes],
    read: IO[bytes] | None = None,
    handed: Sequence[IO[bytes]] = (),
    meanwhile: Callable[[], None] = lambda: None,
    otherwise: str = "",
) -> None:
    """A program to its end, which comes at the latest with this process's own, also by a kill.

    `printed` gets its standard output, `read` is its standard input, `handed` are open in it; `meanwhile` is
    called every two seconds. Raises Permanent(`program-failed`) with its last words, and with `otherwise`:
    how things stand then.
    """
    with os.fdopen(os.memfd_create("said"), "w+b") as said:  # not on a disk: that may be what is full
        process = subprocess.Popen(
            [*_mortal(), *command],
            env=dict(environment),
            stdin=read or subprocess.DEVNULL,
            stdout=printed,
            stderr=said,
            pass_fds=[file.fileno() for file in handed],
        )
        try:
            while not _ended(process):
                meanwhile()
        finally:
            _end(process)
        if process.returncode:
            words = _last_words(said) or f"it ended with {process.returncode}"
            raise Permanent("program-failed", f"{what} did not work: {words}. {otherwise}".strip())


def _mortal() -> list[str]:
    """So that no copy of anybody's data goes on when this process is killed."""
    program = shutil.which("setpriv")
    return [program, "--pdeathsig", "TERM", "--"] if program else []


def _ended(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _last_words(said: IO[bytes]) -> str:
    said.seek(0)
    lines = [line.strip() for line in said.read().decode(errors="replace").splitlines() if line.strip()]
    return " ".join(lines[-_LAST_WORDS:]).rstrip(".")[-_WORDS_MAX:]


class Told:
    """How big a growing file is, every two seconds."""

    def __init__(self, tell: Callable[[str], None], words: str) -> None:
        self._tell, self._words, self._began = tell, words, time.monotonic()

    def size(self, file: IO[bytes]) -> None:
        """`WORDS: 12.3 MiB so far, 4 s`."""
        size = Path(f"/dev/fd/{file.fileno()}").stat().st_size
        self._tell(f"{self._words}: {size / (1024 * 1024):,.1f} MiB so far, {self._seconds():.0f} s")

    def time(self) -> None:
        """`WORDS: 4 s so far`."""
        self._tell(f"{self._words}: {self._seconds():.0f} s so far")

    def _seconds(self) -> float:
        return time.monotonic() - self._began
