"""The hub's root: `hanse hub …`. Plugs the parts into the ports, and nothing else."""

import asyncio
import json
import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from fcntl import LOCK_EX, LOCK_NB, flock
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from hanse.api.notify import Notifier
from hanse.api.server import make_api
from hanse.catalogue.market import MarketRows, merge, read_market, shipped_market
from hanse.cli.refusal import misuse, refuse
from hanse.hub.commands.images import tidy_images
from hanse.hub.context import FileErrors, Hub, Joined, Place
from hanse.hub.engine import EngineThread
from hanse.model.market.offer import Catalogue
from hanse.ports import Permanent, Temporary
from hanse.store.sqlite import SqliteStore
from hanse.trust.authority import Authority, covers, due_for_renewal, load_or_make_authority, self_signed
from hanse.trust.keys import SiteKey, load_or_make_key, public_key_of, write_private
from hanse.trust.signing import KeySigner
from hanse.wire.machine import SystemClock, SystemRandom
from hanse.wire.server import serve
from hanse.wire.tls import hub_server_context


@dataclass(frozen=True, slots=True)
class SiteCertifier:
    """`hub.context.Authority` over the hub's transport authority."""

    authority: Authority

    def certify(self, site: str, certificate_pem: str, now: datetime) -> str:
        """A client certificate over the key of the site's own certificate. Raises Permanent."""
        return self.authority.issue_client(public_key_of(certificate_pem), site, now)


class CsvMarket:
    """`hub.context.Market` over the catalogue room."""

    def shipped(self) -> Catalogue:
        """The market that comes with Hanse."""
        return shipped_market()

    @lru_cache(maxsize=2)  # noqa: B019 - one market for the life of the process
    def read_catalogue(self, name: str, providers: str, sites: str, offers: str) -> Catalogue:
        """A market from three CSV texts. Raises `FileErrors`: refused whole."""
        rows = read_market(providers, sites, offers, name)
        if isinstance(rows, MarketRows):
            return rows.catalogue()
        places = [
            Place(line=each.line or None, column=None, what=each.what, field=each.column, file=each.file)
            for each in rows
        ]
        raise FileErrors("catalogue-unreadable", f"The catalogue {name} was refused whole", places)

    def merge(self, listed: Catalogue, joined: Joined) -> Catalogue:
        """Listed offers, and what joined sites state."""
        return merge(listed, joined.statements, joined.rtt_ms, joined.reach)


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a hub keeps its things and where it is found."""

    directory: Path
    host: str
    port: int
    advertise: str = ""
    """`https://host:port` that sites and people use, where it is not what the hub listens on."""

    @property
    def token_file(self) -> Path:
        """The admin token."""
        return self.directory / "admin.token"

    @property
    def authority_file(self) -> Path:
        """The authority's certificate, for clients."""
        return self.directory / "ca.crt"


@dataclass(frozen=True, slots=True)
class Keys:
    """What a hub keeps secret, and its certificates."""

    key: SiteKey
    authority: Authority
    admin_token: str
    certificate_pem: str


def load_keys(setting: Setting, now: datetime) -> Keys:
    """Keys, authority and admin token, made at the first start. Raises Permanent(`key-unreadable`)."""
    setting.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = load_or_make_key(setting.directory / "hub.key")
    authority = load_or_make_authority(setting.directory, now)
    if not setting.token_file.exists():
        write_private(setting.token_file, f"{secrets.token_urlsafe(32)}\n".encode())
    own = setting.directory / "hub-self.crt"
    if not own.exists():
        write_private(own, self_signed(key, "hanse-hub", (), now).encode())
    return Keys(key, authority, setting.token_file.read_text().strip(), own.read_text())


