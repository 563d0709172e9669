"""The pooler process of one pool: started as its own user, found again, ended."""

import asyncio
import os
import secrets
import shutil
import signal
import socket
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from hanse.drivers.contract import Pool
from hanse.drivers.identity import ProcessMark, write_file
from hanse.drivers.pooler.config import INI, Rendered, render
from hanse.ports import Permanent, Temporary

_UID_FIRST, _UID_COUNT = 1_700_000_000, 100_000_000
_START_SECONDS = 10.0
_FREED_SECONDS = 2.0
_END_SECONDS = 10.0
_LOG_MAX = 4 * 1024 * 1024
_RECORD, _MARK, _LOG, _WORK = "pool.json", "process.json", "pooler.log", "work"


@dataclass(frozen=True, slots=True)
class Record:
    """What stays of a pool: whose process it is, and what that process was last told. No secret."""

    name: str
    uid: int
    port: int = 0
    """Also part of the console's name."""
    process: tuple[int, int] = (0, 0)
    """Pid and start tick of the process that `shape` and `digest` are about."""
    shape: str = ""
    digest: str = ""


_SHAPE: TypeAdapter[Record] = TypeAdapter(Record)


class Bouncer:
    """One pool's files and process in `place`, which is its alone."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self.work = place / _WORK

    def record(self) -> Record | None:
        """None if there is no such pool."""
        try:
            return _SHAPE.validate_json((self._place / _RECORD).read_bytes())
        except (OSError, ValueError):  # none, or none after a power cut: then nothing runs either
            return None

    def running(self) -> ProcessMark | None:
        """The process, if it lives."""
        return ProcessMark.load(self._place / _MARK)

    def render(self, pool: Pool) -> Rendered:
        """What this pool's files should say. Raises Permanent(`pool-invalid`)."""
        rendered = render(pool)
        if self.record() is None:
            self._place.mkdir(mode=0o700, parents=True, exist_ok=True)
            uid = _UID_FIRST + secrets.randbelow(_UID_COUNT)
            self._save(Record(pool.name, uid))
        return rendered

    def told(self, rendered: Rendered) -> Record | None:
        """The record, if the running process holds what `rendered` says or can be told so by a reload."""
        record, mark = self.record(), self.running()
        if record is None or mark is None or record.process != (mark.pid, mark.start_ticks):
            return None
        return record if record.shape == rendered.shape else None

    def write(self, rendered: Rendered) -> None:
        """The files as a whole, readable for the pool's user only."""
        record = self._known()
        self.work.mkdir(mode=0o700, exist_ok=True)
        for name, data in rendered.files.items():
            write_file(self.work / name, data, durable=False)
        if os.geteuid() == 0:
            for path in (self.work, *(self.work / name for name in rendered.files)):
                os.chown(path, record.uid, record.uid)

    def loaded(self, pool: Pool, rendered: Rendered) -> None:
        """The running process holds this from now on."""
        mark = self.running()
        if mark is None:
            raise _not_started(pool, self.log())
        process = (mark.pid, mark.start_ticks)
        told = replace(
            self._known(),
            port=pool.listen[1],
            process=process,
            shape=rendered.shape,
            digest=rendered.digest,
        )
        self._save(told)

    async def start(self, pool: Pool, rendered: Rendered) -> None:
        """A new process; returns when it listens.

        Raises Permanent(`port-taken`, `address-unusable`, `part-missing`) or Temporary(`pooler-not-started`).
        """
        program = find_pgbouncer()
        if program is None:
            raise Permanent("part-missing", f"pgbouncer is not installed on this machine: {INSTALL}")
        await self.end()
        await _freed(pool)
        self.write(rendered)
        begin = self._launch(program, self._known().uid)
        host = f"[{pool.listen[0]}]" if ":" in pool.listen[0] else pool.listen[0]
        await self._logged(pool, begin, f"listening on {host}:{pool.listen[1]}\n", "process up: ")
        self.loaded(pool, rendered)

    async def end(self) -> None:
        """No process of this pool is left; its clients are cut off, as they are when it is asked kindly.

        Raises Temporary(`pooler-not-ended`).
        """
        mark = self.running()
        if mark is not None:
            mark.signal(signal.SIGKILL)
            if not await mark.gone(_END_SECONDS):
                raise Temporary("pooler-not-ended", "A pooler of this site does not end.", 1.0)
        (self._place / _MARK).unlink(missing_ok=True)

    async def erase(self) -> None:
        """Nothing is left."""
        await self.end()
        await asyncio.to_thread(shutil.rmtree, self._place, ignore_errors=True)

    def log(self, lines: int = 3) -> str:
        """The last lines that the process wrote; never a secret."""
        try:
            return "\n".join((self._place / _LOG).read_text(errors="replace")[-4000:].splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    def trim(self) -> None:
        """Empty a log that has grown too long; the process goes on writing at its end."""
        path = self._place / _LOG
        if path.exists() and path.stat().st_size > _LOG_MAX:
            os.truncate(path, 0)

    def _launch(self, program: str, uid: int) -> int:
        """Start a process that outlives this one; returns where its log now begins."""
        self.trim()
        log = os.open(self._place / _LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            begin = os.fstat(log).st_size
            process = subprocess.Popen(
                [*_as_user(uid), program, INI],
                cwd=self.work,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        finally:
            os.close(log)
        process.returncode = 0  # it is not ours to wait for: the mark finds it, also after a restart
        mark = ProcessMark.of(process.pid)
        if mark is not None:
            mark.save(self._place / _MARK)
        return begin

    async def _logged(self, pool: Pool, begin: int, *words: str) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _START_SECONDS
        while True:
            with (self._place / _LOG).open("rb") as log:
                log.seek(begin)
                text = log.read(65536).decode(errors="replace")
            if all(one in text for one in words):
                return
            if loop.time() > deadline or self.running() is None:
                await self.end()
                raise _not_started(pool, text)
            await asyncio.sleep(0.01)

    def _known(self) -> Record:
        record = self.record()
        if record is None:
            raise Temporary("pooler-not-started", "A pooler's directory was taken away under it.", 1.0)
        return record

    def _save(self, record: Record) -> None:
        write_file(self._place / _RECORD, _SHAPE.dump_json(record), durable=False)


INSTALL = "apt-get install pgbouncer"


def find_pgbouncer() -> str | None:
    """Path of the pgbouncer program; Debian puts it where a user's PATH may not look."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def _not_started(pool: Pool, text: str) -> Temporary:
    why = "; ".join(text.splitlines()[-3:]) or "it wrote nothing"
    message = f"The pooler of {pool.name} did not start: {why}. Trying again."
    return Temporary("pooler-not-started", message, 2.0)


def _as_user(uid: int) -> list[str]:
    """Own user without any right."""
    if os.geteuid() != 0:
        return []
    limits = ["--clear-groups", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", *limits, "--"]


async def _freed(pool: Pool) -> None:
    """The address of a process that has just ended may be taken for a moment more."""
    deadline = asyncio.get_running_loop().time() + _FREED_SECONDS
    while True:
        try:
            return _check_bind(pool)
        except Permanent:
            if asyncio.get_running_loop().time() >= deadline:
                raise
            await asyncio.sleep(0.05)


def _check_bind(pool: Pool) -> None:
    """Name a port that another program has, before anything is started."""
    address, port = pool.listen
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            code = "port-taken" if error.errno == 98 else "address-unusable"
            raise Permanent(
                code,
                f"{pool.name} cannot listen at {address} port {port}: {error.strerror}. "
                "Free it or give this site other ports.",
            ) from error
