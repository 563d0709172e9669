"""The site's way into the hub: renewed in time, by the hub only, never for something worse."""

import asyncio
import stat
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from agent_world import START, World, play

from hanse.agent.agent import Agent
from hanse.agent.place.renewal import HubCertificate
from hanse.ports import Temporary
from hanse.trust.authority import CLIENT_DAYS, expires_at, make_authority
from hanse.trust.keys import make_key, thumbprint_of, write_private

KEY, OTHER = make_key(), make_key()
AUTHORITY = make_authority(make_key(), START)
LATE_DAYS = CLIENT_DAYS * 0.8


class Over(Exception):  # noqa: N818 - no error: the test's time is up
    """The last day of a test has come."""


class Calendar:
    """A clock whose sleepers wake at once, until the last day."""

    def __init__(self, first: float, last: float) -> None:
        self.days, self.last = first, last

    def now(self) -> datetime:
        return START + timedelta(days=self.days)

    def monotonic(self) -> float:
        return self.days * 86_400

    async def sleep(self, seconds: float) -> None:
        self.days += seconds / 86_400
        if self.days > self.last:
            raise Over


class PlayedHub:
    """Certifies by a calendar, or says no. The site's present certificate is from START."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.first = AUTHORITY.issue_client(KEY, "a/1", START)
        write_private(file, self.first.encode())
        self.calendar = Calendar(0, 0)
        self.asked: list[float] = []
        self.answer: str | Exception | None = None
        self.reloads = 0

    async def certificate(self) -> str:
        self.asked.append(self.calendar.days)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or AUTHORITY.issue_client(KEY, "a/1", self.calendar.now())

    def reload(self) -> None:
        self.reloads += 1

    def kept(self) -> HubCertificate:
        return HubCertificate(self.file, thumbprint_of(KEY), self)

    def keep(self, first: float, last: float) -> None:
        """The agent runs from one day to another."""
        self.calendar = Calendar(first, last)
        with pytest.raises(Over):
            asyncio.run(self.kept().keep(self.calendar))

    def is_untouched(self) -> bool:
        return self.reloads == 0 and self.file.read_text() == self.first


@pytest.fixture
def hub(tmp_path: Path) -> PlayedHub:
    return PlayedHub(tmp_path / "hub.crt")


def test_a_certificate_with_more_than_a_third_of_its_time_left_stays(hub: PlayedHub) -> None:
    hub.keep(0, CLIENT_DAYS * 2 / 3 - 1)
    assert hub.asked == []
    assert hub.is_untouched()


def test_it_is_renewed_once_when_a_third_of_its_time_is_left(hub: PlayedHub) -> None:
    hub.keep(0, CLIENT_DAYS)
    assert len(hub.asked) == hub.reloads == 1
    assert hub.asked[0] == pytest.approx(CLIENT_DAYS * 2 / 3, abs=1.1)
    assert expires_at(hub.file.read_text()) > START + timedelta(days=CLIENT_DAYS * 1.6)
    assert stat.S_IMODE(hub.file.stat().st_mode) == 0o600


def test_a_site_that_was_off_renews_at_its_start(hub: PlayedHub) -> None:
    hub.keep(LATE_DAYS, LATE_DAYS + 0.01)
    assert hub.reloads == 1


def test_while_the_hub_is_away_the_old_one_stays_and_it_is_tried_hourly(hub: PlayedHub) -> None:
    hub.answer = Temporary("hub-unreachable", "the hub is away")
    hub.keep(LATE_DAYS, LATE_DAYS + 1)
    assert len(hub.asked) in (24, 25)
    assert hub.is_untouched()
    hub.answer = None
    hub.keep(LATE_DAYS + 1, LATE_DAYS + 2)
    assert hub.reloads == 1


@pytest.mark.parametrize("wrong", ["another key", "no later end", "no certificate"])
def test_what_is_no_better_than_the_old_one_is_not_taken(
    hub: PlayedHub, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    other = AUTHORITY.issue_client(OTHER, "a/1", START + timedelta(days=LATE_DAYS))
    hub.answer = {"another key": other, "no later end": hub.first, "no certificate": "x" * 100}[wrong]
    hub.keep(LATE_DAYS, LATE_DAYS + 0.5)
    assert hub.is_untouched()
    assert "is not renewed yet" in caplog.text


def test_a_file_that_cannot_be_read_does_not_end_the_agent(hub: PlayedHub) -> None:
    hub.file.unlink()
    hub.keep(LATE_DAYS, LATE_DAYS + 0.5)
    assert hub.asked == []


def test_one_that_ended_is_told_once_and_its_successor_is_taken_within_a_minute(
    hub: PlayedHub, caplog: pytest.LogCaptureFixture
) -> None:
    day, minute = CLIENT_DAYS + 10, 1 / 1440

    class Returning(Calendar):
        async def sleep(self, seconds: float) -> None:
            if self.days > day + 60 * minute and hub.file.read_text() == hub.first:
                write_private(hub.file, AUTHORITY.issue_client(KEY, "a/1", self.now()).encode())
                assert hub.reloads == 0
            await super().sleep(seconds)

    hub.calendar = Returning(day, day + 62 * minute)
    with pytest.raises(Over):
        asyncio.run(hub.kept().keep(hub.calendar))
    assert (hub.reloads, hub.asked) == (1, [])
    assert caplog.text.count("hanse invite PROVIDER/SITE --again") == 1


def test_the_agent_keeps_its_way_into_the_hub(hub: PlayedHub) -> None:
    async def scenario(world: World) -> None:
        world.add("a/1")
        parts = world.start("a/1").parts
        await world.kill("a/1")
        await asyncio.sleep(1)
        old = AUTHORITY.issue_client(KEY, "a/1", START - timedelta(days=LATE_DAYS))
        write_private(hub.file, old.encode())
        world.tasks["a/1"] = asyncio.ensure_future(Agent(replace(parts, hub_certificate=hub.kept())).run())
        await world.until(lambda: hub.reloads == 1)

    play(scenario)
