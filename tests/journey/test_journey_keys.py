"""Tokens, keys and certificates that are not the right ones: refused in words, and nothing is made."""

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pytest
from journey_stage import Journey, wait_until

from hanse.demo.scenery import COMPANIES, site_file
from hanse.trust.authority import make_authority
from hanse.trust.invitation import Invitation
from hanse.trust.keys import make_key

pytestmark = pytest.mark.xdist_group("stage")


@dataclasses.dataclass
class Applicant:
    """A provider's machine that wants to become nord/oslo."""

    journey: Journey
    directory: Path
    offers: Path

    def join(self, token: str, directory: str = "site") -> list[str]:
        return ["site", "join", token, "--dir", str(self.directory / directory), "--offers", str(self.offers)]

    def is_untouched(self) -> bool:
        return not (self.directory / "site").exists()

    def invited(self, site: str = "nord/oslo") -> str:
        return str(self.journey.ask("invite", site)["token"])


@pytest.fixture
def applicant(journey: Journey, tmp_path: Path) -> Applicant:
    oslo = dataclasses.replace(COMPANIES[0], provider="nord", site="oslo")
    offers = tmp_path / "offers.yaml"
    offers.write_text(site_file(oslo, "127.0.0.1"))
    return Applicant(journey, tmp_path, offers)


def test_a_torn_token_is_told_as_torn(applicant: Applicant) -> None:
    token = applicant.invited()
    for torn in (token[:-7], token.replace("A", "B", 1)[:40], "nonsense"):
        told = applicant.journey.refused(*applicant.join(torn))
        assert "not a whole join token" in told
        assert "hanse invite PROVIDER/SITE" in told
    assert applicant.is_untouched()


def test_a_token_that_the_hub_never_gave_is_refused(applicant: Applicant) -> None:
    real = Invitation.decode(applicant.invited())
    forged = Invitation(real.url, real.hub_thumbprint, "guessed").encode()
    assert "token" in applicant.journey.refused(*applicant.join(forged))
    assert applicant.is_untouched()


def test_an_expired_token_says_when_it_expired(applicant: Applicant) -> None:
    invited = applicant.journey.ask("invite", "nord/oslo", "--hours", "0.00001")
    until = datetime.fromisoformat(invited["expires_at"])
    wait_until(lambda: datetime.now(UTC) > until, "the expiry")
    assert "nord/oslo expired at 20" in applicant.journey.refused(*applicant.join(invited["token"]))
    assert applicant.is_untouched()


def test_a_token_is_good_for_its_site_only(applicant: Applicant) -> None:
    told = applicant.journey.refused(*applicant.join(applicant.invited("nord/kiel")))
    assert "nord/kiel" in told
    assert "nord/oslo" in told
    assert applicant.is_untouched()


def test_a_token_is_good_once_and_a_site_joins_once_and_leaves(applicant: Applicant) -> None:
    token, journey = applicant.invited(), applicant.journey
    journey.do(*applicant.join(token, "first"))
    assert "already used by another key" in journey.refused(*applicant.join(token))
    assert "already belongs to nord/oslo" in journey.refused(*applicant.join(token, "first"))
    assert applicant.is_untouched()
    journey.do("site", "leave", "--dir", str(applicant.directory / "first"))
    assert "nord/oslo" not in journey.do("sites", "--where", "joined")


def test_a_hub_with_another_key_than_the_token_names_is_not_joined(applicant: Applicant) -> None:
    real = Invitation.decode(applicant.invited())
    other = Invitation(real.url, "0" * 64, real.secret).encode()
    told = applicant.journey.refused(*applicant.join(other))
    assert real.url in told
    assert "key" in told
    assert not (applicant.directory / "site" / "hub.json").exists()


def test_a_site_file_with_a_mistake_is_told_by_its_place(applicant: Applicant) -> None:
    applicant.offers.write_text(applicant.offers.read_text().replace('country: "IT"', "country: NO"))
    told = applicant.journey.refused(*applicant.join(applicant.invited()))
    assert told.startswith(f"hanse: {applicant.offers}, line 1")
    assert 'write "NO"' in told
    assert applicant.is_untouched()


def test_a_command_says_nothing_to_a_hub_of_another_authority(journey: Journey, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text(make_authority(make_key(), datetime.now(UTC)).certificate_pem)
    known = journey.config
    wrong = {"HANSE_HUB": known["url"], "HANSE_TOKEN_FILE": known["token_file"]}
    told = journey.refused("status", env=wrong | {"HANSE_HUB_CA": str(tmp_path / "ca.crt")})
    assert f"the server at {known['url']} does not show a certificate of this hub" in told
    assert "HANSE_HUB_CA" in told


def test_a_wrong_admin_token_is_told_without_showing_it(journey: Journey) -> None:
    known = journey.config
    env = {"HANSE_HUB": known["url"], "HANSE_HUB_CA": known["ca_file"], "HANSE_TOKEN": "wrong-one"}
    told = journey.refused("status", env=env)
    assert "not the hub's admin token" in told
    assert "admin.token" in told
    assert "wrong-one" not in told
