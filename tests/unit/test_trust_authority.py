"""Certificates as strangers judge them: OpenSSL, haproxy, and Python's own TLS."""

import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hanse.ports import Permanent
from hanse.trust.authority import (
    covers,
    due_for_renewal,
    expires_at,
    load_or_make_authority,
    make_authority,
    self_signed,
    short_lived,
)
from hanse.trust.keys import make_key, private_pem, thumbprint_of, thumbprint_of_pem

NOW = datetime.now(UTC)


def judged(directory: Path, anchor: str, certificate: str, purpose: str) -> bool:
    (directory / "anchor.pem").write_text(anchor)
    (directory / "leaf.pem").write_text(certificate)
    words = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", "anchor.pem", "leaf.pem"]
    return subprocess.run(words, cwd=directory, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("purpose", ["sslserver", "sslclient"])
def test_a_self_signed_certificate_is_its_own_anchor_both_ways(tmp_path: Path, purpose: str) -> None:
    own, other = (self_signed(make_key(), "alpha/one", ["127.0.9.1"], NOW) for _ in range(2))
    assert judged(tmp_path, own, own, purpose)
    assert judged(tmp_path, other + own, own, purpose), "two keys of one site among the anchors"
    assert not judged(tmp_path, other, own, purpose)


def test_the_authority_vouches_for_hub_and_site_each_for_one_purpose(tmp_path: Path) -> None:
    authority, stranger = make_authority(make_key(), NOW), make_authority(make_key(), NOW)
    server = authority.issue_server(make_key(), ["127.0.0.1", "::1", "hub.test"], NOW)
    client = authority.issue_client(make_key().public_key(), "alpha/one", NOW)
    ca = authority.certificate_pem
    assert judged(tmp_path, ca, server, "sslserver")
    assert judged(tmp_path, ca, client, "sslclient")
    assert not judged(tmp_path, ca, server, "sslclient")
    assert not judged(tmp_path, ca, client, "sslserver")
    assert not judged(tmp_path, stranger.certificate_pem, client, "sslclient")


def test_a_site_cannot_sign_certificates_for_others(tmp_path: Path) -> None:
    key = make_key()
    own = self_signed(key, "alpha/one", [], NOW)
    forged = make_authority(key, NOW).issue_client(make_key(), "beta/one", NOW)
    assert not judged(tmp_path, own, forged, "sslclient")


def test_a_certificate_carries_its_key_and_is_found_by_address() -> None:
    key = make_key()
    pem = make_authority(make_key(), NOW).issue_server(key, ["127.0.0.1", "hub.test"], NOW)
    assert thumbprint_of_pem(pem) == thumbprint_of(key)
    assert covers(pem, ["hub.test"])
    assert covers(pem, ["127.0.0.1", "hub.test"])
    assert not covers(pem, ["127.0.0.2"])
    assert not covers(make_authority(key, NOW).certificate_pem, ["hub.test"])


def test_renewal_is_due_when_less_than_a_third_of_the_life_is_left() -> None:
    pem = make_authority(make_key(), NOW).issue_server(make_key(), ["127.0.0.1"], NOW)
    assert expires_at(pem) - NOW < timedelta(days=366)
    assert not due_for_renewal(pem, NOW + timedelta(days=240))
    assert due_for_renewal(pem, NOW + timedelta(days=245))
    assert due_for_renewal(pem, NOW + timedelta(days=400))


def test_the_authority_is_made_once_and_renewed_over_the_same_key(tmp_path: Path) -> None:
    earlier = NOW - timedelta(days=3000)
    first = load_or_make_authority(tmp_path, earlier)
    assert load_or_make_authority(tmp_path, earlier).certificate_pem == first.certificate_pem
    renewed = load_or_make_authority(tmp_path, NOW)
    assert renewed.certificate_pem != first.certificate_pem
    assert thumbprint_of_pem(renewed.certificate_pem) == thumbprint_of_pem(first.certificate_pem)
    client = first.issue_client(make_key(), "alpha/one", NOW - timedelta(days=100))
    assert judged(tmp_path, renewed.certificate_pem, client, "sslclient"), "older certificates go on"


def test_a_short_lived_certificate_ends() -> None:
    pem = short_lived(make_key(), "connect", NOW, timedelta(hours=8))
    assert NOW + timedelta(hours=7) < expires_at(pem) < NOW + timedelta(hours=9)


@pytest.mark.parametrize("address", ["höhle.test", "💥"])
def test_an_address_that_no_certificate_can_name_is_said(address: str) -> None:
    with pytest.raises(Permanent, match=address) as caught:
        self_signed(make_key(), "alpha/one", [address], NOW)
    assert caught.value.code == "address-malformed"


def test_long_names_of_sites_fit() -> None:
    pem = self_signed(make_key(), f"{'p' * 63}/{'s' * 63}", [], NOW)
    assert expires_at(pem) > NOW


def test_python_accepts_the_files(tmp_path: Path) -> None:
    key = make_key()
    (tmp_path / "key").write_bytes(private_pem(key))
    (tmp_path / "crt").write_text(self_signed(key, "alpha/one", ["127.0.9.1"], NOW))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    context.load_verify_locations(tmp_path / "crt")
    assert len(context.get_ca_certs()) == 0, "a site is no authority"
