"""A site's certificate for the hub: renewed by itself in time, and by a person once it has ended."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from journey_stage import TARASQUE, Journey, wait_until

from hanse.trust.authority import due_for_renewal, expires_at, load_or_make_authority
from hanse.trust.keys import load_or_make_key, write_private

pytestmark = pytest.mark.xdist_group("stage")


def grow_old(journey: Journey, days: int) -> Path:
    """The site's certificate as if it had been given so many days ago; its agent starts anew."""
    authority = load_or_make_authority(journey.directory / "hub", datetime.now(UTC))
    place = journey.place(TARASQUE)
    given = datetime.now(UTC) - timedelta(days=days)
    old = authority.issue_client(load_or_make_key(place / "site.key"), TARASQUE, given)
    write_private(place / "hub.crt", old.encode())
    journey.kill_agent(TARASQUE)
    return place / "hub.crt"


def heard(journey: Journey) -> str:
    rows = journey.ask("sites", "--where", f"site = '{TARASQUE}'")["sites"]
    return str(rows[0]["last_seen_at"])


def test_a_certificate_with_less_than_a_third_left_is_renewed_by_the_agent(journey: Journey) -> None:
    file = grow_old(journey, 300)
    now = datetime.now(UTC)
    assert due_for_renewal(file.read_text(), now)
    wait_until(lambda: not due_for_renewal(file.read_text(), now), "the renewal", 20)


def test_one_that_ended_is_made_anew_by_a_token_for_the_same_key(journey: Journey) -> None:
    file = grow_old(journey, 400)
    log = journey.directory / "tarasque.log"
    wait_until(lambda: "--again" in log.read_text(), "the agent's words", 20)
    before = heard(journey)
    token = journey.ask("invite", TARASQUE, "--again")["token"]
    journey.do("site", "join", token, "--again", "--dir", str(file.parent))
    assert expires_at(file.read_text()) > datetime.now(UTC) + timedelta(days=300)
    journey.kill_agent(TARASQUE)
    wait_until(lambda: heard(journey) > before, "the site's word", 30)
