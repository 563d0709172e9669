"""Programs that the driver runs: bounded in time and output, never a shell."""

import asyncio
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hanse.ports import Permanent, Temporary

_OUTPUT_LIMIT_BYTES = 1024 * 1024
_PATIENCE_SECONDS = 5.0
_REMOVALS = 6
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended, with the last MiB of what it wrote."""

    code: int
    output: str
    complaint: str

    @property
    def last_line(self) -> str:
        """The last thing that it complained about."""
        lines = [line.strip() for line in self.complaint.splitlines() if line.strip()]
        return lines[-1] if lines else f"exit code {self.code}"


async def run(
    *argv: str,
    timeout_seconds: float = 60.0,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Finished:
    """Run to the end, in `directory`, which a part that stays behind may write to.

    Output goes through files, so that such a part cannot hold us up.

    Raises Permanent(`program-missing`) if it is not installed, Temporary(`program-slow`) after the timeout.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaint:
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=complaint,
                env={"PATH": program_path(), "LC_ALL": "C.UTF-8", **(environment or {})},
                cwd=directory,
            )
        except FileNotFoundError:
            raise Permanent(
                "program-missing",
                f"{argv[0]} is not installed at this site; `hanse doctor` names the command",
            ) from None
        try:
            async with asyncio.timeout(timeout_seconds):
                code = await process.wait()
        except TimeoutError:
            await _end(process)
            words = " ".join(argv[:1])
            raise Temporary(
                "program-slow", f"{words} took longer than {timeout_seconds:.0f} s", 5.0
            ) from None
        except asyncio.CancelledError:
            await _end(process)
            raise
        return Finished(code, _tail(output), _tail(complaint))


async def remove_tree(*trees: Path) -> None:
    """Remove directories however deep a hostile program made them, never crossing into a mount.

    A container that was just ended may still have its monitor write a last file; that passes.
    """
    for attempt in range(_REMOVALS):
        finished = await run("rm", "-rf", "--one-file-system", *map(str, trees), timeout_seconds=300)
        if not finished.code:
            return
        await asyncio.sleep(0.2 * (attempt + 1))
    raise Temporary("not-removed", f"files could not be removed: {finished.last_line}", 5.0)


async def disk_bytes(*paths: Path) -> int:
    """Blocks that files and trees take on disk, in bytes; 0 for what is not there."""
    there = [str(path) for path in paths if path.exists()]
    if not there:
        return 0
    told = await run("du", "-sxc", "-B1", *there, timeout_seconds=120)
    return int(told.output.splitlines()[-1].split()[0]) if told.output.strip() else 0


def program_path() -> str:
    """Where programs are looked for: the agent's own path and the system's."""
    return f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}".lstrip(":")


async def _end(process: asyncio.subprocess.Process) -> None:
    """SIGTERM lets an engine leave its critical section; SIGKILL follows."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _tail(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _OUTPUT_LIMIT_BYTES))
    return file.read().decode("utf-8", "replace")
