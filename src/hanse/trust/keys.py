"""Long-term keys: made where they are used, kept in files only their owner can read.

A site or hub has one EC P-256 key (TLS and signatures) and, if it reads sealed secrets, one
X25519 key. A key is named by its thumbprint: SHA-256, hexadecimal, of the DER
SubjectPublicKeyInfo. Raises `ports.Permanent` with `key-unreadable` on a damaged file.
"""

import base64
import hashlib
import json
import os
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519

from hanse.ports import Permanent

SiteKey = ec.EllipticCurvePrivateKey
PublicKey = ec.EllipticCurvePublicKey
PEM_LIMIT_BYTES = 64 * 1024
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)


def make_key() -> SiteKey:
    """A fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def load_or_make_key(path: Path) -> SiteKey:
    """The key in this PEM file, made first if there is no file. Durable before it returns."""
    if not path.exists():
        write_private(path, private_pem(make_key()))
    return load_key(path)


def load_key(path: Path) -> SiteKey:
    """The P-256 key in this PEM file. Raises Permanent(`key-unreadable`), OSError."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except _UNREADABLE as error:
        raise _unreadable(str(path), error) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _unreadable(str(path), "it holds no EC P-256 key")
    return key


def private_pem(key: SiteKey) -> bytes:
    """PKCS 8, not encrypted: for a file of mode 0600 only."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_pem(key: SiteKey | PublicKey) -> str:
    """SubjectPublicKeyInfo as PEM text."""
    return (
        _public(key)
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def public_key_of(pem: str | bytes) -> PublicKey:
    """The P-256 public key in a certificate or public key PEM. Raises Permanent(`key-unreadable`)."""
    data = pem.encode("utf-8", "replace") if isinstance(pem, str) else pem
    if len(data) > PEM_LIMIT_BYTES:
        raise _unreadable("the certificate or public key", f"it has {len(data)} bytes, too many")
    try:
        key = (
            x509.load_pem_x509_certificate(data).public_key()
            if b"BEGIN CERTIFICATE" in data
            else serialization.load_pem_public_key(data)
        )
    except _UNREADABLE as error:
        raise _unreadable("the certificate or public key", error) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _unreadable("the certificate or public key", "it is not an EC P-256 key")
    return key


def thumbprint_of(key: SiteKey | PublicKey) -> str:
    """SHA-256 hexadecimal of the DER SubjectPublicKeyInfo."""
    der = _public(key).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).hexdigest()


def thumbprint_of_pem(pem: str | bytes) -> str:
    """Thumbprint of the key in a certificate or public key PEM. Raises Permanent(`key-unreadable`)."""
    return thumbprint_of(public_key_of(pem))


def thumbprint_of_der(certificate: bytes) -> str:
    """Thumbprint of the key in a DER certificate, as TLS shows it. Raises Permanent(`key-unreadable`)."""
    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
    except _UNREADABLE as error:
        raise _unreadable("the peer's certificate", error) from error
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def make_sealing_key() -> str:
    """A fresh X25519 key pair as private JWK JSON text."""
    key = x25519.X25519PrivateKey.generate()
    jwk = {"crv": "X25519", "d": _b64(key.private_bytes_raw()), "kty": "OKP"}
    jwk["x"] = _b64(key.public_key().public_bytes_raw())
    return json.dumps(jwk, sort_keys=True)


def load_or_make_sealing_key(path: Path) -> str:
    """Private JWK JSON text in this file, made first if there is none. Raises Permanent(`key-unreadable`)."""
    if not path.exists():
        write_private(path, make_sealing_key().encode())
    text = path.read_text(encoding="utf-8", errors="replace")
    public_sealing_key(text)
    return text


def public_sealing_key(jwk: str) -> str:
    """The public half of a sealing JWK, canonical JSON text. Raises Permanent(`key-unreadable`)."""
    try:
        fields = json.loads(jwk)
        if fields["kty"] != "OKP" or fields["crv"] != "X25519":
            raise _unreadable("the sealing key", "it is not OKP X25519")
        raw = base64.urlsafe_b64decode(fields["x"] + "=")
        x25519.X25519PublicKey.from_public_bytes(raw)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _unreadable("the sealing key", error) from error
    return json.dumps({"crv": "X25519", "kty": "OKP", "x": _b64(raw)}, sort_keys=True)


def write_private(path: Path, data: bytes) -> None:
    """Replace a file atomically and durably, readable by its owner only. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _public(key: SiteKey | PublicKey) -> PublicKey:
    return key.public_key() if isinstance(key, ec.EllipticCurvePrivateKey) else key


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unreadable(what: str, why: object) -> Permanent:
    return Permanent(
        "key-unreadable",
        f"{what} cannot be used as a key: {why}. Restore it from a backup, or join again with a new key.",
    )
