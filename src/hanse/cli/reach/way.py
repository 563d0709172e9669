"""A command's own way into a component: leave to use it for a while, and the credential that comes with it.

Keys and TLS are imported where they are used: `--help` and a wrong name need none of them.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hanse.cli.finding import open_hub
from hanse.cli.names import split_component
from hanse.cli.show.operations import failure_lines
from hanse.ports import Permanent, Temporary

if TYPE_CHECKING:
    from hanse.cli.reach.splice import LocalPort
    from hanse.wire.api_client import ApiClient

READY_SECONDS = 45.0
LOOK_SECONDS = 0.2
LIFETIME = timedelta(hours=12)
_KEPT = ("access_key", "secret_key", "user", "password", "database")
"""Fields of a credential, of whatever kind the component is."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What was made for this one command; nothing of it outlives the command."""

    directory: Path
    """Only its owner enters it."""
    certificate_pem: str
    sealing_jwk: str

    @property
    def certificate_file(self) -> Path:
        """For TLS."""
        return self.directory / "client.crt"

    @property
    def key_file(self) -> Path:
        """For TLS."""
        return self.directory / "client.key"


class Way:
    """What the hub and the component's site gave for this command. It may change when the component moves."""

    def __init__(self, client: "ApiClient", where: str, keys: Keys, found: dict[str, Any]) -> None:
        self._client, self._where = client, where
        self.keys = keys
        self.found = found
        """The newest connection document that was ready."""
        self.credential = opened(found["sealed_credential"], keys.sealing_jwk)
        self.on_renewed: Callable[[], None] = lambda: None
        """Called when the site, or another one, has made another credential."""

    @property
    def component(self) -> str:
        """`APP/COMPONENT`."""
        return f"{self.found['application']}/{self.found['component']}"

    def local_port(self) -> "LocalPort":
        """A port of this machine that leads there, not open yet."""
        from hanse.cli.reach.splice import Line, LocalPort
        from hanse.wire.tls import PeerTrust

        trust = PeerTrust(self.keys.certificate_file, self.keys.key_file)
        return LocalPort(Line(self.found["stream"], trust), self._look_again)

    def _look_again(self) -> Mapping[str, Any] | None:
        """Where the component is now; None while nobody says."""
        now = self._client.get(self._where)
        if now["ready"]:
            renewed = now["sealed_credential"] != self.found["sealed_credential"]
            self.found = now
            if renewed:
                self.credential = opened(now["sealed_credential"], self.keys.sealing_jwk)
                self.on_renewed()
        stream = now["stream"]
        return stream if isinstance(stream, dict) else None


@contextmanager
def open_way(component: str) -> Iterator[Way]:
    """Leave to use `APP/COMPONENT` while the block runs; it is taken back afterwards.

    Raises Permanent(`name-malformed`, `site-silent`, `no-reach`, …).
    """
    application, name = split_component(component)
    from hanse.trust.keys import public_sealing_key

    path = f"/v1/applications/{application}/components/{name}/connections"
    with _keys() as keys, open_hub() as client:
        asked = {"certificate_pem": keys.certificate_pem, "sealing_key": public_sealing_key(keys.sealing_jwk)}
        granted = client.send("POST", path, asked)
        where = f"{path}/{granted['id']}"
        try:
            yield Way(client, where, keys, _ready(client, where, component))
        finally:
            with suppress(Permanent, Temporary):
                client.send("DELETE", where)


@contextmanager
def _keys() -> Iterator[Keys]:
    from hanse.trust.authority import short_lived
    from hanse.trust.keys import make_key, make_sealing_key, private_pem, write_private

    with tempfile.TemporaryDirectory(prefix="hanse-connect-") as scratch:
        directory, key = Path(scratch), make_key()
        certificate = short_lived(key, "hanse connect", datetime.now(UTC), LIFETIME)
        keys = Keys(directory, certificate, make_sealing_key())
        write_private(keys.key_file, private_pem(key))
        write_private(keys.certificate_file, certificate.encode())
        yield keys


def _ready(client: "ApiClient", where: str, component: str) -> dict[str, Any]:
    """The connection once its site lets us in. Raises Permanent(`site-silent`)."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        found = client.get(where)
        if found["ready"]:
            return found
        failure = found["failure"]
        if time.monotonic() > deadline:
            words = " ".join(failure_lines(failure)) or found["why"]
            raise Permanent(
                "site-silent",
                f"{component} cannot be connected to: {words}. `hanse status {component.partition('/')[0]}` "
                "shows how it stands; then try again.",
            )
        time.sleep(LOOK_SECONDS)


def opened(sealed: str, sealing_jwk: str) -> dict[str, str]:
    """Fields of a credential; none of an empty one. Raises Permanent(`credential-malformed`)."""
    if not sealed:
        return {}
    from hanse.trust.sealing import KeySealer

    try:
        fields = json.loads(KeySealer(sealing_jwk).open(sealed))["fields"]
        return {name: str(fields[name]) for name in _KEPT if name in fields}
    except (ValueError, KeyError, TypeError) as error:
        raise malformed() from error


def malformed() -> Permanent:
    """What a site of another version causes."""
    return Permanent(
        "credential-malformed",
        "the site's credential does not hold what it should; the site runs another version of hanse. "
        "Update both.",
    )
