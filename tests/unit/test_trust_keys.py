"""Keys: made once, private, durable, named by their thumbprint; hostile files end in one word."""

import base64
import json
import stat
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from hanse.ports import Permanent
from hanse.trust.authority import covers, due_for_renewal, expires_at, self_signed
from hanse.trust.keys import (
    load_key,
    load_or_make_key,
    load_or_make_sealing_key,
    make_key,
    make_sealing_key,
    private_pem,
    public_key_of,
    public_pem,
    public_sealing_key,
    thumbprint_of,
    thumbprint_of_der,
    thumbprint_of_pem,
    write_private,
)

KEY = make_key()
PEM = self_signed(KEY, "alpha/one", ["127.0.9.1"], datetime(2026, 1, 1, tzinfo=UTC))
DER = base64.b64decode("".join(PEM.splitlines()[1:-1]))
CODES = {"key-unreadable", "certificate-unreadable"}


def code_or(call: Callable[[], object]) -> object:
    """What a call returns, or the code of its Permanent."""
    try:
        return call()
    except Permanent as failure:
        return failure.code


def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "site" / "site.key"
    first = thumbprint_of(load_or_make_key(path))
    assert thumbprint_of(load_or_make_key(path)) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["site.key"]


def test_the_thumbprint_is_what_openssl_computes(tmp_path: Path) -> None:
    (tmp_path / "self.crt").write_text(PEM)
    public = subprocess.check_output(
        ["openssl", "x509", "-in", tmp_path / "self.crt", "-noout", "-pubkey"], text=True
    )
    der = subprocess.check_output(["openssl", "pkey", "-pubin", "-outform", "DER"], input=public.encode())
    found = subprocess.check_output(["openssl", "dgst", "-sha256", "-r"], input=der).decode().split()[0]
    assert found == thumbprint_of(KEY) == thumbprint_of_pem(PEM) == thumbprint_of_der(DER)
    assert public == public_pem(KEY)


@pytest.mark.parametrize(
    "content",
    [b"", b"no key", private_pem(KEY)[:80], public_pem(KEY).encode()],
    ids=["empty", "no key", "cut off", "public"],
)
def test_a_damaged_key_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "site.key").write_bytes(content)
    with pytest.raises(Permanent, match=r"site\.key") as caught:
        load_key(tmp_path / "site.key")
    assert caught.value.code == "key-unreadable"


@pytest.mark.parametrize(
    "other", [ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()]
)
def test_keys_of_another_kind_are_refused(tmp_path: Path, other: ec.EllipticCurvePrivateKey) -> None:
    (tmp_path / "site.key").write_bytes(private_pem(other))
    with pytest.raises(Permanent):
        load_key(tmp_path / "site.key")
    pem = other.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    with pytest.raises(Permanent):
        public_key_of(pem)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "one"
    write_private(path, b"old")
    with pytest.raises(TypeError):
        write_private(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["one"]


def test_a_sealing_key_is_made_once_and_its_public_half_has_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "seal.jwk"
    jwk = load_or_make_sealing_key(path)
    assert load_or_make_sealing_key(path) == jwk
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(json.loads(public_sealing_key(jwk))) == {"crv", "kty", "x"}


@given(st.text() | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
def test_hostile_sealing_keys_are_refused(text: str) -> None:
    with pytest.raises(Permanent, match="sealing key"):
        public_sealing_key(text)


@given(st.sampled_from(["kty", "crv", "x", "d"]), st.none() | st.text(max_size=60) | st.integers())
def test_damaged_sealing_keys_are_refused_or_public(field: str, value: object) -> None:
    jwk = json.dumps({**json.loads(make_sealing_key()), field: value})
    found = code_or(lambda: public_sealing_key(jwk))
    assert found == "key-unreadable" or set(json.loads(found)) == {"crv", "kty", "x"}


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@settings(max_examples=300)
@given(st.binary(max_size=20), st.integers(0, len(DER) - 1))
def test_hostile_certificates_never_end_in_anything_but_permanent(noise: bytes, at: int) -> None:
    der = DER[:at] + noise + DER[at + len(noise) :]
    pem = f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(der).decode()}\n-----END CERTIFICATE-----\n"
    now = datetime(2026, 6, 1, tzinfo=UTC)
    readers = [
        lambda: thumbprint_of_der(der),
        lambda: thumbprint_of_pem(pem),
        lambda: expires_at(pem),
        lambda: due_for_renewal(pem, now),
        lambda: covers(pem, ["127.0.9.1"]),
    ]
    for read in readers:
        found = code_or(read)
        assert not isinstance(found, str) or found in CODES or len(found) == 64


@given(st.text())
def test_text_that_is_no_certificate_is_refused(text: str) -> None:
    with pytest.raises(Permanent):
        public_key_of(text)


def test_a_huge_certificate_is_not_parsed() -> None:
    with pytest.raises(Permanent, match="too many"):
        public_key_of(PEM + "x" * 100_000)
