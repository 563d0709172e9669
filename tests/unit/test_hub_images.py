"""Images in the hub: what breaks off in the middle leaves nothing, and nothing is lost by a race."""

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hub_world import TOKEN, World

from hanse.api.notify import Notifier
from hanse.api.server import make_api
from hanse.hub.commands.images import find_image, image_file, remove_image, store_image, tidy_images

DATA = b"an image"
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "images")


def received(world: World) -> Path:
    path = world.directory / ".receiving-test"
    path.write_bytes(DATA)
    return path


def broken_off(world: World, method: str, path: str) -> list[Any]:
    """What is sent to a client that goes away after the first bytes of its body."""
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [
            (b"authorization", f"Bearer {TOKEN}".encode()),
            (b"content-length", b"1000"),
            (b"idempotency-key", b"k1"),
        ],
        "extensions": {},
    }
    heard = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return heard.pop(0) if len(heard) > 1 else heard[0]

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(make_api(world.hub, TOKEN, Notifier())(scope, receive, send))
    return sent


@pytest.mark.parametrize(("method", "path"), [("PUT", f"/v1/images/{DIGEST}"), ("POST", "/v1/plans")])
def test_a_client_that_goes_away_is_no_fault_of_the_hub(world: World, caplog, method: str, path: str) -> None:
    with caplog.at_level(logging.INFO):
        broken_off(world, method, path)
    assert not [record for record in caplog.records if record.name.startswith("hanse")]
    assert list(world.directory.iterdir()) == []
    assert world.ask("GET", "/v1/images")["images"] == []


def test_an_image_pushed_again_while_it_is_removed_is_kept_whole(world: World) -> None:
    store_image(world.hub, DIGEST, received(world))

    def push_again(_sites: Sequence[str]) -> None:
        store_image(world.hub, DIGEST, received(world))

    remove_image(replace(world.hub, wake=push_again), DIGEST)
    assert find_image(world.hub, DIGEST).size_bytes == len(DATA)
    assert image_file(world.hub, DIGEST).read_bytes() == DATA


def test_a_removed_image_leaves_no_bytes(world: World) -> None:
    store_image(world.hub, DIGEST, received(world))
    remove_image(world.hub, DIGEST)
    assert list(world.directory.iterdir()) == []


def test_a_start_tidies_what_a_kill_left_behind(world: World) -> None:
    other = b"removed, not committed"
    kept = "sha256:" + hashlib.sha256(other).hexdigest()
    (world.directory / ".receiving-x").write_bytes(other)
    store_image(world.hub, kept, world.directory / ".receiving-x")
    image_file(world.hub, kept).rename(world.directory / f".removing-{kept.removeprefix('sha256:')}")
    (world.directory / ".receiving-half").write_bytes(b"ha")
    image_file(world.hub, DIGEST).write_bytes(DATA)
    tidy_images(world.hub)
    assert list(world.directory.iterdir()) == [image_file(world.hub, kept)]
    assert image_file(world.hub, kept).read_bytes() == other


@pytest.mark.parametrize("limit", ["-5", "0", "1001", "many"])
@pytest.mark.parametrize("noun", ["offers", "sites", "providers"])
def test_a_page_of_an_impossible_length_is_refused(world: World, noun: str, limit: str) -> None:
    reply = world.http.request("GET", f"/v1/{noun}?limit={limit}")
    assert (reply.status_code, reply.json()["code"]) == (422, "request-malformed")
    assert "query.limit" in reply.json()["detail"]
