"""An agent on a real machine: its clock, its files, its wires, its beginning and end."""

import asyncio
import ctypes
import logging
import os
import signal
import socket
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from hanse.agent.agent import Agent
from hanse.agent.journal import SqliteJournal
from hanse.agent.parts import Identity, Parts
from hanse.agent.place.home import Home, HubFacts, SiteFileAt
from hanse.agent.place.join import forget_hub
from hanse.agent.place.peers import Peers
from hanse.agent.place.renewal import HubCertificate
from hanse.agent.post.carrier import SiteCarrier
from hanse.agent.post.channel import Channel
from hanse.agent.process.ending import Ended, end_parts, placed
from hanse.agent.waiting import kept_up
from hanse.drivers.contract import Driver, Pooler, Router
from hanse.drivers.identity import ProcessMark
from hanse.ports import Journal, Permanent, Temporary
from hanse.trust.keys import load_key
from hanse.trust.sealing import KeySealer
from hanse.trust.signing import KeySigner
from hanse.wire.hub_client import HubClient
from hanse.wire.hub_client import Identity as HubIdentity
from hanse.wire.machine import SystemClock, SystemRandom
from hanse.wire.tls import PeerTrust

_END_SECONDS = 20.0
_DEATH_SIGNAL = 1
_PLACE_SECONDS = 5.0
_EXIT_AGAIN = 75
"""Start again: the site's addresses in its file have changed."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A joined site as its directory describes it."""

    home: Home
    hub: HubFacts
    site_file: SiteFileAt
    identity: Identity
    hub_client: HubClient

    @property
    def listen_address(self) -> str | None:
        """IP of this machine for the channel and the gates; None: the site states no data address."""
        data = self.site_file().data
        return data.listen or data.address or None


@dataclass(frozen=True, slots=True)
class Real:
    """What a root plugs together for one site."""

    loaded: Loaded
    drivers: dict[str, Driver]
    router: Router
    pooler: Pooler


class Build(Protocol):
    """A root's way to make all the real parts of a site."""

    def __call__(self, home: Home) -> Real:
        """Raises Permanent if the site's files are not usable."""
        ...


def load_site(home: Home) -> Loaded:
    """Raises Permanent(`not-joined`, `file-unreadable`, `key-unreadable`, `site-changed`)."""
    hub = home.hub()
    site_file = SiteFileAt(home.offers_file)
    identity = home.identity(site_file())
    client = HubClient(
        hub.url, hub.thumbprint, HubIdentity(hub.authority_pem, home.hub_certificate_file, home.key_file)
    )
    return Loaded(home, hub, site_file, identity, client)


def make_parts(real: Real, journal: Journal, channel: Channel | None = None) -> tuple[Parts, SiteCarrier]:
    """The agent's parts on this machine, and the carrier whose wake-up line has to be run."""
    loaded = real.loaded
    random = SystemRandom()
    channel = channel or Channel(
        PeerTrust(loaded.home.certificate_file, loaded.home.key_file), Peers(journal)
    )
    carrier = SiteCarrier(loaded.hub_client, channel, random)
    parts = Parts(
        identity=loaded.identity,
        clock=SystemClock(),
        random=random,
        journal=journal,
        carrier=carrier,
        signer=KeySigner(load_key(loaded.home.key_file)),
        sealer=KeySealer(loaded.home.sealing_file.read_text()),
        router=real.router,
        pooler=real.pooler,
        drivers=real.drivers,
        site_file=loaded.site_file,
        site_file_problem=loaded.site_file.problem,
        pin=loaded.home.pin,
        port_is_free=port_is_free,
        hub_certificate=HubCertificate(
            loaded.home.hub_certificate_file, loaded.identity.me.thumbprint, loaded.hub_client
        ),
    )
    return parts, carrier


def serve_site(home: Home, build: Build) -> int:
    """The agent until SIGTERM; the exit code for the supervisor."""
    _die_with_parent()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("hanse.agent").setLevel(logging.INFO)
    real = build(home)
    journal = SqliteJournal(home.journal_file)
    try:
        return asyncio.run(_serve(real, journal))
    finally:
        journal.close()


