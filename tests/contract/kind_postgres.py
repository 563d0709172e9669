"""The postgres driver on the contract's bench: PostgreSQL, and haproxy for the followers' stream."""

import asyncio
import hashlib
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
from bucket_world import follower_source
from postgres_place import leftovers

from hanse.drivers.contract import Source
from hanse.drivers.postgres.driver import PostgresDriver
from hanse.model.replica.role import ReplicaKey
from hanse.model.replica.spec import MIB, PostgresSpec, Size

DATABASE = "records"


class PostgresKind:
    name = "postgres"
    real = True
    stateless = False
    positions_are_digests = False

    def spec(self) -> PostgresSpec:
        return PostgresSpec(size=Size(memory_bytes=128 * MIB), databases=(DATABASE,), extensions=("pg_trgm",))

    def environment(self) -> dict[str, str]:
        return {}

    def broken(self):
        spec = PostgresSpec(size=Size(), databases=(DATABASE,), extensions=("plpython3u",))
        return spec, "extension-not-allowed"

    def driver(self, directory: Path, site: str) -> PostgresDriver:
        number = int.from_bytes(hashlib.sha256(str(directory).encode()).digest()[:4])
        address = f"127.{10 + number % 80}.{number // 80 % 250}.{1 + number // 20000 % 250}"
        first = 10_000 + number % 2200 * 10
        return PostgresDriver(site, directory / "databases", address, range(first, first + 10))

    async def end(self, driver: PostgresDriver) -> None:
        for record in driver._shelf.directory.glob("*/record.json"):
            await driver.erase(ReplicaKey.parse(record.parent.name.replace(".", "/")))

    async def answers(self, driver: PostgresDriver, key, clients: tuple[str, int]) -> bool:
        """A member of the clients' group is asked for a password, everybody else is refused at once."""
        try:
            return await asyncio.wait_for(_asked_for_password(clients), 5)
        except (OSError, TimeoutError):
            return False

    async def kill(self, driver: PostgresDriver, key) -> None:
        record = driver._shelf.load(key)
        await driver._replica(key).cluster.kill(record.uid)

    async def leftovers(self, driver: PostgresDriver) -> list[str]:
        return leftovers(driver._shelf.directory)

    async def write(self, driver, key, clients, credential, name: str, data: bytes) -> None:
        async with await _client(clients, credential) as connection:
            await connection.execute("create table if not exists files (name text primary key, data bytea)")
            await connection.execute("insert into files values (%s, %s)", (name, data))

    async def read(self, driver, key, clients, credential, name: str) -> bytes:
        async with await _client(clients, credential) as connection:
            cursor = await connection.execute("select data from files where name = %s", (name,))
            row = await cursor.fetchone()
        if row is None:
            raise KeyError(name)
        return row[0]

    @asynccontextmanager
    async def source(self, driver: PostgresDriver, key, credential) -> AsyncIterator[Source]:
        served = await driver.serve_followers(key)
        async with follower_source(driver._shelf.directory.parent / "tls", served, credential) as source:
            yield source


async def _client(clients: tuple[str, int], credential) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(
        host=clients[0],
        port=clients[1],
        dbname=DATABASE,
        connect_timeout=5,
        sslmode="disable",
        **credential.fields,
    )


async def _asked_for_password(address: tuple[str, int]) -> bool:
    reader, writer = await asyncio.open_connection(*address)
    try:
        words = b"user\0app\0database\0" + DATABASE.encode() + b"\0\0"
        writer.write(struct.pack("!ii", 8 + len(words), 196608) + words)
        await writer.drain()
        return await reader.read(1) == b"R"
    finally:
        writer.close()


KIND = PostgresKind()
