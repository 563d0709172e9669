"""Signed documents: only the pinned key, only the named kind, only the received bytes."""

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey

from hanse.ports import Permanent
from hanse.trust.authority import self_signed
from hanse.trust.keys import make_key, private_pem, public_pem
from hanse.trust.signing import DOCUMENT_LIMIT_BYTES, KeySigner, verify_document

KEY, OTHER = make_key(), make_key()
SIGNER = KeySigner(KEY)
PEM = self_signed(KEY, "alpha/one", [], datetime.now(UTC))
KIND = "hanse-observation"
DOCUMENT = SIGNER.sign(b'{"a":1}', KIND)


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def refused(document: str, kind: str = KIND, pem: str = PEM) -> str:
    with pytest.raises(Permanent) as caught:
        verify_document(document, kind, pem)
    assert caught.value.code == "signature-wrong"
    return caught.value.message


@given(st.binary(max_size=500))
def test_what_was_signed_comes_back_byte_by_byte(payload: bytes) -> None:
    document = SIGNER.sign(payload, KIND)
    assert SIGNER.verify(document, KIND, PEM) == payload
    assert verify_document(document, KIND, public_pem(KEY)) == payload


def test_another_implementation_reads_ours_and_we_read_its() -> None:
    key = ECKey.import_key(private_pem(KEY))
    assert jws.deserialize_compact(DOCUMENT, key, algorithms=["ES256"]).payload == b'{"a":1}'
    theirs = jws.serialize_compact({"alg": "ES256", "typ": KIND}, b"theirs", key)
    assert verify_document(theirs, KIND, PEM) == b"theirs"


def test_another_key_or_kind_is_refused() -> None:
    assert "did not sign" in refused(KeySigner(OTHER).sign(b"{}", KIND))
    assert "kind of document" in refused(DOCUMENT, "hanse-instruction")


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "typ": KIND},
        {"alg": "HS256", "typ": KIND},
        {"alg": "ES256", "typ": KIND, "crit": ["x"]},
        {"alg": "ES256", "typ": KIND, "jwk": {}},
        {"alg": "ES256"},
        [],
        None,
    ],
)
def test_a_header_leaves_nothing_to_negotiate(header: object) -> None:
    _, payload, signature = DOCUMENT.split(".")
    refused(f"{encoded(json.dumps(header).encode())}.{payload}.{signature}")


@given(st.integers(0, len(DOCUMENT) - 1), st.characters())
def test_one_changed_character_anywhere_is_refused(at: int, character: str) -> None:
    if DOCUMENT[at] != character:
        refused(DOCUMENT[:at] + character + DOCUMENT[at + 1 :])


@pytest.mark.parametrize("tail", ["=", ".", "..", "\n", " ", "A"])
def test_no_other_spelling_of_a_document_is_the_document(tail: str) -> None:
    refused(DOCUMENT + tail)


@settings(max_examples=200)
@given(st.text() | st.lists(st.binary().map(encoded), min_size=2, max_size=4).map(".".join))
def test_hostile_text_is_refused(text: str) -> None:
    refused(text)


def test_a_deeply_nested_header_is_refused() -> None:
    refused(f"{encoded(b'[' * 100_000)}.e30.{'A' * 86}")


def test_documents_above_one_mebibyte_are_neither_made_nor_read() -> None:
    with pytest.raises(Permanent) as caught:
        SIGNER.sign(b"x" * DOCUMENT_LIMIT_BYTES, KIND)
    assert caught.value.code == "document-too-large"
    assert "too many" in refused(DOCUMENT + "A" * DOCUMENT_LIMIT_BYTES)


def test_a_pinned_thing_that_is_no_key_is_said() -> None:
    with pytest.raises(Permanent) as caught:
        verify_document(DOCUMENT, KIND, "no certificate")
    assert caught.value.code == "key-unreadable"
