"""Sealed secrets: compact JWE (RFC 7516), ECDH-ES over X25519 with A256GCM, for one reader."""

import json

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from hanse.ports import Permanent
from hanse.trust.keys import public_sealing_key

SECRET_LIMIT_BYTES = 48 * 1024
"""What joserfc opens at most, in base64."""
_SEALED_LIMIT_CHARS = 2 * SECRET_LIMIT_BYTES
_ALGORITHMS = ["ECDH-ES", "A256GCM"]


class KeySealer:
    """`ports.Sealer` with an own X25519 key, given as private JWK JSON text."""

    def __init__(self, private_jwk: str) -> None:
        self.public_key = public_sealing_key(private_jwk)
        self._key = OKPKey.import_key(json.loads(private_jwk))

    def seal(self, secret: bytes, reader_key: str) -> str:
        """JWE to `reader_key`. Raises Permanent(`key-unreadable`, `secret-too-large`)."""
        return seal_for(secret, reader_key)

    def open(self, sealed: str) -> bytes:
        """Raises Permanent(`sealed-for-another`) if this party cannot read it."""
        if len(sealed) > _SEALED_LIMIT_CHARS:
            raise _closed(f"it has {len(sealed)} characters, too many")
        try:
            secret = jwe.decrypt_compact(sealed, self._key, algorithms=_ALGORITHMS).plaintext
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise _closed(type(error).__name__) from error
        if secret is None:
            raise _closed("it is empty")
        return secret


def seal_for(secret: bytes, reader_key: str) -> str:
    """JWE that only the holder of `reader_key` (public JWK JSON text) opens."""
    if len(secret) > SECRET_LIMIT_BYTES:
        raise Permanent(
            "secret-too-large",
            f"a secret of {len(secret)} bytes cannot be sealed: {SECRET_LIMIT_BYTES} is the limit.",
        )
    key = OKPKey.import_key(json.loads(public_sealing_key(reader_key)))
    header = {"alg": "ECDH-ES", "enc": "A256GCM"}
    return jwe.encrypt_compact(header, secret, key, algorithms=_ALGORITHMS)


def _closed(why: str) -> Permanent:
    return Permanent(
        "sealed-for-another",
        f"a sealed secret could not be opened with this party's key ({why}). "
        "Ask for it again: it is sealed for the key that is registered now.",
    )