def server_certificate(setting: Setting, keys: Keys, host: str, now: datetime) -> Path:
    """The file with a certificate for everything this hub is called."""
    path = setting.directory / "server.crt"
    names = {host, "localhost", "127.0.0.1", _host_of(setting.advertise)} - {"", "0.0.0.0", "::"}  # noqa: S104
    addresses = sorted(names)
    if path.exists():
        pem = path.read_text()
        if covers(pem, addresses) and not due_for_renewal(pem, now):
            return path
    write_private(path, keys.authority.issue_server(keys.key, addresses, now).encode())
    return path


def make_hub(setting: Setting, keys: Keys, url: str, notifier: Notifier, bell: threading.Event) -> Hub:
    """The hub with its real parts. The caller closes `store`."""
    images = setting.directory / "images"
    images.mkdir(exist_ok=True, mode=0o700)

    def wake(sites: Sequence[str]) -> None:
        notifier.wake(sites)
        bell.set()

    return Hub(
        store=SqliteStore(setting.directory / "hub.sqlite"),
        clock=SystemClock(),
        random=SystemRandom(),
        signer=KeySigner(keys.key),
        authority=SiteCertifier(keys.authority),
        market=CsvMarket(),
        images=images,
        certificate_pem=keys.certificate_pem,
        authority_pem=keys.authority.certificate_pem,
        url=url,
        wake=wake,
    )


async def run_hub(setting: Setting, *, as_json: bool) -> None:
    """Serve until SIGTERM or SIGINT. Raises Permanent(`port-taken`, `hub-running`, …)."""
    now = datetime.now(UTC)
    keys = load_keys(setting, now)
    url = setting.advertise or f"https://{_bracketed(setting.host)}:{setting.port}"
    certificate = server_certificate(setting, keys, setting.host, now)
    context = hub_server_context(certificate, setting.directory / "hub.key", keys.authority.certificate_pem)
    notifier, bell, stop = Notifier(), threading.Event(), asyncio.Event()
    hub = make_hub(setting, keys, url, notifier, bell)
    tidy_images(hub)
    with hub.change() as change:
        change.note("hub-started", "hub/", version=version("hanse"), thumbprint=hub.signer.thumbprint)
    loop = asyncio.get_running_loop()
    notifier.bind(loop)
    engine = EngineThread(hub, bell)

    def end() -> None:
        stop.set()
        notifier.wake_all()

    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, end)

    def ready(_host: str, _port: int) -> None:
        engine.start()
        announce(setting, url, hub.signer.thumbprint, as_json=as_json)

    try:
        app = make_api(hub, keys.admin_token, notifier)
        await serve(app, (setting.host, setting.port), context, stop=stop, ready=ready)
    finally:
        if engine.is_alive():
            await asyncio.to_thread(engine.end)
        if isinstance(hub.store, SqliteStore):
            hub.store.close()


def announce(setting: Setting, url: str, thumbprint: str, *, as_json: bool) -> None:
    """Say where the hub is, and leave a configuration for the command line."""
    config, written = write_config(setting, url)
    facts = {
        "url": url,
        "directory": str(setting.directory),
        "token_file": str(setting.token_file),
        "ca_file": str(setting.authority_file),
        "config_file": str(config) if written else None,
        "thumbprint": thumbprint,
        "pid": os.getpid(),
    }
    if as_json:
        print(json.dumps(facts), flush=True)
        return
    print(f"Hub at {url}, its things in {setting.directory}")
    print(f"Admin token: {setting.token_file} (read it, do not pass it on a command line)")
    if written:
        print(f"`hanse` commands of this user find it by {config}")
    else:
        print(
            f"{config} names another hub and was left alone. For this one set HANSE_HUB={url} "
            f"HANSE_TOKEN_FILE={setting.token_file} HANSE_HUB_CA={setting.authority_file}"
        )
    print("Next: `hanse invite PROVIDER/SITE`, then `hanse site join -` at the site. Ctrl-C ends it.")
    sys.stdout.flush()


