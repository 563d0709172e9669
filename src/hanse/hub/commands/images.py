"""Images: stored by digest in a directory, remembered in the store, within a quota."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from hanse.hub.context import Hub
from hanse.hub.records import ApplicationRecord, ImageRecord, Stored, load, load_all, save
from hanse.hub.spec import spec_of
from hanse.model.replica.spec import ContainerSpec
from hanse.model.shape import Digest, Moment, Shape
from hanse.ports import Permanent

QUOTA_BYTES = 20 * 1024**3
RECEIVING = ".receiving-"
"""What the names of files begin with that are not whole yet."""
_REMOVING = ".removing-"


class Image(Shape):
    """A stored image, and which running applications use it."""

    digest: Digest
    size_bytes: int
    stored_at: Moment
    used_by: tuple[str, ...] = ()
    """`application/component`."""


class Images(Shape):
    """All of them, by digest."""

    images: tuple[Image, ...]
    used_bytes: int
    quota_bytes: int = QUOTA_BYTES


def image_file(hub: Hub, digest: str) -> Path:
    """Where the bytes of an image lie."""
    return hub.images / digest.removeprefix("sha256:")


def room_for_images(hub: Hub) -> int:
    """Bytes that may still be stored."""
    with hub.look() as tx:
        return QUOTA_BYTES - sum(each.value.size_bytes for each in load_all(tx, "image", ImageRecord))


def store_image(hub: Hub, digest: str, received: Path) -> Image:
    """Take a received file, whose digest was checked, under its name. Raises Permanent(`quota-full`)."""
    size = received.stat().st_size
    with hub.change() as change:
        old = load(change.tx, "image", digest, ImageRecord)
        used = sum(each.value.size_bytes for each in load_all(change.tx, "image", ImageRecord))
        if old is None and used + size > QUOTA_BYTES:
            raise quota_full(size)
        record = old.value if old else ImageRecord(digest=digest, size_bytes=size, stored_at=change.now)
        save(change.tx, "image", digest, record, expect=old.version if old else 0)
        change.note("image-stored", f"image/{digest}/", size_bytes=size)
        received.replace(image_file(hub, digest))
    return Image(**record.model_dump())


def remove_image(hub: Hub, digest: str) -> Image:
    """Forget an image. Raises Permanent(`image-missing`, `image-in-use`).

    Its bytes are put aside while nobody else writes, so that the same image, pushed again before they are
    erased, lies under its name untouched.
    """
    file = image_file(hub, digest)
    aside = file.with_name(_REMOVING + file.name)
    with hub.change() as change:
        stored = load(change.tx, "image", digest, ImageRecord)
        if stored is None:
            raise missing(digest)
        users = _users(load_all(change.tx, "application", ApplicationRecord)).get(digest, [])
        if users:
            raise Permanent(
                "image-in-use", f"Image {digest} is used by {', '.join(users)}; retire or change that first."
            )
        change.tx.delete("image", digest, expect=stored.version)
        change.note("image-removed", f"image/{digest}/")
        with contextlib.suppress(FileNotFoundError):
            file.rename(aside)
    aside.unlink(missing_ok=True)
    return Image(**stored.value.model_dump())


def tidy_images(hub: Hub) -> None:
    """At a start, before anybody asks: of what a kill interrupted, keep what the store knows, whole."""
    for left in hub.images.glob(f"{RECEIVING}*"):
        left.unlink(missing_ok=True)
    for aside in hub.images.glob(f"{_REMOVING}*"):
        aside.rename(aside.with_name(aside.name.removeprefix(_REMOVING)))
    with hub.look() as tx:
        known = {image_file(hub, each.key).name for each in load_all(tx, "image", ImageRecord)}
    for file in hub.images.iterdir():
        if file.name not in known:
            file.unlink(missing_ok=True)


def list_images(hub: Hub) -> Images:
    """Every image."""
    with hub.look() as tx:
        stored = load_all(tx, "image", ImageRecord)
        users = _users(load_all(tx, "application", ApplicationRecord))
    images = tuple(
        Image(**each.value.model_dump(), used_by=tuple(users.get(each.key, ()))) for each in stored
    )
    return Images(images=images, used_bytes=sum(each.size_bytes for each in images))


def find_image(hub: Hub, digest: str) -> Image:
    """One image. Raises Permanent(`image-missing`)."""
    for image in list_images(hub).images:
        if image.digest == digest:
            return image
    raise missing(digest)


def missing(digest: str) -> Permanent:
    """Nobody stored this."""
    return Permanent(
        "image-missing", f"Image {digest} is not in the hub. Push it first: `hanse image push FILE`."
    )


def quota_full(size: int) -> Permanent:
    """No room for so many bytes."""
    return Permanent(
        "quota-full",
        f"This image has {size:,} bytes, and the hub keeps {QUOTA_BYTES:,} bytes of images at most. "
        "Remove one that is not used: `hanse image list`, `hanse image remove DIGEST`.",
    )


def _users(applications: Sequence[Stored[ApplicationRecord]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for stored in applications:
        if stored.state in ("declined", "ended"):
            continue
        record = stored.value
        for component in record.components:
            spec = spec_of(record.application, component)
            if isinstance(spec, ContainerSpec):
                found.setdefault(spec.image, []).append(f"{record.name}/{component}")
    return found
