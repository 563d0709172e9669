"""Database replicas at sites, as agents would hold them, their clients, and what is left of them."""

import asyncio
import hashlib
import itertools
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
from bucket_world import follower_source

from hanse.drivers.contract import Credential, Pass, Served, Source
from hanse.drivers.postgres.driver import PostgresDriver
from hanse.drivers.postgres.record import Record
from hanse.drivers.postgres.server.cluster import Cluster
from hanse.model.replica.observation import Progress
from hanse.model.replica.role import ReplicaKey
from hanse.model.replica.spec import GIB, MIB, PostgresSpec, Size

DATABASE = "records"
KEY = ReplicaKey(application="shop", component="records")


class Place:
    """A driver over its own directory, address and ports, with a writer's and a follower's credential."""

    def __init__(self, directory: Path, site: str, disk_bytes: int = 4 * GIB) -> None:
        number = int.from_bytes(hashlib.sha256(str(directory).encode()).digest()[:4])
        self.directory = directory
        self.site = site
        self.address = f"127.{10 + number % 80}.{number // 80 % 250}.{1 + number // 20000 % 250}"
        self.key = KEY
        size = Size(memory_bytes=256 * MIB, disk_bytes=disk_bytes)
        self.spec = PostgresSpec(size=size, databases=(DATABASE,))
        first = 10_000 + number % 2200 * 10
        self._ports = range(first, first + 10)
        self.restart_agent()
        self.progress: list[Progress] = []
        self.writer = self.driver.new_credential("web@fiction/one", "write")
        self.followers = tuple(
            self.driver.new_credential(f"follower@{name}", "read") for name in ("fiction/one", "fable/two")
        )

    def restart_agent(self) -> None:
        self.driver = PostgresDriver(self.site, self.directory / "databases", self.address, self._ports)

    def report(self, progress: Progress) -> None:
        self.progress.append(progress)

    async def serve(self) -> Served:
        served = await self.driver.primary(self.key, self.spec, {}, self.report)
        await self.driver.grant(self.key, (self.writer, *self.followers))
        return served

    async def stand_by(self) -> None:
        await self.driver.standby(self.key, self.spec, self.report)

    async def follow(self, source: "Place") -> Pass:
        async with self.way_to(source) as way:
            return await self.driver.follow(self.key, way, self.report)

    @asynccontextmanager
    async def way_to(self, source: "Place") -> AsyncIterator[Source]:
        follower = next(one for one in source.followers if one.name == f"follower@{self.site}")
        served = await source.driver.serve_followers(source.key)
        async with follower_source(self.directory / "tls", served, follower) as way:
            yield way

    @property
    def record(self) -> Record:
        found = self.driver._shelf.load(self.key)
        assert found is not None
        return found

    @property
    def cluster(self) -> Cluster:
        return self.driver._replica(self.key).cluster

    def client(self, credential: Credential | None = None, **words: Any) -> psycopg.Connection:
        """A connection straight to the server's own port."""
        fields = (credential or self.writer).fields
        named = {"dbname": DATABASE, "connect_timeout": 3, "sslmode": "disable", **fields, **words}
        return psycopg.connect(host=self.address, port=self.record.port, **named)

    def ask(self, query: str) -> Any:
        with self.client(autocommit=True) as connection:
            return connection.execute(query).fetchone()[0]

    def tell(self, *statements: str) -> None:
        with self.client(autocommit=True) as connection:
            for one in statements:
                connection.execute(one)

    async def end(self) -> None:
        await self.driver.erase(self.key)


class Hostile:
    """Writes straight at a server's port, reconnecting for ever; keeps what was acknowledged, and when."""

    def __init__(self, place: Place, name: str, begin: str = "begin read write", pause: float = 0.0) -> None:
        self.acknowledged: dict[str, float] = {}
        self.refused = 0
        self._address = (place.address, place.record.port)
        self._fields = dict(place.writer.fields)
        self._name, self._begin, self._pause = name, begin, pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        numbers = itertools.count()
        while not self._stop.is_set():
            try:
                host, port = self._address
                with psycopg.connect(
                    host=host,
                    port=port,
                    dbname=DATABASE,
                    connect_timeout=2,
                    sslmode="disable",
                    **self._fields,
                ) as connection:
                    connection.autocommit = True
                    self._write(connection, numbers)
            except psycopg.Error:
                self.refused += 1
                time.sleep(0.005)

    def _write(self, connection: psycopg.Connection, numbers: Any) -> None:
        while not self._stop.is_set():
            word = f"{self._name}/{next(numbers)}"
            connection.execute(self._begin)
            connection.execute("insert into words values (%s)", (word,))
            time.sleep(self._pause)
            connection.execute("commit")
            self.acknowledged[word] = time.monotonic()

    async def finish(self) -> None:
        self._stop.set()
        await asyncio.to_thread(self._thread.join, 20)


def leftovers(directory: Path) -> list[str]:
    """Files, and processes that work in them."""
    here = [str(one) for one in directory.iterdir()] if directory.exists() else []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str(directory) in str((place / "cwd").readlink()):
                here.append((place / "cmdline").read_text(errors="replace"))
    return here
