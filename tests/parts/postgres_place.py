"""Database replicas at sites, as agents would hold them, and what is left of them."""

from contextlib import suppress
from pathlib import Path


def leftovers(directory: Path) -> list[str]:
    """Files, processes of their users, and processes that name them."""
    here = [str(one) for one in directory.iterdir()] if directory.exists() else []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str(directory) in str((place / "cwd").readlink()):
                here.append((place / "cmdline").read_text(errors="replace"))
    return here
