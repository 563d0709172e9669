"""TLS 1.3 contexts. Trust is a pinned key: certificates only carry it, and names in them count nothing.

Every context made here speaks TLS 1.3 only. Contexts read certificate and key files at once, so
a renewed certificate needs a new context. Raises OSError and ssl.SSLError for unreadable files.
"""

import asyncio
import ssl
from collections.abc import Iterable
from pathlib import Path

from hanse.ports import Permanent, Temporary
from hanse.trust.keys import thumbprint_of_der, thumbprint_of_pem


def hub_server_context(certificate_file: Path, key_file: Path, authority_pem: str) -> ssl.SSLContext:
    """For the hub: asks clients for a certificate of its authority, and lets in those without one."""
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)
    context.load_verify_locations(cadata=authority_pem)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.num_tickets = 0
    return context


def hub_client_context(
    authority_pem: str, certificate_file: Path | None = None, key_file: Path | None = None
) -> ssl.SSLContext:
    """For a site: trusts the hub's authority and shows the site's certificate, if one is given.

    Host names are not compared; check the hub's key with `require_peer` after the handshake.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=authority_pem)
    if certificate_file is not None:
        context.load_cert_chain(certificate_file, key_file)
    return context


def first_contact_context() -> ssl.SSLContext:
    """For enrolment: verifies nothing. The caller must compare the key with `require_peer`."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class PeerTrust:
    """Mutual TLS between sites: whoever shows a pinned key is let in, nobody else.

    `server` and `client` are contexts that stay valid while peers come and go. A handshake with
    them proves that the peer holds the key of *some* certificate that was ever trusted;
    `require` then compares it with those that are trusted now.
    """

    def __init__(self, certificate_file: Path, key_file: Path) -> None:
        self.server = _context(ssl.PROTOCOL_TLS_SERVER)
        self.client = _context(ssl.PROTOCOL_TLS_CLIENT)
        self.client.check_hostname = False
        self.server.verify_mode = self.client.verify_mode = ssl.CERT_REQUIRED
        self.server.num_tickets = 0
        for context in (self.server, self.client):
            context.load_cert_chain(certificate_file, key_file)
        self._trusted: frozenset[str] = frozenset()
        self._loaded: set[str] = set()

    @property
    def trusted(self) -> frozenset[str]:
        """Thumbprints of the keys that are let in."""
        return self._trusted

    def trust(self, certificates_pem: Iterable[str]) -> None:
        """Exactly these peers from now on. Raises Permanent(`key-unreadable`) and changes nothing."""
        certificates = {thumbprint_of_pem(pem): pem for pem in certificates_pem}
        for pem in set(certificates.values()) - self._loaded:
            self.server.load_verify_locations(cadata=pem)
            self.client.load_verify_locations(cadata=pem)
            self._loaded.add(pem)
        self._trusted = frozenset(certificates)

    def require(self, writer: asyncio.StreamWriter, thumbprint: str | None = None) -> str:
        """The peer's thumbprint, if it is trusted now, and this very one if one is given.

        Raises Permanent(`peer-key-wrong`).
        """
        found = peer_thumbprint(writer.transport)
        if found is None or found not in self._trusted or (thumbprint is not None and found != thumbprint):
            wanted = thumbprint or "one of the pinned keys"
            raise Permanent(
                "peer-key-wrong",
                f"a peer showed the key {found or 'none'} instead of {wanted}; the connection was ended. "
                "Check which machine answers at that address.",
            )
        return found


def peer_thumbprint(transport: asyncio.BaseTransport) -> str | None:
    """Thumbprint of the key that the peer proved to hold; None without TLS or certificate."""
    tls = transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert(binary_form=True) if tls is not None else None
    return thumbprint_of_der(certificate) if certificate else None


def require_peer(transport: asyncio.BaseTransport, thumbprint: str, who: str) -> None:
    """Nothing, if the peer holds this key. Raises Temporary(`hub-key-wrong`) otherwise.

    Temporary, because another machine may sit at the address for a while: nothing was said to it.
    """
    found = peer_thumbprint(transport)
    if found != thumbprint:
        raise Temporary(
            "hub-key-wrong",
            f"{who} showed the key {found or 'none'} instead of {thumbprint}, so nothing was sent. "
            "Check the address; if the hub has a new key, join it again with a fresh token.",
            delay_seconds=30.0,
        )


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_COMPRESSION
    return context
