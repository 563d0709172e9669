"""A site's line to the hub: real TLS on loopback, the real server, the real client."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from hanse.ports import Permanent, Temporary
from hanse.trust.authority import CLIENT_DAYS, Authority, make_authority
from hanse.trust.invitation import Invitation
from hanse.trust.keys import make_key, private_pem, thumbprint_of
from hanse.wire.hub_client import HubClient, Identity, enrol
from hanse.wire.server import client_thumbprint, serve
from hanse.wire.tls import hub_server_context

NOW = datetime.now(UTC)
IMAGE = b"image" * 300_000
DIGEST = "sha256:" + hashlib.sha256(IMAGE).hexdigest()


@dataclass
class Hub:
    """A tiny ASGI application that answers as the hub's site routes do."""

    directory: Path
    authority: Authority = field(default_factory=lambda: make_authority(make_key(), NOW))
    observed: list[str] = field(default_factory=list)
    seen: list[str | None] = field(default_factory=list)
    refuse: tuple[int, dict[str, str]] | None = None
    url: str = ""

    def __post_init__(self) -> None:
        self.key = make_key()
        self.site_key = make_key()
        for name, key in (("hub", self.key), ("site", self.site_key)):
            (self.directory / f"{name}.key").write_bytes(private_pem(key))
        server = self.authority.issue_server(self.key, ["127.0.0.1"], NOW)
        client = self.authority.issue_client(self.site_key, "alpha/one", NOW)
        (self.directory / "server.crt").write_text(server)
        (self.directory / "hub.crt").write_text(client)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        self.seen.append(client_thumbprint(scope))
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": "3"})
            await send({"type": "websocket.close", "code": 1000})
            return
        body = b""
        while (event := await receive()).get("more_body"):
            body += event["body"]
        status, answer = self._answer(scope, body + event.get("body", b""))
        headers = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _answer(self, scope: dict[str, Any], body: bytes) -> tuple[int, bytes]:
        if self.refuse:
            return self.refuse[0], json.dumps(self.refuse[1]).encode()
        match scope["path"]:
            case "/v1/site/instructions":
                since = int(parse_qs(scope["query_string"].decode())["since"][0])
                return 200, json.dumps({"documents": [f"after-{since}"]}).encode()
            case "/v1/site/observations":
                self.observed += json.loads(body)["documents"]
                return 204, b""
            case "/v1/site/certificate":
                return 200, json.dumps({"certificate_pem": self.authority.certificate_pem}).encode()
            case "/v1/enrolments":
                return 200, body
            case path if path.endswith(DIGEST):
                return 200, IMAGE
            case _:
                return 404, b'{"code": "image-missing", "title": "no such image"}'

    def client(self) -> HubClient:
        identity = Identity(
            self.authority.certificate_pem, self.directory / "hub.crt", self.directory / "site.key"
        )
        return HubClient(self.url, thumbprint_of(self.key), identity)


@asynccontextmanager
async def running(hub: Hub) -> AsyncIterator[Hub]:
    context = hub_server_context(
        hub.directory / "server.crt", hub.directory / "hub.key", hub.authority.certificate_pem
    )
    stop, up = asyncio.Event(), asyncio.Event()

    def ready(host: str, port: int) -> None:
        hub.url = f"https://{host}:{port}"
        up.set()

    server = asyncio.create_task(serve(hub, ("127.0.0.1", 0), context, stop=stop, ready=ready))
    await up.wait()
    try:
        yield hub
    finally:
        stop.set()
        await server


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    async with running(Hub(tmp_path)) as found:
        yield found


async def test_instructions_come_back_and_the_hub_sees_the_sites_key(hub: Hub) -> None:
    client = hub.client()
    assert await client.instructions(7, 0.1) == ["after-7"]
    assert await client.instructions(8, 0.1) == ["after-8"]
    await client.aclose()
    assert hub.seen == [thumbprint_of(hub.site_key)] * 2


async def test_observations_arrive(hub: Hub) -> None:
    client = hub.client()
    await client.observe(["a", "b"])
    await client.aclose()
    assert hub.observed == ["a", "b"]


