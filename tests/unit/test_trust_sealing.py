"""Sealed secrets: for one reader only; hostile text ends in one word."""

import base64
import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwe
from joserfc.jwk import OctKey

from hanse.ports import Permanent
from hanse.trust.keys import make_sealing_key, public_sealing_key
from hanse.trust.sealing import SECRET_LIMIT_BYTES, KeySealer, seal_for

READER, STRANGER = KeySealer(make_sealing_key()), KeySealer(make_sealing_key())
SEALED = seal_for(b"secret", READER.public_key)


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def refused(sealed: str) -> None:
    with pytest.raises(Permanent) as caught:
        READER.open(sealed)
    assert caught.value.code == "sealed-for-another"
    assert "secret" not in caught.value.message.replace("a sealed secret", "")


@given(st.binary(max_size=300))
def test_the_reader_opens_what_was_sealed_for_it(secret: bytes) -> None:
    assert READER.open(STRANGER.seal(secret, READER.public_key)) == secret


def test_nobody_else_opens_it() -> None:
    with pytest.raises(Permanent) as caught:
        STRANGER.open(SEALED)
    assert caught.value.code == "sealed-for-another"


def test_the_same_secret_is_never_sealed_the_same_way_twice() -> None:
    assert seal_for(b"secret", READER.public_key) != SEALED
    assert "d" not in json.loads(public_sealing_key(READER.public_key))


@given(st.integers(0, len(SEALED) - 1), st.sampled_from("AaZz09-_.= \x00é"))
def test_a_changed_character_is_refused_or_means_the_same(at: int, character: str) -> None:
    changed = SEALED[:at] + character + SEALED[at + 1 :]
    with suppress(Permanent):
        assert READER.open(changed) == b"secret"


@settings(max_examples=200)
@given(st.text() | st.lists(st.binary().map(encoded), min_size=4, max_size=6).map(".".join))
def test_hostile_text_is_refused(text: str) -> None:
    refused(text)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=4)


@settings(max_examples=200)
@given(st.sampled_from(["alg", "enc", "epk", "zip", "crit", "apu", "apv", "p2c"]), JSON)
def test_hostile_headers_are_refused(field: str, value: object) -> None:
    header, *rest = SEALED.split(".")
    fields = json.loads(base64.urlsafe_b64decode(header + "=="))
    if fields.get(field) != value:
        refused(".".join([encoded(json.dumps({**fields, field: value}).encode()), *rest]))


@settings(max_examples=200)
@given(st.sampled_from(["kty", "crv", "x", "y", "d"]), JSON | st.just("A" * 43))
def test_hostile_ephemeral_keys_are_refused(field: str, value: object) -> None:
    header, *rest = SEALED.split(".")
    fields = json.loads(base64.urlsafe_b64decode(header + "=="))
    fields["epk"] = {**fields["epk"], field: value}
    refused(".".join([encoded(json.dumps(fields).encode()), *rest]))


def test_another_algorithm_is_refused_even_where_the_key_would_fit() -> None:
    key = OctKey.generate_key(256)
    refused(jwe.encrypt_compact({"alg": "dir", "enc": "A256GCM"}, b"x", key, algorithms=["dir", "A256GCM"]))


def test_too_much_is_neither_sealed_nor_opened() -> None:
    with pytest.raises(Permanent) as caught:
        seal_for(b"x" * (SECRET_LIMIT_BYTES + 1), READER.public_key)
    assert caught.value.code == "secret-too-large"
    refused("A" * 1_000_000)


def test_the_largest_secret_goes_through() -> None:
    secret = b"x" * SECRET_LIMIT_BYTES
    assert READER.open(seal_for(secret, READER.public_key)) == secret
