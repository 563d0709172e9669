"""Certificates: the hub's transport authority, and each site's own self-signed one.

The authority speaks for the transport only. Who a peer is, is decided by the thumbprint of its
key, never by a name in a certificate. All moments are UTC and passed in.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hanse.ports import Permanent
from hanse.trust.keys import (
    PEM_LIMIT_BYTES,
    PublicKey,
    SiteKey,
    load_or_make_key,
    thumbprint_of,
    write_private,
)

AUTHORITY_DAYS = 3650
SELF_SIGNED_DAYS = 3650
"""A site's own certificate is pinned by its peers, so it lives as long as the site."""
SERVER_DAYS = 365
CLIENT_DAYS = 365
"""A site's way into the hub; its agent renews it when a third of its time is left."""
_BACKDATED = timedelta(hours=1)
"""Clocks of peers differ; a certificate is valid a little before it is made."""
_NAME_LIMIT = 64


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority for transport: its key and its self-signed certificate."""

    key: SiteKey
    certificate_pem: str

    def issue_server(self, key: SiteKey | PublicKey, addresses: Sequence[str], now: datetime) -> str:
        """A server certificate (PEM) for a hub that clients find at these IPs and host names."""
        request = _Request("hanse-hub", key, tuple(addresses), (ExtendedKeyUsageOID.SERVER_AUTH,))
        return _issue(request, self, now, SERVER_DAYS)

    def issue_client(self, key: SiteKey | PublicKey, site: str, now: datetime) -> str:
        """A client certificate (PEM) over a site's public key; the site is named for people only."""
        request = _Request(site, key, (), (ExtendedKeyUsageOID.CLIENT_AUTH,))
        return _issue(request, self, now, CLIENT_DAYS)


def load_or_make_authority(directory: Path, now: datetime) -> Authority:
    """The authority whose `ca.key` and `ca.crt` lie here, made first if there is none.

    A certificate that is due for renewal is made anew over the same key.
    """
    key = load_or_make_key(directory / "ca.key")
    path = directory / "ca.crt"
    if path.exists():
        pem = path.read_text()
        if not due_for_renewal(pem, now):
            return Authority(key, pem)
    authority = make_authority(key, now)
    write_private(path, authority.certificate_pem.encode())
    return authority


def make_authority(key: SiteKey, now: datetime) -> Authority:
    """A new certificate over this key that may sign others."""
    name = _name("hanse transport authority", key)
    builder = _builder(name, name, key, now, AUTHORITY_DAYS)
    usage = _usage(certificates=True)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True)
    return Authority(key, _sign(builder, key, key))


def self_signed(key: SiteKey, name: str, addresses: Sequence[str], now: datetime) -> str:
    """A certificate (PEM) over an own key, for server and client; its own trust anchor.

    `addresses`: data addresses of the site, IPs or host names; may be empty.
    """
    both = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
    return _issue(_Request(name, key, tuple(addresses), both), None, now, SELF_SIGNED_DAYS, signer=key)


def short_lived(key: SiteKey, name: str, now: datetime, lifetime: timedelta) -> str:
    """A self-signed client certificate (PEM) for one use, such as `hanse connect`."""
    request = _Request(name, key, (), (ExtendedKeyUsageOID.CLIENT_AUTH,))
    return _issue(request, None, now, lifetime / timedelta(days=1), signer=key)


def expires_at(certificate_pem: str) -> datetime:
    """Last moment (UTC) of a certificate. Raises Permanent(`certificate-unreadable`)."""
    return _load(certificate_pem).not_valid_after_utc


def due_for_renewal(certificate_pem: str, now: datetime) -> bool:
    """True from the moment when less than a third of its life is left."""
    certificate = _load(certificate_pem)
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return certificate.not_valid_after_utc - now < life / 3


def covers(certificate_pem: str, addresses: Sequence[str]) -> bool:
    """True if a certificate names all these IPs and host names. Raises Permanent."""
    try:
        names = _load(certificate_pem).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return not addresses
    except (x509.DuplicateExtension, ValueError) as error:
        raise _unreadable(error) from error
    return {_alternative(address) for address in addresses} <= set(names.value)


@dataclass(frozen=True, slots=True)
class _Request:
    name: str
    key: SiteKey | PublicKey
    addresses: tuple[str, ...]
    purposes: tuple[x509.ObjectIdentifier, ...]


def _issue(
    request: _Request,
    authority: Authority | None,
    now: datetime,
    days: float,
    *,
    signer: SiteKey | None = None,
) -> str:
    subject = _name(request.name, request.key)
    issuer = _load(authority.certificate_pem).subject if authority else subject
    builder = _builder(subject, issuer, request.key, now, days)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(request.purposes), critical=False)
    if request.addresses:
        names = [_alternative(address) for address in request.addresses]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    key = authority.key if authority else signer
    if key is None:
        raise ValueError("a certificate needs an authority or the own key to sign it")
    return _sign(builder, key, request.key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: SiteKey | PublicKey, now: datetime, days: float
) -> x509.CertificateBuilder:
    start = now.astimezone(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key() if isinstance(key, SiteKey) else key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - _BACKDATED)
        .not_valid_after(start + timedelta(days=days))
    )


def _sign(builder: x509.CertificateBuilder, signer: SiteKey, key: SiteKey | PublicKey) -> str:
    public = key.public_key() if isinstance(key, SiteKey) else key
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    certificate = builder.add_extension(issuer, critical=False).sign(signer, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _name(name: str, key: SiteKey | PublicKey) -> x509.Name:
    """Unique per key, so that two keys of one site never share a name in a list of trust anchors."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, name[:_NAME_LIMIT]),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, thumbprint_of(key)),
        ]
    )


def _alternative(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address.strip("[]")))
    except ValueError:
        pass
    try:
        return x509.DNSName(address)
    except ValueError as error:
        raise Permanent(
            "address-malformed",
            f"{address!r} is neither an IP address nor a host name in ASCII. Correct it and start again.",
        ) from error


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _load(pem: str) -> x509.Certificate:
    data = pem.encode("utf-8", "replace")
    if len(data) > PEM_LIMIT_BYTES:
        raise _unreadable(f"it has {len(data)} bytes, too many")
    try:
        return x509.load_pem_x509_certificate(data)
    except (ValueError, TypeError, x509.InvalidVersion) as error:
        raise _unreadable(error) from error


def _unreadable(why: object) -> Permanent:
    return Permanent(
        "certificate-unreadable", f"a certificate could not be read: {why}. Send it as one PEM block."
    )
