"""What a route repeats: a request nobody took, and one that may be repeated; nothing else."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from router_world import Service, SiteFiles, free_port

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
