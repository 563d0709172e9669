"""A pooler's configuration: same input, same bytes; nothing from outside becomes a directive."""

from dataclasses import replace

import pytest

from hanse.drivers.contract import Pool
from hanse.drivers.pooler.config import INI, RULES, USERS, render
from hanse.ports import Permanent

POOL = Pool(
    name="connector:shop/web/db",
    listen=("127.0.0.9", 5432),
    upstream=("127.0.0.8", 6000),
    clients="transaction-safe",
    own={"user": "web", "password": "own"},
    login={"user": "w1", "password": "first"},
)


def test_the_same_input_gives_the_same_bytes() -> None:
    assert render(POOL) == render(replace(POOL))


def test_a_changed_login_needs_no_new_process() -> None:
    after = render(replace(POOL, login={"user": "w2", "password": "next"}, upstream=("127.0.0.8", 6001)))
    assert after.shape == render(POOL).shape
    assert after.digest != render(POOL).digest


@pytest.mark.parametrize(
    "changed",
    [
        replace(POOL, listen=("127.0.0.9", 5433)),
        replace(POOL, clients="session"),
        replace(POOL, own={"user": "web", "password": "other"}),
    ],
)
def test_another_address_kind_or_own_login_needs_one(changed: Pool) -> None:
    assert render(changed).shape != render(POOL).shape


def test_signs_in_a_password_stay_in_the_password() -> None:
    files = render(
        replace(POOL, login={"user": "w'1", "password": "a' b\"\\"}, own={"user": 'w"', "password": '"'})
    )
    assert b"user='w''1' password='a'' b\"\\'\n" in files.files[INI]
    assert files.files[USERS].startswith(b'"w""" """"\n')
    assert b'host all "w""" 0.0.0.0/0 scram-sha-256\n' in files.files[RULES]


def test_only_sessions_keep_a_connection_each() -> None:
    assert b"pool_mode = transaction\n" in render(POOL).files[INI]
    assert b"pool_mode = session\n" in render(replace(POOL, clients="session")).files[INI]


@pytest.mark.parametrize(
    "wrong",
    [
        replace(POOL, login={"user": "w", "password": "x\n[pgbouncer]"}),
        replace(POOL, login={"user": "w\0", "password": "x"}),
        replace(POOL, login={"user": "w" * 64, "password": "x"}),
        replace(POOL, login={}),
        replace(POOL, own={"user": "hanse_agent", "password": "x"}),
        replace(POOL, listen=("localhost", 5432)),
        replace(POOL, listen=("127.0.0.9", 70_000)),
        replace(POOL, upstream=("127.0.0.8 user=x", 5432)),
        replace(POOL, clients="all"),  # type: ignore[arg-type]
    ],
)
def test_a_value_that_does_not_fit_is_refused_without_being_repeated(wrong: Pool) -> None:
    with pytest.raises(Permanent) as caught:
        render(wrong)
    assert caught.value.code == "pool-invalid"
    assert "[pgbouncer]" not in caught.value.message
