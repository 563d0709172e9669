"""A site's directory: its keys, what it knows of its hub, its file, its journal, its parts."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from hanse.agent.parts import Identity
from hanse.agent.place.file import SiteFile, read_site_file
from hanse.model.replica.spec import Peer
from hanse.ports import Permanent
from hanse.trust.keys import load_key, public_sealing_key, thumbprint_of, write_private


@dataclass(frozen=True, slots=True)
class HubFacts:
    """The hub that a site joined."""

    site: str
    url: str
    thumbprint: str
    certificate_pem: str
    authority_pem: str


@dataclass(frozen=True, slots=True)
class Home:
    """Paths below one directory; nothing is read before it is asked for."""

    directory: Path

    @property
    def key_file(self) -> Path:
        """The site's own long-term key."""
        return self.directory / "site.key"

    @property
    def certificate_file(self) -> Path:
        """Self-signed, over the own key: what peers pin."""
        return self.directory / "self.crt"

    @property
    def hub_certificate_file(self) -> Path:
        """By the hub's authority, over the own key: the way into the hub."""
        return self.directory / "hub.crt"

    @property
    def sealing_file(self) -> Path:
        """The own X25519 key, a private JWK."""
        return self.directory / "seal.jwk"

    @property
    def hub_file(self) -> Path:
        """What is known of the hub; its being there means joined."""
        return self.directory / "hub.json"

    @property
    def offers_file(self) -> Path:
        """The site file."""
        return self.directory / "offers.yaml"

    @property
    def journal_file(self) -> Path:
        """The agent's memory."""
        return self.directory / "journal.sqlite"

    @property
    def process_file(self) -> Path:
        """Which process supervises the agent."""
        return self.directory / "agent.pid"

    @property
    def parts_directory(self) -> Path:
        """Drivers' data, one directory a kind."""
        return self.directory / "parts"

    def is_joined(self) -> bool:
        """Whether a hub took this site in."""
        return self.hub_file.exists()

    def hub(self) -> HubFacts:
        """Raises Permanent(`not-joined`, `hub-file-unreadable`)."""
        try:
            return HubFacts(**json.loads(self.hub_file.read_text()))
        except FileNotFoundError as error:
            raise Permanent(
                "not-joined",
                f"{self.directory} is no joined site. Ask the hub's operator for a token (`hanse invite"
                " PROVIDER/SITE`), then: hanse site join - --dir DIR --offers offers.yaml",
            ) from error
        except (OSError, ValueError, TypeError) as error:
            raise Permanent(
                "hub-file-unreadable",
                f"{self.hub_file} is unreadable: {error}. Join again by a new token.",
            ) from error

    def require_journal(self) -> None:
        """Raises Permanent(`journal-missing`): without it a site could serve what it gave away."""
        if self.is_joined() and not self.journal_file.exists():
            raise Permanent(
                "journal-missing",
                f"{self.journal_file} is not there, and joining made it: it was lost. It alone knows which"
                " epochs this site gave away, so the agent does not start without it."
                " Leave with `hanse site leave --force`; the hub's operator ends the old membership"
                " (`hanse remove-site PROVIDER/SITE`) and invites anew.",
            )

    def identity(self, site_file: SiteFile) -> Identity:
        """Raises Permanent(`key-unreadable`, `not-joined`, `site-changed`)."""
        hub = self.hub()
        if site_file.site.id != hub.site:
            raise Permanent(
                "site-changed",
                f"{self.offers_file} says {site_file.site.id}, but this directory joined as {hub.site}."
                " Put the old id back, or join the other site from a directory of its own.",
            )
        key = load_key(self.key_file)
        me = Peer(
            site=hub.site,
            thumbprint=thumbprint_of(key),
            certificate_pem=self.certificate_file.read_text(),
            sealing_key=public_sealing_key(self.sealing_file.read_text()),
            address=site_file.data.address,
            channel_port=site_file.data.channel_port if site_file.data.address else 0,
        )
        return Identity(me, hub.certificate_pem, str(self.certificate_file), str(self.key_file))

    def pin(self, peer: Peer) -> str:
        """A file with a peer's certificate, for programs that want one."""
        name = hashlib.sha256(peer.certificate_pem.encode()).hexdigest()[:32]
        path = self.directory / "pins" / f"{name}.pem"
        if not path.exists():
            write_private(path, peer.certificate_pem.encode())
        return str(path)


class SiteFileAt:
    """The site file on disk, read again when it changes; a bad edit leaves the last good one in force."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._good: SiteFile | None = None
        self._problem: Permanent | None = None

    def __call__(self) -> SiteFile:
        """Raises Permanent(`file-unreadable`, `file-missing`) only if there never was a good one."""
        self._look()
        if self._good is None:
            raise self._problem or Permanent("file-missing", f"{self._path} is not there.")
        return self._good

    def problem(self) -> Permanent | None:
        """What is wrong with the file as it stands now."""
        self._look()
        return self._problem

    def _look(self) -> None:
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_size)
            if seen == self._seen:
                return
            self._seen = seen
            self._good = read_site_file(self._path.read_text(), str(self._path))
            self._problem = None
        except (OSError, UnicodeDecodeError) as error:
            self._seen = None
            self._problem = Permanent(
                "file-missing",
                f"{self._path} cannot be read: {error}. `docs/sites.md` shows what belongs in it.",
            )
        except Permanent as problem:
            self._problem = problem
