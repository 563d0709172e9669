"""`hanse connect APP/COMPONENT`: a port of this machine that leads to a component, until Ctrl-C.

Keys and TLS are imported where they are used: `--help` and a wrong name need none of them.
"""

import json as jsonlib
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from hanse.cli.finding import open_hub
from hanse.cli.names import split_component
from hanse.cli.show.operations import failure_lines
from hanse.cli.show.table import moment
from hanse.cli.speaking import Json, make_app, say, say_json
from hanse.ports import Permanent, Temporary
from hanse.wire.api_client import ApiClient

READY_SECONDS = 45.0
LOOK_SECONDS = 0.2
LIFETIME = timedelta(hours=12)

commands = make_app("hanse")


@dataclass(frozen=True, slots=True)
class _Keys:
    """What was made for this one connection; nothing of it outlives the command."""

    directory: Path
    certificate_pem: str
    sealing_jwk: str

    @property
    def certificate_file(self) -> Path:
        return self.directory / "client.crt"

    @property
    def key_file(self) -> Path:
        return self.directory / "client.key"


@commands.command
def connect(
    component: str,
    *,
    port: Annotated[int, Parameter(help="Port of this machine; 0: any that is free.")] = 0,
    json: Json = False,
) -> int:
    """Reach a component from this machine: a local port to its site, over TLS with the site's pinned key.

    The credential is made at the site for this connection and sealed to a key made here; both end with
    Ctrl-C. Follows the component when it moves. What is not reached is said.

    Examples: `hanse connect clinic/images`, `hanse connect clinic/images --port 9000 --json`

    Parameters
    ----------
    component:
        APP/COMPONENT.
    """
    application, name = split_component(component)
    if not 0 <= port <= 65535:
        raise Permanent("port-malformed", f"--port {port} is no TCP port. Give 1 to 65535.")
    from hanse.trust.keys import public_sealing_key

    path = f"/v1/applications/{application}/components/{name}/connections"
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _keys() as keys, open_hub() as client:
        asked = {"certificate_pem": keys.certificate_pem, "sealing_key": public_sealing_key(keys.sealing_jwk)}
        opened = client.send("POST", path, asked)
        where = f"{path}/{opened['id']}"
        try:
            found = _ready(client, where, component)
            _serve(client, where, (found, keys), port, as_json=json)
        finally:
            with suppress(Permanent, Temporary):
                client.send("DELETE", where)
    if not json:
        say(f"\nThe way to {component} is closed.")
    return 0


@contextmanager
def _keys() -> Iterator[_Keys]:
    from hanse.trust.authority import short_lived
    from hanse.trust.keys import make_key, make_sealing_key, private_pem, write_private

    with tempfile.TemporaryDirectory(prefix="hanse-connect-") as scratch:
        directory, key = Path(scratch), make_key()
        certificate = short_lived(key, "hanse connect", datetime.now(UTC), LIFETIME)
        keys = _Keys(directory, certificate, make_sealing_key())
        write_private(keys.key_file, private_pem(key))
        write_private(keys.certificate_file, certificate.encode())
        yield keys


def _ready(client: ApiClient, where: str, component: str) -> dict[str, Any]:
    """The connection once its site lets us in. Raises Permanent(`no-reach`, `site-silent`)."""
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


def _serve(
    client: ApiClient, where: str, given: tuple[dict[str, Any], _Keys], port: int, *, as_json: bool
) -> None:
    import asyncio

    from hanse.cli.splice import Line, LocalPort
    from hanse.wire.tls import PeerTrust

    found, keys = given
    line = Line(found["stream"], PeerTrust(keys.certificate_file, keys.key_file))

    def look_again() -> dict[str, Any] | None:
        now = client.get(where)
        stream = now["stream"]
        return stream if isinstance(stream, dict) else None

    def ready(address: str, bound: int) -> None:
        facts = _facts(found, keys, f"{address}:{bound}")
        if as_json:
            say_json(facts)
        else:
            say(_words(facts))

    async def run() -> None:
        await LocalPort(line, look_again).serve(port, ready)

    asyncio.run(run())


def _facts(found: dict[str, Any], keys: _Keys, address: str) -> dict[str, Any]:
    """What a program needs to connect; the secret itself goes to a file of mode 0600."""
    from hanse.trust.keys import write_private

    facts: dict[str, Any] = {
        "component": f"{found['application']}/{found['component']}",
        "kind": found["kind"],
        "site": found["site"],
        "endpoint": f"http://{address}",
        "expires_at": found["expires_at"],
        "pid": os.getpid(),
    }
    if found["sealed_credential"]:
        secret = _opened(found["sealed_credential"], keys)
        secret_file = keys.directory / "secret_key"
        write_private(secret_file, secret["secret_key"].encode())
        facts |= {
            "bucket": found["bucket"],
            "region": found["region"],
            "access_key": secret["access_key"],
            "secret_key_file": str(secret_file),
        }
    return facts


def _opened(sealed: str, keys: _Keys) -> dict[str, str]:
    from hanse.trust.sealing import KeySealer

    try:
        fields = jsonlib.loads(KeySealer(keys.sealing_jwk).open(sealed))["fields"]
        return {name: str(fields[name]) for name in ("access_key", "secret_key")}
    except (ValueError, KeyError, TypeError) as error:
        raise Permanent(
            "credential-malformed",
            "the site's credential does not hold what it should; the site runs another version of hanse. "
            "Update both.",
        ) from error


def _words(facts: dict[str, Any]) -> list[str]:
    lines = [
        f"{facts['component']} at {facts['site']}, until {moment(facts['expires_at'])} UTC or Ctrl-C:",
        f"  endpoint    {facts['endpoint']}",
    ]
    if "bucket" in facts:
        lines += [
            f"  bucket      {facts['bucket']}",
            f"  region      {facts['region']}",
            f"  access key  {facts['access_key']}",
            f"  secret key  in {facts['secret_key_file']} (this user only; gone afterwards)",
        ]
    return lines