async def _serve(real: Real, journal: SqliteJournal) -> int:
    loaded = real.loaded
    trust = PeerTrust(loaded.home.certificate_file, loaded.home.key_file)
    peers = Peers(journal)
    channel = Channel(trust, peers)
    parts, carrier = make_parts(real, journal, channel)
    agent = Agent(parts, peers)
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    data = loaded.site_file().data
    work: list[Coroutine[Any, Any, Any]] = [
        agent.run(),
        kept_up(parts.clock, "the wake-up line", carrier.run),
        kept_up(parts.clock, "watching the site file", lambda: _watch_place(loaded)),
    ]
    if data.address:
        work.append(channel.serve(loaded.listen_address or "", data.channel_port, agent.answer))
    return await _until_first(work, ending)


async def _until_first(work: Sequence[Coroutine[Any, Any, Any]], ending: asyncio.Event) -> int:
    """Until asked to end, or until one of these ends, which none should: then its failure is raised."""
    tasks = [asyncio.create_task(one) for one in work]
    waiting = asyncio.create_task(ending.wait())
    done, _ = await asyncio.wait([*tasks, waiting], return_when=asyncio.FIRST_COMPLETED)
    for task in (*tasks, waiting):
        task.cancel()
    await asyncio.gather(*tasks, waiting, return_exceptions=True)
    if waiting in done:
        return 0
    for task in done:
        _raise_failure(task)
    return _EXIT_AGAIN


def _raise_failure(task: asyncio.Task[Any]) -> None:
    error = task.exception()
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if error is not None:
        raise error


async def _watch_place(loaded: Loaded) -> None:
    """Ends when the file gives this site other addresses: the agent must start anew to take them."""
    before = loaded.site_file()
    while True:
        await asyncio.sleep(_PLACE_SECONDS)
        after = loaded.site_file()
        if (after.data, after.local) != (before.data, before.local):
            return


def end_site(home: Home, build: Build, *, erase: bool) -> list[Ended]:
    """End the agent, then its parts. Raises Permanent(`not-joined`, …)."""
    ended = _end_agent(home)
    if not home.journal_file.exists():
        return ended
    real = build(home)
    journal = SqliteJournal(home.journal_file)
    try:
        parts, _ = make_parts(real, journal)
        return ended + asyncio.run(end_parts(parts, erase=erase))
    finally:
        journal.close()


def leave_site(home: Home, build: Build, *, force: bool) -> tuple[list[Ended], str]:
    """Leave the hub: what was ended, and a warning about what is left or not agreed.

    The hub is asked first; if it says no (or nothing), everything goes on as before, unless `force`.
    Raises Permanent(`site-busy`) and Temporary(`hub-unreachable`) unless `force`.
    """
    real = build(home)
    warnings = []
    try:
        asyncio.run(_depart(real.loaded.hub_client))
    except (Permanent, Temporary) as error:
        if not force:
            raise
        warnings.append(f"The hub did not agree: {error.message}")
    ended = _end_agent(home)
    journal = SqliteJournal(home.journal_file)
    try:
        parts, _ = make_parts(real, journal)
        still = placed(parts)
        ended += asyncio.run(end_parts(parts, erase=False))
    finally:
        journal.close()
    if still:
        warnings.append(f"Still kept below {home.parts_directory}: {', '.join(still)}.")
    forget_hub(home)
    return ended, " ".join(warnings)


async def _depart(client: HubClient) -> None:
    try:
        await client.depart()
    finally:
        await client.aclose()


def port_is_free(address: str, port: int) -> bool:
    """Whether this machine lets somebody listen there now; also when the address is not its own yet."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return error.errno != 98
    return True


def _end_agent(home: Home) -> list[Ended]:
    mark = ProcessMark.load(home.process_file)
    if mark is None:
        return [Ended("agent", "did not run")]
    asyncio.run(mark.end(_END_SECONDS))
    return [Ended("agent", f"stopped (process {mark.pid})", is_ended=not mark.alive())]


def _die_with_parent() -> None:
    """If the parent is killed, the kernel ends the agent too; its parts go on."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_DEATH_SIGNAL, signal.SIGTERM, 0, 0, 0)
    if os.getppid() == 1:
        os.kill(os.getpid(), signal.SIGTERM)
