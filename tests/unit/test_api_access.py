"""Who is let in, and how the API says no."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hub_files import shop_file
from hub_world import TOKEN, Http, PlayedSite, ShownCertificate, World

from hanse.api.notify import Notifier
from hanse.api.problems import STATUSES
from hanse.api.server import BODY_MAX_BYTES, make_api
from hanse.hub.membership import require_site
from hanse.model.replica.observation import ReachState

PUBLIC = {"/v1/enrolments"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "images")


def routes_of(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.ask("GET", "/openapi.json")["paths"]
    return found


def test_every_route_but_enrolment_wants_a_credential(world: World) -> None:
    for path, methods in routes_of(world).items():
        for method in methods:
            reply = world.http.request(method.upper(), path, headers={"Authorization": ""}, json={})
            wanted = 422 if path in PUBLIC else 401
            assert reply.status_code == wanted, (method, path, reply.text)
            assert reply.headers["content-type"] == "application/problem+json"


def test_a_wrong_token_is_told_apart_from_none(world: World) -> None:
    assert world.refused("GET", "/v1/sites", Authorization="Bearer wrong") == (401, "wrong-credential")
    assert world.refused("GET", "/v1/sites", Authorization=TOKEN) == (401, "no-credential")


def test_the_admin_token_does_not_open_the_routes_of_sites(world: World) -> None:
    assert world.refused("GET", "/v1/site/instructions") == (401, "wrong-site-key")
    strange = {"x_test_thumbprint": "0" * 64}
    assert world.refused("GET", "/v1/site/instructions", None, **strange) == (401, "wrong-site-key")


def enrolment(site: PlayedSite, token: str) -> dict[str, str]:
    return {
        "token": token,
        "site": site.name,
        "self_certificate_pem": site.certificate,
        "sealing_key": site.sealing,
    }


def test_a_token_is_for_one_site_one_key_and_a_while(world: World) -> None:
    token = world.ask("POST", "/v1/invitations", {"site": "alder/one"})["token"]
    first, second = PlayedSite(world, "alder/one"), PlayedSite(world, "alder/one")
    stranger = PlayedSite(world, "birch/one")
    path = "/v1/enrolments"
    assert world.refused("POST", path, enrolment(stranger, token)) == (403, "token-for-another-site")
    assert world.refused("POST", path, enrolment(first, "nothing")) == (403, "token-unknown")
    assert world.refused("POST", path, enrolment(first, "hanse1.x")) == (422, "token-malformed")
    answer = first.enrol(token)
    assert first.enrol(token)["hub_thumbprint"] == answer["hub_thumbprint"]
    assert world.refused("POST", path, enrolment(second, token)) == (403, "token-used")
    assert world.refused("POST", "/v1/invitations", {"site": "alder/one"}) == (422, "site-joined")


def test_an_expired_token_is_refused(world: World) -> None:
    token = world.ask("POST", "/v1/invitations", {"site": "alder/one", "hours": 1})["token"]
    world.watch.time = world.watch.time.replace(hour=14)
    site = PlayedSite(world, "alder/one")
    assert world.refused("POST", "/v1/enrolments", enrolment(site, token)) == (403, "token-expired")


def test_one_key_cannot_join_as_two_sites(world: World) -> None:
    world.join("alder/one")
    token = world.ask("POST", "/v1/invitations", {"site": "birch/one"})["token"]
    again = PlayedSite(world, "birch/one")
    again.certificate = world.sites["alder/one"].certificate
    assert world.refused("POST", "/v1/enrolments", enrolment(again, token)) == (422, "key-in-use")


def test_an_observation_by_another_key_or_about_another_site_is_refused_alone(world: World) -> None:
    world.join("alder/one", "birch/one")
    one, other = world.sites["alder/one"], world.sites["birch/one"]
    good = one.sign("reach", ReachState(rtt_ms={}))
    answer = one.send(other.sign("reach", ReachState(rtt_ms={})), "rubbish", good, good)
    assert [each["code"] for each in answer["refused"]] == ["signature-wrong", "signature-wrong"]
    assert answer["taken"] == 1


def test_an_older_observation_changes_nothing(world: World) -> None:
    world.join("alder/one")
    site = world.sites["alder/one"]
    older = site.sign("reach", ReachState(rtt_ms={"birch/one": 1}))
    newer = site.sign("reach", ReachState(rtt_ms={"birch/one": 2}))
    assert site.send(newer)["taken"] == 1
    assert site.send(older) == {"taken": 0, "older": 1, "refused": []}


def test_a_site_that_states_another_place_is_not_believed(world: World) -> None:
    world.join("alder/one", "birch/one")
    world.sites["birch/one"].statement = world.sites["alder/one"].statement  # type: ignore[method-assign]
    world.sites["birch/one"].state()
    with world.hub.look() as tx:
        kept = require_site(tx, "birch/one").value.statement
    assert kept is not None
    assert kept.site.site == "birch/one"


def test_a_site_that_carries_work_cannot_leave(world: World) -> None:
    world.join("alder/one", "birch/one")
    world.play()
    world.apply(shop_file(world.push_image()))
    world.play()
    site = world.sites["alder/one"]
    headers = {"x_test_thumbprint": site.signer.thumbprint}
    assert world.refused("POST", "/v1/site/departure", {}, **headers) == (422, "site-busy")
    world.ask("POST", "/v1/applications/shop/retirement", {"erase_now": True})
    world.play()
    assert world.ask("POST", "/v1/site/departure", {}, **headers) == {"site": "alder/one"}
    assert world.refused("GET", "/v1/site/instructions", None, **headers) == (401, "wrong-site-key")
    assert world.sites["birch/one"].pull()[-1].order.peers == ()


def test_a_lost_site_can_be_removed_by_the_hub_and_join_anew(world: World) -> None:
    world.join("alder/one", "birch/one")
    world.play()
    world.apply(shop_file(world.push_image()))
    world.play()
    assert world.refused("DELETE", "/v1/sites/alder/one") == (422, "site-busy")
    world.ask("POST", "/v1/applications/shop/retirement", {"erase_now": True})
    world.play()
    lost = {"x_test_thumbprint": world.sites["alder/one"].signer.thumbprint}
    assert world.ask("DELETE", "/v1/sites/alder/one") == {"site": "alder/one"}
    assert world.refused("GET", "/v1/site/instructions", None, **lost) == (401, "wrong-site-key")
    assert world.refused("DELETE", "/v1/sites/alder/one") == (404, "site-unknown")
    world.join("alder/one")
    world.play()


def test_a_site_that_retains_data_is_not_removed_before_its_date(world: World) -> None:
    world.join("alder/one", "birch/one")
    world.play()
    world.apply(shop_file(world.push_image()))
    world.play()
    world.ask("POST", "/v1/applications/shop/retirement", {"erase_now": False})
    world.play()
    assert world.refused("DELETE", "/v1/sites/alder/one") == (422, "site-busy")
    world.watch.time += timedelta(days=4000)
    assert world.ask("DELETE", "/v1/sites/alder/one") == {"site": "alder/one"}


def test_bodies_beyond_the_limit_are_refused_before_they_are_read(world: World) -> None:
    large = "x" * (BODY_MAX_BYTES + 1)
    assert world.refused("POST", "/v1/plans", {"file": large}) == (413, "body-too-large")


@pytest.mark.parametrize("path", ["/v1/catalogues", "/v1/site/observations", "/v1/plans"])
def test_a_stranger_is_refused_before_the_body_is_looked_at(world: World, path: str) -> None:
    sent = []

    async def large() -> AsyncIterator[bytes]:
        for _ in range(100):
            sent.append(1)
            yield b"x" * 100_000

    headers = {"Authorization": "Bearer wrong", "Content-Length": "10000000"}
    reply = world.http.request("POST", path, content=large(), headers=headers)
    assert reply.status_code == 401
    assert sum(sent) * 100_000 <= BODY_MAX_BYTES + 200_000


def test_a_body_that_does_not_say_its_length_is_refused(world: World) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 1000

    reply = world.http.request("POST", "/v1/plans", content=endless())
    assert (reply.status_code, reply.json()["code"]) == (413, "body-too-large")


def test_unknown_paths_methods_and_fields_are_problems_too(world: World) -> None:
    assert world.refused("GET", "/v1/nothing") == (404, "path-unknown")
    assert world.refused("DELETE", "/v1/plans") == (405, "method-unknown")
    assert world.refused("POST", "/v1/plans", {"text": ""}) == (422, "request-malformed")
    assert world.refused("GET", "/v1/offers?cursor=%FF") == (422, "cursor-unknown")
    assert world.refused("GET", "/v1/offers?where=vcpu%20%3E%3E") == (422, "query-unreadable")


def test_a_fault_of_the_hub_is_no_traceback(world: World) -> None:
    world.hub.market.shipped = lambda: 1 / 0  # type: ignore[method-assign]
    assert world.refused("GET", "/v1/offers") == (500, "internal")


def test_codes_are_kebab_case_and_statuses_are_errors() -> None:
    assert all(code == code.lower() and "_" not in code for code in STATUSES)
    assert all(400 <= status < 600 and title for status, title in STATUSES.values())


def test_a_long_poll_ends_when_an_instruction_comes(world: World) -> None:
    world.join("alder/one")
    site = world.sites["alder/one"]
    site.pull()
    notifier = Notifier()
    face = ShownCertificate(make_api(world.hub, TOKEN, notifier))

    async def scenario() -> httpx.Response:
        notifier.bind(asyncio.get_running_loop())
        transport = httpx.ASGITransport(face)
        async with httpx.AsyncClient(transport=transport, base_url="https://hub.example") as client:
            path = f"/v1/site/instructions?since={site.serial}&wait=30"
            waiting = asyncio.create_task(client.get(path, headers=site.headers()))
            while not notifier.is_waited_for("alder/one"):  # noqa: ASYNC110 - one turn of the loop each
                await asyncio.sleep(0)
            await asyncio.to_thread(world.join, "birch/one")
            notifier.wake(["alder/one"])
            return await asyncio.wait_for(waiting, 10)

    assert len(asyncio.run(scenario()).json()["documents"]) == 1


def test_an_image_is_kept_by_its_digest_only(world: World) -> None:
    digest = world.push_image(b"bytes")
    assert world.push_image(b"bytes") == digest
    wrong = "sha256:" + hashlib.sha256(b"others").hexdigest()
    assert put(world, wrong, b"bytes") == "digest-wrong"
    assert put(world, "sha256:short", b"bytes") == "digest-malformed"
    listed = world.ask("GET", "/v1/images")
    assert [(each["digest"], each["size_bytes"]) for each in listed["images"]] == [(digest, 5)]
    assert [path.name for path in world.directory.iterdir()] == [digest.removeprefix("sha256:")]
    world.join("alder/one")
    headers = world.sites["alder/one"].headers()
    assert world.http.request("GET", f"/v1/site/images/{digest}", headers).content == b"bytes"
    assert world.http.request("GET", f"/v1/site/images/{wrong}", headers).status_code == 404


def put(world: World, digest: str, data: bytes) -> str:
    reply = world.http.request("PUT", f"/v1/images/{digest}", content=data)
    assert reply.status_code >= 400
    return str(reply.json()["code"])


def test_an_image_in_use_is_not_removed(world: World) -> None:
    world.join("alder/one", "birch/one")
    world.play()
    digest = world.push_image()
    assert world.ask("DELETE", f"/v1/images/{world.push_image(b'unused')}")["size_bytes"] == 6
    world.apply(shop_file(digest))
    assert world.refused("DELETE", f"/v1/images/{digest}") == (422, "image-in-use")


def test_the_same_key_gets_the_same_answer_and_does_nothing_twice(world: World) -> None:
    body = {"site": "alder/one"}
    first = world.ask("POST", "/v1/invitations", body, Idempotency_Key="k1")
    again = world.http.request(
        "POST", "/v1/invitations", {"Idempotency-Key": "k1", **world.http.headers}, json=body
    )
    assert again.json() == first
    assert again.headers["idempotency-replayed"] == "true"
    assert world.ask("POST", "/v1/invitations", body)["token"] != first["token"]
    other = {"site": "birch/one"}
    refused = world.refused("POST", "/v1/invitations", other, Idempotency_Key="k1")
    assert refused == (422, "idempotency-key-reused")


def test_an_unchanged_document_is_not_sent_again(world: World) -> None:
    first = world.http.request("GET", "/v1/offers")
    tag = {"If-None-Match": first.headers["etag"]}
    assert world.http.request("GET", "/v1/offers", tag).status_code == 304
    assert isinstance(world.http, Http)


def test_pages_by_cursor_show_everything_once(world: World) -> None:
    seen: list[str] = []
    cursor = ""
    while True:
        page = world.ask("GET", f"/v1/providers?limit=3&cursor={cursor}")
        seen += [each["provider"] for each in page["providers"]]
        if page["next"] is None:
            break
        cursor = page["next"]
    assert seen == sorted(set(seen))
    assert len(seen) == page["total"]
