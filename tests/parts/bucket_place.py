"""One bucket replica at one site, as an agent would hold it."""

from pathlib import Path

from hanse.drivers.bucket.driver import BucketDriver
from hanse.drivers.bucket.record import PortBlock, Record
from hanse.drivers.contract import Served
from hanse.model.replica.observation import Progress
from hanse.model.replica.role import ReplicaKey
from hanse.model.replica.spec import MIB, BucketSpec, Size


class Place:
    """A driver over its own directory, address and ports, with a writer's and a follower's credential."""

    def __init__(self, directory: Path, site: str, disk_bytes: int = 1024 * MIB) -> None:
        number = sum(str(directory).encode()) * 31 + hash(str(directory)) % 100_000
        self.directory = directory
        self.site = site
        self.address = f"127.{90 + number % 9}.{number // 9 % 250}.{1 + number // 2250 % 250}"
        self.key = ReplicaKey(application="shop", component="files")
        self.spec = BucketSpec(size=Size(disk_bytes=disk_bytes), bucket="files")
        self._ports = PortBlock(3_000 + number % 60 * 100, 100)
        self.restart_agent()
        self.writer = self.driver.new_credential("web@fiction/one", "write")
        self.reader = self.driver.new_credential("follower@fable/two", "read")
        self.progress: list[Progress] = []

    def restart_agent(self) -> None:
        self.driver = BucketDriver(self.site, self.directory / "buckets", self.address, self._ports)

    def report(self, progress: Progress) -> None:
        self.progress.append(progress)

    async def serve(self) -> Served:
        served = await self.driver.primary(self.key, self.spec, {}, self.report)
        await self.driver.grant(self.key, (self.writer, self.reader))
        return served

    async def follow(self) -> None:
        await self.driver.standby(self.key, self.spec, self.report)

    @property
    def record(self) -> Record:
        found = self.driver._shelf.load(self.key)
        assert found is not None
        return found

    def at(self, port: str) -> tuple[str, int]:
        return self.address, self.record.ports[port]

    def processes(self) -> list[tuple[int, str]]:
        """User and command line of all that listens for this replica."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                command = (place / "cmdline").read_text(errors="replace")
                if f"-ip={self.address}\0" in command:
                    found.append((place.stat().st_uid, command))
            except OSError:
                continue
        return found

    async def end(self) -> None:
        await self.driver.erase(self.key)
