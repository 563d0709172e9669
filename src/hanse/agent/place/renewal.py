"""The site's way into the hub, a certificate that ends: renewed by itself before it does."""

import logging
from datetime import datetime
from pathlib import Path
from typing import Protocol

from hanse.ports import Clock, Permanent, Temporary
from hanse.trust.authority import due_for_renewal, expires_at
from hanse.trust.keys import thumbprint_of_pem, write_private

LOOK_SECONDS = 86_400.0
AGAIN_SECONDS = 3_600.0
LAPSED_SECONDS = 60.0
"""How soon a new file is noticed once the certificate has ended: only a person can bring one."""
_log = logging.getLogger(__name__)


class HubLine(Protocol):
    """The line to the hub that the certificate opens."""

    async def certificate(self) -> str:
        """A new one over the own key (PEM), for the present one. Raises Temporary, Permanent."""
        ...

    def reload(self) -> None:
        """Show from now on what the file holds. Raises OSError."""
        ...


class HubCertificate:
    """`file`, with a certificate by the hub's authority over the key with this thumbprint."""

    def __init__(self, file: Path, thumbprint: str, line: HubLine) -> None:
        self._file = file
        self._thumbprint = thumbprint
        self._line = line
        self._ended: str | None = None
        """The file as it was when it was found to have ended."""

    async def keep(self, clock: Clock) -> None:
        """Renew it, now and daily, once a third of its time is left. Never returns."""
        while True:
            await clock.sleep(await self._look(clock.now()))

    async def _look(self, now: datetime) -> float:
        """Seconds until the next look. The old one stays until a better one is on disk."""
        try:
            before = self._file.read_text(errors="replace")
            if expires_at(before) <= now:
                return self._tell_ended(before)
            if self._ended is not None:
                self._ended = None
                self._line.reload()
            if due_for_renewal(before, now):
                after = await self._line.certificate()
                self._check(before, after)
                write_private(self._file, after.encode())
                self._line.reload()
                _log.info("the certificate for the hub was renewed; it ends at %s", expires_at(after))
        except (Temporary, Permanent) as error:
            _log.warning("the certificate for the hub is not renewed yet: %s", error.message)
            return AGAIN_SECONDS
        except OSError as error:
            _log.warning("the certificate for the hub, %s, is not renewed yet: %s", self._file, error)
            return AGAIN_SECONDS
        return LOOK_SECONDS

    def _tell_ended(self, certificate_pem: str) -> float:
        """Once: nobody but a person can bring a new one."""
        if self._ended != certificate_pem:
            self._ended = certificate_pem
            _log.error(
                "the certificate for the hub ended at %s, so the hub lets this site in no more; what runs "
                "here goes on. The hub's operator says `hanse invite PROVIDER/SITE --again`, then here: "
                "`hanse site join - --again --dir %s`",
                expires_at(certificate_pem),
                self._file.parent,
            )
        return LAPSED_SECONDS

    def _check(self, before: str, after: str) -> None:
        """Raises Permanent(`certificate-wrong`, `certificate-unreadable`, `key-unreadable`)."""
        if thumbprint_of_pem(after) != self._thumbprint or expires_at(after) <= expires_at(before):
            raise Permanent(
                "certificate-wrong",
                "the hub sent a certificate that is over another key, or ends no later than the present one;"
                " the present one stays. Tell the hub's operator.",
            )
