"""A joined site gets its next transport certificate by its present one; nobody else does."""

from datetime import timedelta
from pathlib import Path

import pytest
from hub_world import PlayedSite, World

from hanse.trust.authority import CLIENT_DAYS, expires_at
from hanse.trust.keys import thumbprint_of_pem

PATH = "/v1/site/certificate"


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path / "images")
    made.join("alder/one", "birch/one")
    return made


def renewed(world: World, site: PlayedSite) -> str:
    reply = world.http.request("POST", PATH, json={}, headers=site.headers())
    assert reply.status_code == 200, reply.text
    return str(reply.json()["certificate_pem"])


def test_a_site_is_certified_anew_over_its_own_key(world: World) -> None:
    world.watch.time += timedelta(days=100)
    site = world.sites["alder/one"]
    pem = renewed(world, site)
    assert thumbprint_of_pem(pem) == site.signer.thumbprint
    assert expires_at(pem) == world.watch.now() + timedelta(days=CLIENT_DAYS)


def test_it_is_written_down(world: World) -> None:
    renewed(world, world.sites["alder/one"])
    with world.hub.look() as tx:
        entry = tx.entries("site/alder/one/")[0]
    assert entry["kind"] == "site-certified"
    assert entry["payload"]["thumbprint"] == world.sites["alder/one"].signer.thumbprint


def test_a_site_that_left_and_a_stranger_get_nothing(world: World) -> None:
    headers = {"x_test_thumbprint": world.sites["alder/one"].signer.thumbprint}
    world.ask("POST", "/v1/site/departure", {}, **headers)
    assert world.refused("POST", PATH, {}, **headers) == (401, "wrong-site-key")
    assert world.refused("POST", PATH, {}) == (401, "wrong-site-key")


def test_a_joined_site_whose_certificate_ended_comes_back_by_its_own_key_only(world: World) -> None:
    site, stranger = world.sites["alder/one"], PlayedSite(world, "alder/one")
    world.watch.time += timedelta(days=CLIENT_DAYS + 10)
    token = world.ask("POST", "/v1/invitations", {"site": "alder/one", "again": True})["token"]
    body = {
        "token": token,
        "site": "alder/one",
        "self_certificate_pem": stranger.certificate,
        "sealing_key": stranger.sealing,
    }
    assert world.refused("POST", "/v1/enrolments", body) == (422, "site-joined")
    pem = site.enrol(token)["certificate_pem"]
    assert expires_at(pem) == world.watch.now() + timedelta(days=CLIENT_DAYS)
    assert world.sites["alder/one"].pull()
