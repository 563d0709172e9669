"""A route that is held and goes on: what waits, what runs, and a reload in between."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from router_world import Service, SiteFiles, ask, free_port

from hanse.drivers.contract import LocalRoute, RouteUpstream
from hanse.drivers.endpoint.router import HaproxyRouter

ROUTE = "endpoint:shop/web"


@dataclass
class World:
    """One route to the services of two sites."""

    site: SiteFiles
    router: HaproxyRouter
    services: dict[str, Service]
    route: LocalRoute

    async def reload(self, **changes: object) -> None:
        """What another application's arrival does."""
        self.route = replace(self.route, **changes)
        address = (self.site.address, free_port(self.site.address))
        other = LocalRoute("endpoint:other/web", "tcp", address, (), None)
        before = self.router._proxy.running()
        await self.router.hold((), (self.route, other))
        assert self.router._proxy.running() == before

    async def send(self, request: bytes = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") -> str:
        reader, writer = await asyncio.open_connection(*self.route.listen)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        return answer.decode()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    site = SiteFiles(tmp_path / "c", "p-c/c1")
    services = {name: Service(SiteFiles(tmp_path / name[-2:], name)) for name in ("p-a/a1", "p-b/b1")}
    upstreams = tuple(RouteUpstream(name, one.address, None) for name, one in services.items())
    listen = (site.address, free_port(site.address))
    made = World(site, site.router(), services, LocalRoute(ROUTE, "http", listen, upstreams, "p-a/a1"))
    await made.router.hold((), (made.route,))
    yield made
    await made.router.stop()
    for service in services.values():
        service.stop()


@pytest.mark.parametrize("retries_unavailable", [False, True])
async def test_hundreds_wait_and_go_on_together(world: World, retries_unavailable: bool) -> None:
    await world.reload(retries_unavailable=retries_unavailable)
    loaded = (world.site.directory / "router/loaded.json").stat().st_mtime_ns
    await world.router.switch(ROUTE, None)
    waiting = [asyncio.create_task(world.send()) for _ in range(300)]
    await asyncio.sleep(1.5)
    assert not any(one.done() for one in waiting)
    assert await world.router.drain(ROUTE, 1.0) == 0
    begun = time.monotonic()
    await world.router.switch(ROUTE, "p-b/b1")
    answers = await asyncio.gather(*waiting)
    assert time.monotonic() - begun < 30
    assert {answer[:12] + answer[-6:] for answer in answers} == {"HTTP/1.1 200p-b/b1"}
    assert (world.site.directory / "router/loaded.json").stat().st_mtime_ns == loaded


async def test_a_hundred_short_holds_are_seen_by_nobody(world: World) -> None:
    answers: list[str] = []
    over = asyncio.Event()

    async def client() -> None:
        while not over.is_set():
            answers.append((await world.send())[:12])

    clients = [asyncio.create_task(client()) for _ in range(4)]
    for number in range(100):
        await world.router.switch(ROUTE, None)
        await world.router.switch(ROUTE, f"p-{'ab'[number % 2]}/{'ab'[number % 2]}1")
    over.set()
    await asyncio.gather(*clients)
    assert set(answers) == {"HTTP/1.1 200"}


async def test_what_runs_ends_as_if_nothing_were_held(world: World) -> None:
    world.services["p-a/a1"].pause_seconds = 0.8
    running = asyncio.create_task(world.send())
    await asyncio.sleep(0.4)
    await world.router.switch(ROUTE, None)
    assert await world.router.drain(ROUTE, 0.0) == 1
    assert (await running).endswith("p-a/a1")
    assert await world.router.drain(ROUTE, 1.0) == 0


async def test_who_waits_during_a_reload_goes_on_with_the_others(world: World) -> None:
    await world.router.switch(ROUTE, None)
    waiting = [asyncio.create_task(world.send()) for _ in range(10)]
    await asyncio.sleep(0.3)
    await world.reload(active=None)
    waiting.append(asyncio.create_task(world.send()))
    await asyncio.sleep(0.3)
    assert not any(one.done() for one in waiting)
    await world.router.switch(ROUTE, "p-b/b1")
    answers = await asyncio.wait_for(asyncio.gather(*waiting), 5)
    assert {answer[-6:] for answer in answers} == {"p-b/b1"}


async def test_who_waits_at_a_tcp_route_during_a_reload_goes_on(world: World) -> None:
    await world.reload(protocol="tcp", active=None)
    waiting = asyncio.create_task(world.send())
    await asyncio.sleep(0.3)
    await world.router.hold((), (world.route,))
    await world.router.switch(ROUTE, "p-b/b1")
    assert (await asyncio.wait_for(waiting, 5)).endswith("p-b/b1")


async def test_who_tries_in_vain_is_held_like_the_others(world: World) -> None:
    nobody = replace(world.route.upstreams[0], address=(world.site.address, free_port(world.site.address)))
    await world.reload(upstreams=(nobody, world.route.upstreams[1]))
    trying = asyncio.create_task(world.send())
    await asyncio.sleep(0.3)
    await world.router.switch(ROUTE, None)
    await asyncio.sleep(2.5)
    assert not trying.done()
    assert await world.router.drain(ROUTE, 0.0) == 0
    await world.router.switch(ROUTE, "p-b/b1")
    assert (await asyncio.wait_for(trying, 5)).endswith("p-b/b1")


async def test_who_tries_in_vain_learns_of_a_place_that_came_with_a_reload(world: World) -> None:
    nobody = replace(world.route.upstreams[0], address=(world.site.address, free_port(world.site.address)))
    both = (nobody, world.route.upstreams[1])
    await world.reload(upstreams=(nobody,))
    trying = asyncio.create_task(world.send(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
    await asyncio.sleep(0.3)
    await world.reload(upstreams=both)
    await world.router.switch(ROUTE, "p-b/b1")
    assert (await asyncio.wait_for(trying, 5)).endswith("p-b/b1")
    assert [method for method, _ in world.services["p-b/b1"].arrived] == ["POST"]


async def test_a_new_agent_lets_the_held_go_on(world: World) -> None:
    await world.router.switch(ROUTE, None)
    waiting = asyncio.create_task(ask(world.route.listen))
    await asyncio.sleep(0.2)
    await world.site.router().hold((), (world.route,))
    assert await asyncio.wait_for(waiting, 5) == (200, "p-a/a1")


async def test_draining_a_route_that_is_not_there_is_no_error(world: World) -> None:
    assert await world.router.drain("endpoint:nobody/web", 1.0) == 0
