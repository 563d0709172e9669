"""The container driver on the contract's bench: a tiny static HTTP server, packed as a root file system."""

import asyncio
import contextlib
import os
import signal
import socket
import tarfile
from collections.abc import Mapping
from pathlib import Path

from hanse.drivers.container.driver import ContainerDriver
from hanse.drivers.container.engine import Container
from hanse.drivers.container.network import ContainerNetwork
from hanse.model.replica.role import ReplicaKey
from hanse.model.replica.spec import ContainerSpec, Size
from hanse.model.shape import digest_of
from hanse.ports import Permanent

MIB = 2**20
BUSYBOX = Path("/bin/busybox")
APPLETS = ("sh", "httpd", "sleep", "cat", "head", "tr", "id", "touch", "mkdir", "dd", "yes", "env", "nc")


def pack(target: Path) -> bytes:
    """busybox alone, with a page to serve."""
    with tarfile.open(target, "w") as archive:
        archive.add(BUSYBOX, "bin/busybox")
        for name in APPLETS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        for name in ("www", "etc", "tmp", "proc", "sys", "dev", "run"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
    return target.read_bytes()


class Folder:
    """Artifacts out of files in a folder."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def add(self, data: bytes) -> str:
        digest = digest_of(data)
        (self.directory / digest.removeprefix("sha256:")).write_bytes(data)
        return digest

    async def fetch(self, digest: str, into: Path) -> Path:
        return self._copy(self.directory / digest.removeprefix("sha256:"), into)

    def _copy(self, source: Path, into: Path) -> Path:
        if not source.exists():
            raise Permanent("image-missing", f"image {source.name[:12]} is not at the hub")
        into.write_bytes(source.read_bytes())
        return into

    async def stream(self, digest: str):
        yield (self.directory / digest.removeprefix("sha256:")).read_bytes()


class ContainerKind:
    name = "container"
    real = True
    stateless = True

    def __init__(self) -> None:
        self._digest = ""
        self.artifacts: Folder | None = None

    def spec(self) -> ContainerSpec:
        return ContainerSpec(
            size=Size(cpu_milli=500, memory_bytes=64 * MIB, disk_bytes=16 * MIB),
            image=self._digest,
            command=("httpd", "-f", "-v", "-p", "80", "-h", "/www"),
            env={"GREETING": "hello ${files.bucket}", "KEY": "${files.secret_key}"},
            port=80,
        )

    def environment(self) -> Mapping[str, str]:
        return {"files.bucket": "pictures", "files.secret_key": "very-secret-value"}

    def broken(self) -> tuple[ContainerSpec, str]:
        return self.spec().model_copy(update={"command": ("sh", "-c", "echo cannot; exit 3")}), (
            "container-does-not-start"
        )

    def driver(self, directory: Path, site: str) -> ContainerDriver:
        folder = self.artifacts = Folder(directory.parent / "artifacts")
        self._digest = folder.add(pack(directory.parent / "rootfs.tar"))
        network = ContainerNetwork(directory / "networks")
        return ContainerDriver(site, directory, network, folder, start_seconds=60)

    async def end(self, driver: ContainerDriver) -> None:
        await driver.dispose()

    async def answers(self, driver: ContainerDriver, key: ReplicaKey, clients: tuple[str, int]) -> bool:
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.setblocking(False)
            try:
                client.bind((driver.gateway(key.application), 0))
                async with asyncio.timeout(2):
                    await loop.sock_connect(client, clients)
                    await loop.sock_sendall(client, b"GET /nothing HTTP/1.0\r\n\r\n")
                    return b" 404 " in await loop.sock_recv(client, 4096)
            except (OSError, TimeoutError, Permanent):
                return False

    async def inspect(self, driver: ContainerDriver, key: ReplicaKey) -> Container:
        """The container as the engine sees it; it must be there."""
        container = await driver._engine.inspect(driver.name(key))
        assert container is not None
        return container

    async def kill(self, driver: ContainerDriver, key: ReplicaKey) -> None:
        container = await self.inspect(driver, key)
        os.kill(container.pid, signal.SIGKILL)
        for _ in range(200):
            if not (await self.inspect(driver, key)).running:
                return
            await asyncio.sleep(0.02)

    async def leftovers(self, driver: ContainerDriver) -> list[str]:
        return self._files(driver) + await driver._network.leftovers()

    def _files(self, driver: ContainerDriver) -> list[str]:
        place = str(driver._directory)
        places = (place, str(driver._engine._run_directory))
        lines = Path("/proc/mounts").read_text().splitlines()
        mounts = [line for line in lines if any(name in line for name in places)]
        trees = [str(p) for p in driver._directory.rglob("*") if p.is_file()]
        claims = [str(p) for p in Path("/run/hanse/uids").glob("*") if place in _text(p)]
        runs = [str(driver._engine._run_directory)] if driver._engine._run_directory.exists() else []
        return mounts + trees + claims + runs


def _text(claim: Path) -> str:
    """What it says; nothing once another test's container is gone."""
    with contextlib.suppress(FileNotFoundError):
        return claim.read_text()
    return ""


KIND = ContainerKind()
