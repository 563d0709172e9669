"""Routes for images: streamed to the disk, checked against their digest, never held in memory."""

import errno
import hashlib
import os
import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from hanse.api.access import Face, TheFace
from hanse.api.replies import show
from hanse.hub.commands.images import (
    RECEIVING,
    Image,
    Images,
    find_image,
    list_images,
    quota_full,
    remove_image,
    room_for_images,
    store_image,
)
from hanse.ports import IMAGE_MAX_BYTES, Permanent

routes = APIRouter()
BLOCK_BYTES = 1024 * 1024
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@routes.get("/v1/images", response_model=Images)
def images(request: Request, face: TheFace) -> Response:
    """Every image, its size and who uses it."""
    return show(request, list_images(face.hub))


@routes.get("/v1/images/{digest}", response_model=Image)
def image(request: Request, face: TheFace, digest: str) -> Response:
    """One image's size and users."""
    return show(request, find_image(face.hub, digest))


@routes.delete("/v1/images/{digest}")
def delete(face: TheFace, digest: str) -> Image:
    """Forget an image that nobody uses."""
    return remove_image(face.hub, digest)


@routes.put("/v1/images/{digest}", status_code=201)
async def put(request: Request, face: TheFace, digest: str) -> Image:
    """Store an image: the body is its bytes. Storing it again does no harm."""
    if not _DIGEST.fullmatch(digest):
        raise Permanent("digest-malformed", f"{digest!r} is no digest: `sha256:` and 64 hexadecimal digits.")
    await run_in_threadpool(_check_announced, face, request.headers.get("content-length", ""))
    handle, name = tempfile.mkstemp(dir=face.hub.images, prefix=RECEIVING)
    received = Path(name)
    try:
        found = await _receive(request.stream(), handle)
        if found != digest:
            raise Permanent(
                "digest-wrong", f"The bytes that arrived have the digest {found}, not {digest}; push again."
            )
        return await run_in_threadpool(store_image, face.hub, digest, received)
    finally:
        await run_in_threadpool(received.unlink, missing_ok=True)


def _check_announced(face: Face, announced: str) -> None:
    size = int(announced) if announced.isdigit() else 0
    if size > IMAGE_MAX_BYTES:
        raise _too_large()
    if size > room_for_images(face.hub):
        raise quota_full(size)


async def _receive(chunks: AsyncIterator[bytes], handle: int) -> str:
    """Write everything, durably; the digest of it. Raises Permanent(`image-too-large`, `hub-disk-full`)."""
    found, size, block = hashlib.sha256(), 0, bytearray()
    with os.fdopen(handle, "wb", buffering=0) as file:

        def flush(*, last: bool = False) -> None:
            found.update(block)
            file.write(block)
            block.clear()
            if last:
                os.fsync(file.fileno())

        try:
            async for chunk in chunks:
                size += len(chunk)
                if size > IMAGE_MAX_BYTES:
                    raise _too_large()
                block += chunk
                if len(block) >= BLOCK_BYTES:
                    await run_in_threadpool(flush)
            await run_in_threadpool(flush, last=True)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise Permanent(
                "hub-disk-full", "The hub has no disk left for this image. Free some, then push it again."
            ) from error
    return f"sha256:{found.hexdigest()}"


def _too_large() -> Permanent:
    return Permanent(
        "image-too-large", f"An image may have {IMAGE_MAX_BYTES:,} bytes at most; make this one smaller."
    )
