"""What an agent is made of: the ports and drivers that a root plugs in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hanse.agent.place.file import SiteFile
from hanse.agent.place.renewal import HubCertificate
from hanse.drivers.contract import Driver, Pooler, Router
from hanse.model.replica.spec import Peer
from hanse.ports import Carrier, Clock, Journal, Permanent, Random, Sealer, Signer


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this site is, and by which key it knows the hub."""

    me: Peer
    """This site as peers reach it."""
    hub_certificate_pem: str
    """Certificate or public key of the hub; only what this key signed is an instruction."""
    certificate_file: str
    """Own self-signed certificate, for TLS to other sites' streams."""
    key_file: str


def _no_problem() -> Permanent | None:
    return None


def _always_free(address: str, port: int) -> bool:  # noqa: ARG001
    return True


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything an `Agent` needs. A simulation gives fakes, `site.py` the real ones."""

    identity: Identity
    clock: Clock
    random: Random
    journal: Journal
    carrier: Carrier
    signer: Signer
    sealer: Sealer
    router: Router
    pooler: Pooler
    """Between consumers here and the databases that they use."""
    drivers: Mapping[str, Driver]
    """By kind of component."""
    site_file: Callable[[], SiteFile]
    """The site file in force: the last one that could be read."""
    pin: Callable[[Peer], str]
    """Path of a file that holds the peer's pinned certificate."""
    site_file_problem: Callable[[], Permanent | None] = _no_problem
    """What is wrong with the site file as it stands now."""
    port_is_free: Callable[[str, int], bool] = _always_free
    """Whether nobody listens at (IP, port) of this machine."""
    hub_certificate: HubCertificate | None = None
    """The way into the hub, where it is one that ends."""
