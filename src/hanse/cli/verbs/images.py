"""`hanse image push | list | remove`."""

import hashlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from hanse.cli.finding import open_hub
from hanse.cli.show.table import moment, size, table
from hanse.cli.speaking import Json, make_app, say, say_json
from hanse.ports import IMAGE_MAX_BYTES, Permanent
from hanse.wire.problem import ApiProblem

if TYPE_CHECKING:
    from hanse.wire.api_client import ApiClient

BLOCK_BYTES = 1024 * 1024

commands = make_app("hanse")
image = make_app("image", "Container images in the hub, by digest.")
commands.command(image)


@image.command
def push(file: Path, *, json: Json = False) -> int:
    """Store an image in the hub: a tar of a root file system, or an OCI archive.

    The digest that it prints goes into the application file. Pushing it again does no harm.

    Examples: `hanse image push web.tar`, `hanse image push web.tar --json`

    Parameters
    ----------
    file:
        The archive (docs/images.md), 2 GiB at most.
    """
    with _opened(file) as archive, open_hub() as client:
        total = _size(file, archive)
        digest = _digest(archive, _teller("reading", total))
        stored = _known(client, digest)
        if stored is None:
            archive.seek(0)
            stored = client.upload(f"/v1/images/{digest}", archive, total, _teller("sending", total))
    if json:
        say_json(stored)
    else:
        say([f"{size(stored['size_bytes'])} in the hub. In the application file:", f"  image: {digest}"])
    return 0


@image.command(name="list")
def list_command(*, json: Json = False) -> int:
    """Images in the hub, and who uses them.

    Example: `hanse image list`
    """
    with open_hub() as client:
        found = client.get("/v1/images")
    if json:
        say_json(found)
        return 0
    rows = [
        (
            one["digest"],
            size(one["size_bytes"]),
            moment(one["stored_at"]),
            ", ".join(one["used_by"]) or "nobody",
        )
        for one in found["images"]
    ]
    if rows:
        say(table(("digest", "size", "stored (UTC)", "used by"), rows, right=[1]))
    say(f"{len(rows)} images, {size(found['used_bytes'])} of {size(found['quota_bytes'])}")
    return 0


@image.command
def remove(digest: str, *, json: Json = False) -> int:
    """Forget an image that nobody uses.

    Example: `hanse image remove sha256:…`

    Parameters
    ----------
    digest:
        As `hanse image list` shows it.
    """
    with open_hub() as client:
        gone = client.send("DELETE", f"/v1/images/{_quoted(digest)}")
    if json:
        say_json(gone)
    else:
        say(f"{digest} is no longer in the hub.")
    return 0


def _opened(file: Path) -> BinaryIO:
    try:
        if not file.is_file():
            what = "is not a regular file" if file.exists() else "is not there"
            raise Permanent("file-unreadable", f"{file} {what}. Name a tar or OCI archive.")
        return file.open("rb")
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise Permanent("file-unreadable", f"{file} cannot be read: {why}. Check its name.") from error


def _size(file: Path, archive: BinaryIO) -> int:
    total = archive.seek(0, 2)
    archive.seek(0)
    if total == 0:
        raise Permanent("image-empty", f"{file} is empty. Name a tar or OCI archive.")
    if total > IMAGE_MAX_BYTES:
        raise Permanent(
            "image-too-large",
            f"{file} has {total:,} bytes; an image may have {IMAGE_MAX_BYTES:,}. Make it smaller.",
        )
    return total


def _digest(archive: BinaryIO, tell: Callable[[int], None]) -> str:
    found, done = hashlib.sha256(), 0
    while block := archive.read(BLOCK_BYTES):
        found.update(block)
        done += len(block)
        tell(done)
    return f"sha256:{found.hexdigest()}"


def _known(client: "ApiClient", digest: str) -> dict[str, Any] | None:
    try:
        return client.get(f"/v1/images/{digest}")
    except ApiProblem as problem:
        if problem.code != "image-missing":
            raise
        return None


def _teller(what: str, total: int) -> Callable[[int], None]:
    """Shows progress on a terminal; silent elsewhere, and for what is quick."""
    began = shown = time.monotonic()

    def tell(done: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if not sys.stderr.isatty():
            return
        if done >= total:
            sys.stderr.write("\r\x1b[K")
        elif now - shown > 0.2:
            shown = now
            left = (now - began) * (total - done) / done
            sys.stderr.write(f"\r\x1b[K{what}: {size(done)} of {size(total)}, {left:.0f} s left")
        sys.stderr.flush()

    return tell


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe=":")
