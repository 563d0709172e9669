"""The join token: whole or refused."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanse.ports import Permanent
from hanse.trust.invitation import Invitation

INVITATION = Invitation("https://127.0.0.1:8443", "a" * 64, "secret")


def test_a_token_is_one_word_and_comes_back() -> None:
    token = INVITATION.encode()
    assert token.isascii()
    assert len(token.split()) == 1
    assert Invitation.decode(f"  {token}\n") == INVITATION


@given(st.integers(0, len(INVITATION.encode()) - 1))
def test_a_token_that_was_cut_is_refused(length: int) -> None:
    with pytest.raises(Permanent) as caught:
        Invitation.decode(INVITATION.encode()[:length])
    assert caught.value.code == "token-malformed"


@given(st.text() | st.text().map(lambda text: "hanse1." + text))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(Permanent):
        Invitation.decode(text)


@pytest.mark.parametrize(
    "fields",
    [
        [],
        {},
        ["http://a", "a" * 64, "s"],
        ["https://a", "A" * 64, "s"],
        ["https://a", "a" * 64, ""],
        [1, 2, 3],
    ],
)
def test_a_token_that_says_something_else_is_refused(fields: object) -> None:
    word = base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()
    with pytest.raises(Permanent):
        Invitation.decode(f"hanse1.{word}")