async def test_the_wake_up_line_wakes_at_once_then_on_each_message_then_says_it_is_lost(hub: Hub) -> None:
    wakes = hub.client().wakes()
    assert [await anext(wakes), await anext(wakes)] == [None, None]
    with pytest.raises(Temporary) as caught:
        await anext(wakes)
    assert caught.value.code == "hub-unreachable"
    assert hub.seen == [thumbprint_of(hub.site_key)]


async def test_an_image_is_stored_whole_and_verified(hub: Hub, tmp_path: Path) -> None:
    client = hub.client()
    path = await client.fetch(DIGEST, tmp_path / "images" / "one")
    await client.aclose()
    assert path.read_bytes() == IMAGE
    assert [one.name for one in path.parent.iterdir()] == ["one"]


async def test_an_image_that_is_not_there_leaves_no_file(hub: Hub, tmp_path: Path) -> None:
    client = hub.client()
    with pytest.raises(Permanent) as caught:
        await client.fetch("sha256:" + "0" * 64, tmp_path / "images" / "one")
    await client.aclose()
    assert caught.value.code == "image-missing"
    assert not list((tmp_path / "images").iterdir())


async def test_a_site_asks_for_a_new_certificate_by_its_present_one(hub: Hub) -> None:
    client = hub.client()
    assert await client.certificate() == hub.authority.certificate_pem
    await client.aclose()
    assert hub.seen == [thumbprint_of(hub.site_key)]


async def test_a_certificate_that_ended_opens_nothing_and_its_successor_does_without_a_restart(
    hub: Hub,
) -> None:
    file = hub.directory / "hub.crt"
    valid = file.read_text()
    ended = NOW - timedelta(days=CLIENT_DAYS + 1)
    file.write_text(hub.authority.issue_client(hub.site_key, "alpha/one", ended))
    client = hub.client()
    with pytest.raises(Temporary):
        await client.instructions(0, 0)
    file.write_text(valid)
    client.reload()
    assert await client.instructions(0, 0) == ["after-0"]
    await client.aclose()


async def test_enrolment_needs_no_certificate_but_the_hubs_key(hub: Hub) -> None:
    invitation = Invitation(hub.url, thumbprint_of(hub.key), "secret")
    assert await enrol(invitation, {"token": "t"}) == {"token": "t"}
    assert hub.seen == [None]


async def test_a_hub_with_another_key_is_told_nothing(hub: Hub) -> None:
    with pytest.raises(Temporary) as caught:
        await enrol(Invitation(hub.url, "0" * 64, "secret"), {"token": "t"})
    assert caught.value.code == "hub-key-wrong"
    assert hub.seen == []


async def test_a_stranger_that_answers_at_the_hubs_address_is_told_nothing(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    async with running(Hub(tmp_path / "other")) as other:
        other.url, hub.url = "", other.url
        with pytest.raises(Temporary):
            await hub.client().instructions(0, 0)
        with pytest.raises(Temporary):
            await anext(hub.client().wakes())
    assert other.seen == []


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (503, "busy", Temporary),
        (409, "conflict", Temporary),
        (409, "token-used", Permanent),
        (403, "no", Permanent),
    ],
)
async def test_the_hubs_problems_become_the_two_words(hub: Hub, status: int, code: str, kind: type) -> None:
    hub.refuse = (status, {"code": code, "title": "because"})
    client = hub.client()
    with pytest.raises(kind) as caught:
        await client.observe([])
    await client.aclose()
    assert caught.value.code == code


async def test_a_hub_that_is_off_is_unreachable(hub: Hub, unused_tcp_port: int) -> None:
    hub.url = f"https://127.0.0.1:{unused_tcp_port}"
    with pytest.raises(Temporary, match="refused") as caught:
        await hub.client().instructions(0, 0)
    assert caught.value.code == "hub-unreachable"


async def test_a_port_that_is_taken_is_named(hub: Hub) -> None:
    port = int(hub.url.rpartition(":")[2])
    with pytest.raises(Permanent, match=str(port)) as caught:
        await serve(hub, ("127.0.0.1", port), None, stop=asyncio.Event())
    assert caught.value.code == "port-taken"
