"""PostgreSQL's own programs: found, run, listened to."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence

from hanse.cli.verbs.psql import DEBIAN_PROGRAMS
from hanse.ports import Permanent

LOOK_SECONDS = 2.0
_LAST_WORDS = 5
_WORDS_MAX = 20_000


def find(name: str) -> str:
    """The newest of its kind on this machine. Raises Permanent(`program-missing`)."""
    versions = sorted(DEBIAN_PROGRAMS.glob(f"*/bin/{name}"), key=lambda path: path.parts[-3].zfill(4))
    found = str(versions[-1]) if versions else shutil.which(name)
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
    meanwhile: Callable[[], None] = lambda: None,
) -> str:
    """What a program prints; `meanwhile` is called every two seconds. Ctrl-C ends the program, too.

    Raises Permanent(`program-failed`) with its last words.
    """
    with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, env=dict(environment), stdout=printed, stderr=said)
        try:
            while not _ended(process):
                meanwhile()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        if process.returncode:
            said.seek(0)
            words = " ".join(line.strip() for line in said.read(_WORDS_MAX).splitlines()[-_LAST_WORDS:])
            raise Permanent("program-failed", f"{what} did not work: {words or 'no reason was given'}")
        printed.seek(0)
        return printed.read()


def _ended(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True
