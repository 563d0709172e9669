"""Own uploads in parts and a source that shows them whole: compared by content, on this side alone."""

import hashlib
from collections.abc import Callable

from hanse.drivers.bucket.follow.brake import Brake
from hanse.drivers.bucket.follow.content import Content
from hanse.drivers.bucket.s3 import Account


def prove_own(
    content: Content, own: Account, bucket: str, brake: Brake, tell: Callable[[int, int], None]
) -> None:
    """Own uploads in parts that the source shows whole are read here, not copied over again.

    `tell` hears how many bytes of how many were read. Blocking. Raises Temporary(`storage-silent`), Stopped.
    """
    unproven = list(content.unproven())
    whole, done = sum(size for _, size, _ in unproven), 0
    with brake.line(own, bucket) as service:
        for key, _, etag in unproven:
            digest = hashlib.md5(usedforsecurity=False)
            for block in service.blocks(key):
                brake.check()
                digest.update(block)
                done += len(block)
                tell(done, whole)
            if digest.hexdigest() == etag:
                content.prove(key)
