"""Signed documents: compact JWS (RFC 7515), ES256, over exactly the bytes that were received.

The header holds `alg` and `typ` and nothing else, so there is nothing to negotiate: no `kid`, no
`jwk`, no `crit`. Which key must have signed is the reader's own knowledge (a pinned certificate).
"""

import base64
import binascii
import json

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from hanse.ports import Permanent
from hanse.trust.keys import SiteKey, public_key_of, thumbprint_of

DOCUMENT_LIMIT_BYTES = 1024 * 1024
SIGNATURE_BYTES = 64
_HEADER_LIMIT_BYTES = 512


class KeySigner:
    """`ports.Signer` with an own P-256 key."""

    def __init__(self, key: SiteKey) -> None:
        self._key = key
        self._thumbprint = thumbprint_of(key)

    @property
    def thumbprint(self) -> str:
        """SHA-256 hexadecimal of the own public key (DER SubjectPublicKeyInfo)."""
        return self._thumbprint

    def sign(self, payload: bytes, kind: str) -> str:
        """JWS with `typ` = `kind`. Raises Permanent(`document-too-large`) above 1 MiB."""
        header = json.dumps({"alg": "ES256", "typ": kind}, sort_keys=True, separators=(",", ":"))
        signed = f"{_encode(header.encode())}.{_encode(payload)}"
        if len(signed) > DOCUMENT_LIMIT_BYTES:
            raise Permanent(
                "document-too-large",
                f"a {kind} of {len(payload)} bytes cannot be signed: {DOCUMENT_LIMIT_BYTES} is the limit.",
            )
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def verify(self, document: str, kind: str, certificate_pem: str) -> bytes:
        """Payload bytes. Raises Permanent(`signature-wrong`) unless this key signed this kind."""
        return verify_document(document, kind, certificate_pem)


def verify_document(document: str, kind: str, pem: str) -> bytes:
    """Payload bytes of a JWS of this `typ`, signed by the key of a certificate or public key PEM.

    Raises Permanent(`signature-wrong`), also for anything that is no such document;
    Permanent(`key-unreadable`) if the PEM is no P-256 key.
    """
    key = public_key_of(pem)
    if len(document) > DOCUMENT_LIMIT_BYTES + SIGNATURE_BYTES * 2:
        raise _wrong(kind, f"it has {len(document)} characters, too many")
    try:
        signed, _, signature = document.encode("ascii").rpartition(b".")
        header, _, payload = signed.partition(b".")
        _check_header(header, kind)
        raw = _decode(signature)
        if len(raw) != SIGNATURE_BYTES:
            raise _wrong(kind, "its signature has a wrong length")
        r, s = (int.from_bytes(half, "big") for half in (raw[:32], raw[32:]))
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
        return _decode(payload)
    except InvalidSignature as error:
        raise _wrong(kind, "the pinned key did not sign it") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise _wrong(kind, f"it is malformed ({error})") from error


def _check_header(header: bytes, kind: str) -> None:
    if len(header) > _HEADER_LIMIT_BYTES:
        raise _wrong(kind, "its header is too large")
    fields = json.loads(_decode(header))
    if fields != {"alg": "ES256", "typ": kind}:
        raise _wrong(kind, "its header names another algorithm or kind of document")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: bytes) -> bytes:
    """Base64url without padding, in its one canonical spelling. Raises ValueError."""
    try:
        data = base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if base64.urlsafe_b64encode(data).rstrip(b"=") != text:
        raise ValueError("base64url in another than its canonical spelling")
    return data


def _wrong(kind: str, why: str) -> Permanent:
    return Permanent(
        "signature-wrong",
        f"a document that should be a {kind} was refused: {why}. It was not obeyed; "
        "if this goes on, compare the pinned key with its owner's.",
    )
