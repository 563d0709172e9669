"""The whole way: S3 clients at a connector, gates, two buckets and a move between them under load."""

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest_asyncio
from bucket_client import REFUSED, client, get, put
from bucket_place import Place
from bucket_world import follower_source
from router_world import SiteFiles, free_port

from hanse.drivers.contract import Credential, GateStream, LocalRoute, RouteUpstream
from hanse.drivers.endpoint.router import HaproxyRouter
from hanse.model.replica.spec import MIB

STREAM = "shop/files/0/live:clients"
ROUTE = "connector:shop/web/files"


@dataclass
class Side:
    """A site with a bucket behind its gate."""

    place: Place
    files: SiteFiles
    router: HaproxyRouter
    port: int = field(init=False)

    def __post_init__(self) -> None:
        self.port = free_port(self.files.address)

    async def gate(self, consumer: SiteFiles, *, is_open: bool) -> None:
        upstream = self.place.at("clients")
        await self.router.hold((GateStream(STREAM, self.port, upstream, (consumer.pem,), is_open),), ())

    def upstream(self) -> RouteUpstream:
        return RouteUpstream(self.files.name, (self.files.address, self.port), self.files.pem)


@dataclass
class Sites:
    a: Side
    b: Side
    consumer: SiteFiles
    connector: HaproxyRouter
    listen: tuple[str, int]


@pytest_asyncio.fixture
async def sites(tmp_path: Path) -> AsyncIterator[Sites]:
    sides = []
    for name in ("fiction/one", "fable/two"):
        directory = tmp_path / name.replace("/", "-")
        files = SiteFiles(directory, name)
        sides.append(Side(Place(directory, name), files, files.router()))
    a, b = sides
    consumer = SiteFiles(tmp_path / "consumer", "fiction/three")
    made = Sites(a, b, consumer, consumer.router(), (consumer.address, free_port(consumer.address)))
    await asyncio.gather(a.place.serve(), b.place.follow())
    await a.gate(consumer, is_open=True)
    await b.gate(consumer, is_open=False)
    route = LocalRoute(ROUTE, "http", made.listen, (a.upstream(), b.upstream()), a.files.name)
    await made.connector.hold((), (route,))
    yield made
    for router in (a.router, b.router, made.connector):
        await router.stop()
    await asyncio.gather(a.place.end(), b.place.end())


class Client:
    """Stores and reads through the connector with one connection; remembers what was acknowledged."""

    def __init__(self, address: tuple[str, int], credential: Credential, name: str) -> None:
        self.stored: dict[str, bytes] = {}
        self.errors: list[str] = []
        self.slowest_seconds = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(address, credential, name), daemon=True)
        self._thread.start()

    def _run(self, address: tuple[str, int], credential: Credential, name: str) -> None:
        with closing(client(address, credential, 70)) as s3:
            for number in itertools.count():
                if self._stop.wait(0.01):
                    return
                key, data = f"{name}/{number}", f"{name} {number}".encode() * 50
                begun = time.monotonic()
                try:
                    put(s3, key, data)
                    self.stored[key] = data
                    if get(s3, key)[0] != data:
                        self.errors.append(f"{key}: read something else")
                except REFUSED as error:
                    self.errors.append(f"{key}: {error!r}")
                self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - begun)

    async def finish(self) -> None:
        self._stop.set()
        await asyncio.to_thread(self._thread.join)


async def _move(sites: Sites) -> float:
    """What two agents do in a cut-over; returns the seconds from closing the source to the switch."""
    a, b = sites.a.place, sites.b.place
    async with follower_source(a.directory / "tls", a.at("followers"), a.reader) as source:
        await b.driver.follow(b.key, source, b.report)
        begun = time.monotonic()
        await sites.a.router.close(STREAM, 2.0)
        position = await a.driver.fence(a.key)
        await b.driver.catch_up(b.key, source, position, b.report)
    await b.driver.grant(b.key, (a.writer, a.reader))
    await b.driver.primary(b.key, b.spec, {}, b.report)
    await sites.b.router.open(STREAM)
    await sites.connector.switch(ROUTE, sites.b.files.name)
    return time.monotonic() - begun


async def test_a_bucket_moves_under_load_without_an_error_or_a_lost_write(sites: Sites) -> None:
    writer = sites.a.place.writer
    clients = [Client(sites.listen, writer, f"c{number}") for number in range(3)]
    await asyncio.sleep(1.0)
    dark_seconds = await _move(sites)
    await asyncio.sleep(1.5)
    for one in clients:
        await one.finish()
    stored = {key: data for one in clients for key, data in one.stored.items()}
    with closing(client(sites.b.place.at("clients"), writer)) as s3:
        there = {one.key for one in s3.objects()}
        sample = [get(s3, key)[0] == data for key, data in itertools.islice(stored.items(), 200)]
    assert [one.errors for one in clients] == [[], [], []]
    assert set(stored) - there == set()
    assert all(sample)
    assert dark_seconds < 45
    assert max(one.slowest_seconds for one in clients) < dark_seconds + 15


async def test_a_large_upload_passes_the_connector_with_its_own_signature(sites: Sites) -> None:
    data = bytes(range(256)) * (50 * MIB // 256)
    with closing(client(sites.listen, sites.a.place.writer, 60)) as s3:
        await asyncio.to_thread(put, s3, "large", data)
        body, _ = await asyncio.to_thread(get, s3, "large")
    assert body == data
