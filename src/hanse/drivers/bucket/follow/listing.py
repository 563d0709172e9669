"""Listings of both sides at once, into the comparison."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, Full, Queue

from hanse.drivers.bucket.failure import source_unreachable
from hanse.drivers.bucket.follow.brake import Brake
from hanse.drivers.bucket.follow.content import Content
from hanse.drivers.bucket.s3 import Account, Listed
from hanse.ports import Permanent, Temporary

SILENT_SECONDS = 20.0
"""A source that sends nothing for so long is silent."""
_OWN_SECONDS = 60.0

Pages = Queue[tuple[str, list[Listed]]]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two that are compared. `site`: of the source, empty for the own store."""

    account: Account
    site: str = ""


def list_sides(content: Content, sides: dict[str, Side], bucket: str, brake: Brake) -> None:
    """List at once all that is asked for; pages wait in a short queue, so memory stays bounded.

    Blocking. Raises Temporary(`source-unreachable`, `storage-silent`), Permanent(`source-refuses`), Stopped.
    """
    pages: Pages = Queue(maxsize=4)
    threads = ThreadPoolExecutor(len(sides))
    for table in sides:
        content.clear(table)
    running = [threads.submit(_produce, table, side, bucket, (pages, brake)) for table, side in sides.items()]
    try:
        _consume(content, running, pages, brake)
    except BaseException:
        brake.pull()
        raise
    finally:
        threads.shutdown(wait=False)  # one that still connects to a silent source ends by itself


def _consume(content: Content, running: list[Future[None]], pages: Pages, brake: Brake) -> None:
    while True:
        brake.check()
        ended = [one for one in running if one.done()]
        for one in ended:
            one.result()
        try:
            content.add(*pages.get(timeout=0.05))
        except Empty:
            if len(ended) == len(running):
                return


def _produce(table: str, side: Side, bucket: str, way: tuple[Pages, Brake]) -> None:
    pages, brake = way
    patience = SILENT_SECONDS if side.site else _OWN_SECONDS
    with brake.line(side.account, bucket, patience) as service:
        try:
            for page in service.pages():
                _put(pages, (table, page), brake)
        except Permanent as error:
            if not side.site:
                raise
            raise Permanent(
                "source-refuses", f"The source does not let this follower read: {error.message}", error.detail
            ) from error
        except Temporary as error:
            brake.check()
            if not side.site:
                raise
            raise source_unreachable(side.site, side.account.address, error.message) from error


def _put(pages: Pages, item: tuple[str, list[Listed]], brake: Brake) -> None:
    while True:
        brake.check()
        try:
            return pages.put(item, timeout=0.2)
        except Full:
            continue
