"""Whether a part that runs also answers: a stopped or stuck process keeps its ports open."""

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from hanse.drivers.bucket.record import Record
from hanse.drivers.bucket.s3 import S3, Account
from hanse.drivers.bucket.service import INSIDE, Service
from hanse.drivers.identity import ProcessMark
from hanse.ports import Temporary

PATIENCE_SECONDS = 2.5
_MISSES = 2
"""So often in a row a part must be silent before it is called hung: one miss may be a busy machine."""
_ABSENT_KEY = ".hanse-nothing-is-here"
_GREETED = {"store": ("master_grpc", "volume_grpc", "filer_grpc")}
"""Ports at which a part shakes hands; a gateway has one, for HTTP."""


class Pulse:
    """Feels the parts of one driver's replicas, at each look; remembers how often each was silent."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._missed: dict[tuple[Path, str], tuple[ProcessMark, int]] = {}

    async def hung(self, service: Service, record: Record, parts: Sequence[str]) -> list[str]:
        """The running ones of these parts that were silent twice in a row, this time included.

        Takes twice the patience at most. A process that was started anew begins with no miss.
        """
        answers = await asyncio.gather(*(self._answers(service.work, record, part) for part in parts))
        silent = {part for part, answer in zip(parts, answers, strict=True) if not answer}
        if not silent and not await self._reads(record):
            silent.add("store")
        return [part for part in parts if self._counts(service, part, missed=part in silent)]

    async def still_hung(self, service: Service, record: Record, parts: Sequence[str]) -> list[str]:
        """Of those that the last looks called hung, the ones that are silent now, too."""
        if not any(
            place == service.work and count >= _MISSES for (place, _), (_, count) in self._missed.items()
        ):
            return []
        return await self.hung(service, record, parts)

    def _counts(self, service: Service, part: str, *, missed: bool) -> bool:
        place, mark = (service.work, part), service.running(part)
        if mark is None or not missed:
            self._missed.pop(place, None)
            return False
        known, count = self._missed.get(place, (mark, 0))
        count = count + 1 if known == mark else 1
        self._missed[place] = (mark, count)
        return count >= _MISSES

    async def _answers(self, work: Path, record: Record, part: str) -> bool:
        """Its own thread of control is alive: it shakes hands, or speaks HTTP."""
        context = _mutual(work) if part in _GREETED else None
        ports = _GREETED.get(part, (part,))
        answers = await asyncio.gather(*(self._greets(record.ports[port], context) for port in ports))
        return all(answers)

    async def _greets(self, port: int, context: ssl.SSLContext | None) -> bool:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                reader, writer = await asyncio.open_connection(
                    self._address, port, ssl=context, server_hostname="" if context else None
                )
                with closing(writer.transport):
                    if context is None:
                        writer.write(f"GET / HTTP/1.0\r\nHost: {self._address}:{port}\r\n\r\n".encode())
                        return bool(await reader.readline())
                    return True
        except ssl.SSLError:
            return True  # whatever it says, it says something
        except OSError:
            return False

    async def _reads(self, record: Record) -> bool:
        """The store's own gateway gets an answer from what is behind it."""
        account = Account((self._address, record.ports[INSIDE]), record.inner_access, record.inner_secret)

        def head() -> bool:
            with closing(S3(account, record.bucket, PATIENCE_SECONDS)) as service:
                try:
                    service.head(_ABSENT_KEY)
                except Temporary as error:
                    return error.code != "storage-silent"
            return True

        return await asyncio.to_thread(head)


def _mutual(work: Path) -> ssl.SSLContext:
    """As the store's own parts greet each other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.set_alpn_protocols(["h2"])
    with suppress(OSError):  # without its files it is still greeted, and must answer something
        context.load_verify_locations(work / "parts.crt")
        context.load_cert_chain(work / "parts.crt", work / "parts.key")
    return context
