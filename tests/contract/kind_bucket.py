"""The bucket driver on the contract's bench: SeaweedFS, rclone, and haproxy for the followers' stream."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

from bucket_world import follower_source

from hanse.drivers.bucket.driver import BucketDriver
from hanse.drivers.bucket.record import PortBlock
from hanse.drivers.bucket.s3 import S3, Account
from hanse.drivers.contract import Source
from hanse.model.replica.role import ReplicaKey
from hanse.model.replica.spec import BucketSpec, Size

BUCKET = "files"


class BucketKind:
    name = "bucket"
    real = True
    stateless = False
    positions_are_digests = True

    def spec(self) -> BucketSpec:
        return BucketSpec(size=Size(), bucket=BUCKET)

    def environment(self) -> dict[str, str]:
        return {}

    def broken(self) -> None:
        return None

    def driver(self, directory: Path, site: str) -> BucketDriver:
        number = int.from_bytes(hashlib.sha256(str(directory).encode()).digest()[:4])
        address = f"127.{10 + number % 80}.{number // 80 % 250}.{1 + number // 20000 % 250}"
        return BucketDriver(site, directory / "buckets", address, PortBlock(10_000 + number % 220 * 100, 100))

    async def end(self, driver: BucketDriver) -> None:
        for record in driver._shelf._directory.glob("*/record.json"):
            await driver.erase(ReplicaKey.parse(record.parent.name.replace(".", "/")))

    async def answers(self, driver: BucketDriver, key, clients: tuple[str, int]) -> bool:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(*clients), 5)
        except OSError:
            return False
        writer.close()
        return True

    async def kill(self, driver: BucketDriver, key) -> None:
        for part in ("store", "clients", "followers"):
            await driver._service(key).kill(part)

    async def leftovers(self, driver: BucketDriver) -> list[str]:
        directory = driver._shelf._directory
        here = [str(one) for one in directory.iterdir()] if directory.exists() else []
        return here + [one for one in _commands() if f"-ip={driver._address}\0" in one]

    async def write(self, driver, key, clients, credential, name: str, data: bytes) -> None:
        def put() -> None:
            with closing(_client(clients, credential)) as client:
                client._finish(
                    client._send("PUT", name, {}, {"content-length": str(len(data))}, io.BytesIO(data))
                )

        await asyncio.to_thread(put)

    async def read(self, driver, key, clients, credential, name: str) -> bytes:
        def get() -> bytes:
            with closing(_client(clients, credential)) as client:
                return client._call("GET", name, {})

        return await asyncio.to_thread(get)

    @asynccontextmanager
    async def source(self, driver: BucketDriver, key, credential) -> AsyncIterator[Source]:
        served = await driver.serve_followers(key)
        directory = driver._shelf._directory.parent / "tls"
        async with follower_source(directory, served, credential) as source:
            yield source


def _client(clients, credential) -> S3:
    return S3(Account(clients, credential.fields["access_key"], credential.fields["secret_key"]), BUCKET, 20)


def _commands() -> Iterator[str]:
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield place.read_text(errors="replace")


KIND = BucketKind()
