"""What a route repeats: a request nobody took, and one that may be repeated; nothing else."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from router_world import Service, SiteFiles, ask, free_port

from hanse.drivers.contract import GateStream, LocalRoute, RouteUpstream
from hanse.drivers.endpoint.router import HaproxyRouter


@dataclass
class World:
    """One service behind its site's gate, one client at that site's route."""

    router: HaproxyRouter
    service: Service
    stream: GateStream
    route: LocalRoute

    async def send(self, method: str, body: bytes = b"") -> str:
        """The whole answer to a request whose head and body leave in one piece: so it can be repeated."""
        reader, writer = await asyncio.open_connection(*self.route.listen)
        head = f"{method} / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.read()
        writer.close()
        return answer.decode()

    async def retries_unavailable(self) -> None:
        self.route = replace(self.route, retries_unavailable=True)
        await self.router.hold((self.stream,), (self.route,))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    site = SiteFiles(tmp_path / "a", "p-a/a1")
    service = Service(site)
    port, listen = free_port(site.address), (site.address, free_port(site.address))
    stream = GateStream("shop/files/0/live:clients", port, service.address, (site.pem,), open=True)
    upstream = RouteUpstream(site.name, (site.address, port), site.pem)
    route = LocalRoute("endpoint:shop/files", "http", listen, (upstream,), site.name)
    router = site.router()
    await router.hold((stream,), (route,))
    yield World(router, service, stream, route)
    await router.stop()
    service.stop()


@pytest.mark.parametrize("method", ["POST", "PATCH", "MOVE", "post", "FANCY"])
async def test_a_request_that_must_not_be_repeated_arrives_once(world: World, method: str) -> None:
    world.service.break_off[method] = 1
    answer = await world.send(method, b"pay 5 euros")
    assert world.service.arrived == [(method, "pay 5 euros")]
    assert answer.startswith("HTTP/1.1 502")
    assert "broke off" in answer
    assert "not repeated" in answer


@pytest.mark.parametrize("method", ["GET", "PROPFIND", "DELETE"])
async def test_a_request_that_may_be_repeated_is_repeated_without_a_word(world: World, method: str) -> None:
    world.service.break_off[method] = 2
    answer = await world.send(method)
    assert answer.startswith("HTTP/1.1 200")
    assert answer.endswith("p-a/a1")
    assert world.service.arrived == [(method, "")] * 3


async def test_a_request_that_nobody_took_yet_waits_whatever_its_method(world: World) -> None:
    await world.router.close(world.stream.name, 1.0)
    waiting = asyncio.create_task(world.send("POST", b"once"))
    await asyncio.sleep(1.0)
    assert not waiting.done()
    await world.router.hold((replace(world.stream, open=True),), (world.route,))
    assert (await waiting).startswith("HTTP/1.1 200")
    assert world.service.arrived == [("POST", "once")]


@pytest.mark.parametrize("method", ["GET", "PROPFIND", "DELETE"])
async def test_a_program_that_lost_its_database_is_asked_again(world: World, method: str) -> None:
    await world.retries_unavailable()
    world.service.unavailable[method] = 5
    begun = time.monotonic()
    answer = await world.send(method, b"body")
    assert answer.startswith("HTTP/1.1 200")
    assert time.monotonic() - begun >= 0.4
    assert world.service.unavailable[method] == 0


async def test_a_body_that_comes_late_is_sent_again_with_its_head(world: World) -> None:
    await world.retries_unavailable()
    world.service.unavailable["PUT"] = 2
    reader, writer = await asyncio.open_connection(*world.route.listen)
    writer.write(b"PUT /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 6\r\n\r\nabc")
    await asyncio.sleep(0.2)
    writer.write(b"def")
    assert (await reader.read()).startswith(b"HTTP/1.1 200")
    assert world.service.stored["/x"] == 6
    writer.close()


async def test_an_unavailable_answer_to_what_must_not_be_repeated_is_passed_on(world: World) -> None:
    await world.retries_unavailable()
    world.service.unavailable["POST"] = 1
    assert (await world.send("POST", b"pay 5 euros")).startswith("HTTP/1.1 503")
    assert world.service.arrived == [("POST", "pay 5 euros")]


async def test_a_route_that_does_not_ask_for_it_passes_an_unavailable_answer_on(world: World) -> None:
    world.service.unavailable["GET"] = 1
    assert (await world.send("GET")).startswith("HTTP/1.1 503")


async def test_a_program_that_stays_unavailable_is_not_beaten(world: World) -> None:
    await world.retries_unavailable()
    world.service.unavailable["GET"] = 1000
    begun = time.monotonic()
    answer = await world.send("GET")
    assert answer.startswith("HTTP/1.1 503")
    assert answer.endswith("p-a/a1")
    assert 4 < time.monotonic() - begun < 20
    assert 1000 - world.service.unavailable["GET"] <= 51


async def test_nobody_at_all_is_said_by_the_proxy_and_once(tmp_path: Path) -> None:
    site = SiteFiles(tmp_path / "c", "p-c/c1")
    router = HaproxyRouter(site.name, tmp_path / "r", site.certificate_file, site.key_file, hold_seconds=2)
    nobody = RouteUpstream("p-a/a1", (site.address, free_port(site.address)), None)
    listen = (site.address, free_port(site.address))
    route = LocalRoute("endpoint:shop/web", "http", listen, (nobody,), "p-a/a1", retries_unavailable=True)
    await router.hold((), (route,))
    try:
        begun = time.monotonic()
        status, text = await ask(listen)
    finally:
        await router.stop()
    assert status == 504
    assert "No site answered" in text
    assert time.monotonic() - begun < 30


async def test_large_and_continued_bodies_pass_a_route_that_asks_again(world: World) -> None:
    await world.retries_unavailable()
    body = bytes(20 * 1024 * 1024)
    assert (await ask(world.route.listen, "PUT", "/large", body))[0] == 200
    assert world.service.stored["/large"] == len(body)
    reader, writer = await asyncio.open_connection(*world.route.listen)
    writer.write(b"PUT /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n")
    writer.write(b"Content-Length: 3\r\n\r\n")
    assert b"100" in await reader.readline()
    writer.write(b"abc")
    assert b"HTTP/1.1 200" in await reader.read()
    writer.close()
