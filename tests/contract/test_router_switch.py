"""The way of a request through connector, gate and service, while the service moves."""

import asyncio
import http.client
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from router_world import Client, Service, SiteFiles, ask, free_port

from hanse.drivers.contract import GateStream, LocalRoute, RouteUpstream
from hanse.drivers.endpoint.router import HaproxyRouter

STREAM = "shop/files/0/live:clients"
ROUTE = "connector:shop/web/files"


@dataclass
class World:
    """Service at sites A and B behind gates; the consumer at site C behind its connector."""

    sites: dict[str, SiteFiles]
    routers: dict[str, HaproxyRouter]
    services: dict[str, Service]
    streams: dict[str, GateStream]
    route: LocalRoute

    async def gate(self, site: str, *, is_open: bool) -> None:
        stream = self.streams[site]
        changed = GateStream(
            stream.name, stream.port, stream.upstream, stream.allowed_certificates_pem, is_open
        )
        await self.routers[site].hold((changed,), ())


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    sites = {one: SiteFiles(tmp_path / one, f"p-{one}/{one}1") for one in "abc"}
    routers = {name: site.router() for name, site in sites.items()}
    services = {one: Service(sites[one]) for one in "ab"}
    streams = {
        one: GateStream(
            STREAM, free_port(sites[one].address), services[one].address, (sites["c"].pem,), one == "a"
        )
        for one in "ab"
    }
    upstreams = tuple(
        RouteUpstream(sites[one].name, (sites[one].address, streams[one].port), sites[one].pem)
        for one in "ab"
    )
    listen = (sites["c"].address, free_port(sites["c"].address))
    route = LocalRoute(ROUTE, "http", listen, upstreams, sites["a"].name)
    for one in "ab":
        await routers[one].hold((streams[one],), ())
    await routers["c"].hold((), (route,))
    yield World(sites, routers, services, streams, route)
    for router in routers.values():
        await router.stop()
    for service in services.values():
        service.stop()


async def test_clients_see_no_error_while_the_service_moves(world: World) -> None:
    clients = [Client(world.route.listen, method) for method in ("PUT", "GET")]
    await asyncio.sleep(0.5)
    cut = await world.routers["a"].close(STREAM, 2.0)
    await asyncio.sleep(2.0)
    await world.routers["b"].open(STREAM)
    await world.routers["c"].switch(ROUTE, world.sites["b"].name)
    await asyncio.sleep(1.5)
    for client in clients:
        await client.finish()
    assert cut == 0
    assert [client.errors for client in clients] == [[], []]
    assert {text for client in clients for text in client.answers} == {"p-a/a1", "p-b/b1"}
    assert all(client.slowest_seconds < 20 for client in clients)


async def test_a_connection_that_rests_through_a_reload_finds_the_new_place(world: World) -> None:
    old, both = world.route.upstreams[:1], world.route.upstreams
    router, visitor = world.routers["c"], http.client.HTTPConnection(*world.route.listen, timeout=20)
    await router.hold((), (replace(world.route, upstreams=old),))
    assert await asyncio.to_thread(ask_again, visitor) == (200, "p-a/a1")
    await router.hold((), (world.route,))
    await world.routers["b"].open(STREAM)
    await router.switch(ROUTE, both[1].name)
    await world.routers["a"].close(STREAM, 1.0)
    began = time.monotonic()
    assert await asyncio.to_thread(ask_again, visitor) == (200, "p-b/b1")
    assert time.monotonic() - began < 15
    visitor.close()


def ask_again(connection: http.client.HTTPConnection) -> tuple[int, str]:
    connection.request("GET", "/")
    reply = connection.getresponse()
    return reply.status, reply.read().decode()


async def test_a_switch_needs_no_new_worker(world: World) -> None:
    await world.routers["b"].open(STREAM)
    loaded = (world.sites["c"].directory / "router/loaded.json").stat().st_mtime_ns
    await world.routers["c"].switch(ROUTE, world.sites["b"].name)
    assert (world.sites["c"].directory / "router/loaded.json").stat().st_mtime_ns == loaded
    assert await ask(world.route.listen) == (200, "p-b/b1")


async def test_requests_wait_while_no_upstream_is_active(world: World) -> None:
    await world.routers["c"].switch(ROUTE, None)
    waiting = asyncio.create_task(ask(world.route.listen))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    await world.routers["c"].switch(ROUTE, world.sites["a"].name)
    assert await waiting == (200, "p-a/a1")


async def test_draining_waits_for_what_runs_and_not_for_what_waits(world: World) -> None:
    world.services["a"].pause_seconds = 0.4
    running = asyncio.create_task(ask(world.route.listen))
    router = world.routers["c"]
    while not await router.running(ROUTE):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await router.switch(ROUTE, None)
    waiting = asyncio.create_task(ask(world.route.listen))
    assert await router.drain(ROUTE, 0.0) == 1
    assert await router.drain(ROUTE, 5.0) == 0
    assert running.done() or await asyncio.wait_for(running, 0.2)
    assert not waiting.done()
    await router.switch(ROUTE, world.sites["b"].name)
    await world.routers["b"].open(STREAM)
    assert await waiting == (200, "p-b/b1")


async def test_a_reload_breaks_no_request(world: World) -> None:
    client = Client(world.route.listen, "PUT")
    for number in range(5):
        extra = LocalRoute(
            f"endpoint:shop/extra{number}",
            "tcp",
            (world.route.listen[0], free_port(world.route.listen[0])),
            (),
            None,
        )
        await world.routers["c"].hold((), (world.route, extra))
        await asyncio.sleep(0.3)
    await client.finish()
    assert client.errors == []


async def test_a_large_upload_passes_with_its_host_header_as_sent(world: World) -> None:
    body = bytes(50 * 1024 * 1024)
    assert await ask(world.route.listen, "PUT", "/large", body) == (200, "p-a/a1")
    assert world.services["a"].stored["/large"] == len(body)
    seen = {name.lower(): value for name, value in world.services["a"].headers_seen.items()}
    assert seen["host"] == f"{world.route.listen[0]}:{world.route.listen[1]}"
    assert not [name for name in seen if name.startswith("x-forwarded")]
