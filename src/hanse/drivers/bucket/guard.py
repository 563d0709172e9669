"""Who gets into the store: keys between its own parts, and the S3 identities of each gateway."""

import datetime
import hashlib
import json
import os
import secrets
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hanse.drivers.bucket.record import Record
from hanse.drivers.identity import write_file

_READ = ("Read", "List")
_WRITE = ("Read", "List", "Write", "Tagging")
_PARTS = ("master", "volume", "filer", "s3", "client")


def write_guard(work: Path, record: Record) -> None:
    """Once per replica: signing keys and mutual TLS between the parts, unknown to anybody else."""
    if not (work / "security.toml").exists():
        certificate, key = _certificate()
        _put(work / "parts.crt", certificate, record)
        _put(work / "parts.key", key, record)
        _put(work / "security.toml", _security().encode(), record)


def identities(record: Record, gateway: str) -> bytes:
    """The `s3.json` of a gateway: `clients` all grants, `followers` readers only, `inner` this driver alone.

    A running gateway merges what it reads by name, so names are slots that are never fewer than
    before: an empty slot takes the place of a grant that is gone.
    """
    bucket = record.bucket
    found = []
    for slot in range(record.slots):
        one = record.credentials[slot] if slot < len(record.credentials) else None
        readers = one is not None and one["access"] == "read"
        if one is None or gateway == "inner" or (gateway == "followers" and not readers):
            found.append(_identity(f"grant-{slot}", _nobody(record, slot), []))
        else:
            actions = _READ if readers else _WRITE
            found.append(_identity(f"grant-{slot}", one, [f"{action}:{bucket}" for action in actions]))
    inner = {"access_key": record.inner_access, "secret_key": record.inner_secret}
    rights = ["Admin"] if gateway == "inner" else [f"{one}:{bucket}" for one in _READ]
    found.append(_identity("inner", inner, rights))
    return json.dumps({"identities": found}, sort_keys=True).encode()


def _nobody(record: Record, slot: int) -> dict[str, str]:
    """A credential that nobody has."""
    digest = hashlib.sha256(f"{record.inner_secret}/{slot}".encode()).hexdigest()
    return {"access_key": digest[:20], "secret_key": digest[20:]}


def write_identities(work: Path, record: Record, gateway: str) -> bool:
    """Write what the gateway must accept; True if that changed."""
    path = work / f"{gateway}.json"
    data = identities(record, gateway)
    if path.exists() and path.read_bytes() == data:
        return False
    _put(path, data, record)
    return True


def _identity(name: str, fields: dict[str, str], actions: list[str]) -> dict[str, object]:
    pair = {"accessKey": fields["access_key"], "secretKey": fields["secret_key"]}
    return {"name": name, "credentials": [pair], "actions": actions}


def _put(path: Path, data: bytes, record: Record) -> None:
    write_file(path, data, 0o600)
    if os.geteuid() == 0:
        os.chown(path, record.uid, record.uid)


def _security() -> str:
    lines = []
    for section in ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read"):
        lines += [f"[{section}]", f'key = "{secrets.token_hex(32)}"']
    lines += ["[grpc]", 'ca = "parts.crt"']
    for part in _PARTS:
        lines += [f"[grpc.{part}]", 'cert = "parts.crt"', 'key = "parts.key"']
    return "\n".join(lines) + "\n"


def _certificate() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "parts")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private
