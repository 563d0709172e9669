"""The join token: where the hub is, which key it must show, and a secret that is used once."""

import base64
import binascii
import json
import re
from dataclasses import dataclass

from hanse.ports import Permanent

_PREFIX = "hanse1."
_LIMIT_CHARS = 2048


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a site needs for its first words with a hub that it has never met."""

    url: str
    """`https://address:port`."""
    hub_thumbprint: str
    """The hub's key; the first connection is refused unless the hub shows it."""
    secret: str
    """Known to hub and invited site only; the hub keeps its digest and takes it once."""

    def encode(self) -> str:
        """One word that a person can copy."""
        text = json.dumps([self.url, self.hub_thumbprint, self.secret], separators=(",", ":"))
        return _PREFIX + base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()

    @classmethod
    def decode(cls, token: str) -> "Invitation":
        """The inverse of `encode`. Raises Permanent(`token-malformed`)."""
        token = token.strip()
        try:
            if not token.startswith(_PREFIX) or len(token) > _LIMIT_CHARS:
                raise _malformed()
            body = token.removeprefix(_PREFIX)
            raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
            fields = json.loads(raw)
        except (ValueError, binascii.Error, RecursionError) as error:
            raise _malformed() from error
        match fields:
            case [str(url), str(thumbprint), str(secret)] if (
                url.startswith("https://") and re.fullmatch(r"[0-9a-f]{64}", thumbprint) and secret
            ):
                return cls(url, thumbprint, secret)
            case _:
                raise _malformed()


def _malformed() -> Permanent:
    return Permanent(
        "token-malformed",
        "this is not a whole join token (one word that starts with `hanse1.`). "
        "Copy it again from `hanse invite PROVIDER/SITE`, without a line break.",
    )