def write_config(setting: Setting, url: str) -> tuple[Path, bool]:
    """The command line's configuration; one that names another hub is left alone."""
    named = os.environ.get("HANSE_CONFIG")
    path = Path(named) if named else Path.home() / ".config" / "hanse" / "hub.json"
    fields = {
        "url": url,
        "token_file": str(setting.token_file),
        "ca_file": str(setting.authority_file),
    }
    try:
        if path.exists() and not named:
            known = json.loads(path.read_text())
            kept = Path(str(known.get("token_file", "")))
            if kept != setting.token_file and kept.exists():
                return path, False
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(path, json.dumps(fields, indent=2).encode() + b"\n")
    except (OSError, ValueError, AttributeError):
        return path, False
    return path, True


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Nobody else runs a hub in this directory. Raises Permanent(`hub-running`)."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (directory / "hub.lock").open("w") as lock:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except OSError as error:
            raise Permanent(
                "hub-running",
                f"A hub already runs in {directory}. End it, or choose another directory with --dir.",
            ) from error
        yield


commands = cyclopts.App(
    name="hanse hub",
    help="Run the hub: the catalogue, plans, orders and operations of one cloud from many providers.",
    version_flags=[],
    result_action="return_value",
)


commands.command("hanse.cli.verbs.hub:status", name="status", help="How the hub is.")


@commands.command(name="run")
def run_command(
    *,
    dir: Annotated[Path | None, Parameter(name="--dir")] = None,  # noqa: A002 - the option's name
    listen: str = "127.0.0.1:8443",
    advertise: str = "",
    json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Run a hub until Ctrl-C or SIGTERM.

    The first start makes its keys and an admin token (files of mode 0600). State survives a kill.

    Examples: `hanse hub run`, `hanse hub run --dir /srv/hub --listen 0.0.0.0:8443 --advertise https://hub.example:8443`

    Parameters
    ----------
    dir:
        Where the hub keeps its things. Default: $HANSE_HUB_DIR or ./.hanse/hub
    listen:
        Address and port to listen on.
    advertise:
        `https://host:port` by which sites and people find the hub, if it is not where it listens.
    json:
        Say where the hub is as one line of JSON.
    """
    directory = (dir or Path(os.environ.get("HANSE_HUB_DIR", ".hanse/hub"))).absolute()
    host, port = _address(listen)
    if advertise and not (advertise.startswith("https://") and _host_of(advertise)):
        raise Permanent("address-unusable", f"--advertise {advertise} is not like https://hub.example:8443.")
    setting = Setting(directory, host, port, advertise.rstrip("/"))
    try:
        with alone(directory):
            asyncio.run(run_hub(setting, as_json=json))
    except OSError as error:
        raise Permanent(
            "directory-unusable",
            f"The hub cannot use {error.filename or directory}: {error.strerror or error}. "
            "Choose another directory with --dir.",
        ) from error
    return 0


def run(argv: Sequence[str]) -> int:
    """`hanse hub ARGV`; the exit code. Messages go to the standard error, never a traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    words = list(argv[1:] if argv[:1] == ["hub"] else argv)
    try:
        result = commands(words, exit_on_error=False, print_error=False)
    except cyclopts.CycloptsError as error:
        return misuse(str(error), "hanse hub --help", words)
    except (Permanent, Temporary) as failure:
        if failure.code in ("port-taken", "address-unusable"):
            failure.message = failure.message.replace("--port", "--listen").replace("--host", "--listen")
        return refuse(failure, words)
    except KeyboardInterrupt as failure:
        return refuse(failure, words)
    return result if isinstance(result, int) else 0


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise Permanent("address-unusable", f"--listen {text} is not like 127.0.0.1:8443.")
    return host.strip("[]"), int(port)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _host_of(url: str) -> str:
    with suppress(ValueError):
        host, _, _ = url.removeprefix("https://").partition("/")
        return host.rpartition(":")[0].strip("[]") if ":" in host else host
    return ""
