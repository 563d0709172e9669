"""One replica's server on disk and as processes: made, started, found again, stopped, ended."""

import asyncio
import json
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hanse.drivers.identity import ProcessMark, write_file
from hanse.drivers.postgres.record import Record
from hanse.drivers.postgres.server import program
from hanse.drivers.postgres.server.control import Control, read_control
from hanse.drivers.postgres.server.settings import (
    LOGIN_FILE,
    SOCKETS,
    SUPERUSER,
    TUNNEL,
    Setting,
    access_text,
    account_text,
    password_text,
    server_text,
)
from hanse.model.replica.role import ReplicaRole
from hanse.ports import Permanent, Temporary

SIGNAL_FILE = "standby.signal"
"""While it stands in the data, whoever starts the cluster gets one that takes no write."""
_STOP_SECONDS = 60.0
_SENDERS_SECONDS = 2.0
"""How long a stopping server waits for followers to take the last of its log."""
_START_FIELD = 19  # field 22 of /proc/PID/stat, counted after the name in parentheses
_NAMES = {"postgres", "initdb"}
_LOG_MAX = 8 * 1024 * 1024
_LOG_SEEN = 512 * 1024
_WAITING = "waiting for WAL to become available"
"""What a standby without a line says again and again."""
_SHARED = Path("/dev/shm")  # noqa: S108 - where the server's shared memory is


class Cluster:
    """The cluster in `place`, listening at `address`. Every method may be called again."""

    def __init__(self, place: Path, address: str) -> None:
        self.place = place
        self.work = place / "work"
        self.data = self.work / "data"
        self._address = address

    # -- files ------------------------------------------------------------------------------------

    @property
    def is_there(self) -> bool:
        """Whether there is a cluster on disk, whole or not."""
        return (self.data / "PG_VERSION").exists()

    @property
    def is_held_back(self) -> bool:
        """Whether a start gives a server that takes no write."""
        return (self.data / SIGNAL_FILE).exists()

    def hold_back(self, uid: int) -> None:
        """From now on every start, by whomever, gives a server that takes no write. Durable."""
        (self.data / SIGNAL_FILE).touch(mode=0o600)
        own(self.data / SIGNAL_FILE, uid)
        _sync_directory(self.data)

    def release(self) -> None:
        """A start gives a primary again. Durable."""
        (self.data / SIGNAL_FILE).unlink(missing_ok=True)
        _sync_directory(self.data)

    def prepare(self, uid: int) -> None:
        """Directories of the replica's own user."""
        for directory in (self.place, self.work, self.work / SOCKETS, self.work / TUNNEL, self.data):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if directory is not self.place:
                own(directory, uid)

    async def initialise(self, record: Record) -> None:
        """An empty cluster, with checksums. Raises Permanent(`part-missing`), Temporary."""
        self.wipe()
        self.prepare(record.uid)
        command = [
            *program.as_user(record.uid, self.work),
            str(program.programs(record.major) / "initdb"),
            *("-D", f"{program.seen(self.work)}/data", "-U", SUPERUSER, "-k", "-A", "peer"),
            *("--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"),
        ]
        env = program.environment(record.uid, self.work, named=True)
        code, said = await program.run(command, self.work, env)
        if code != 0:
            lines = said.strip().splitlines()[-2:]
            raise Temporary("database-not-made", f"A database could not be made: {' '.join(lines)}", 5.0)

    def wipe(self) -> None:
        """No data is left."""
        shutil.rmtree(self.data, ignore_errors=True)
        if self.data.exists():
            raise Temporary("not-erased", f"Files in {self.data} could not be removed; trying again.", 5.0)

    def configure(self, record: Record, role: ReplicaRole, connections_least: int = 0) -> bool:
        """Write the settings for a role; True if any of them changed."""
        setting = Setting(self._address, _agent_user(), connections_least)
        texts = {
            "postgresql.conf": server_text(record, setting),
            "pg_hba.conf": access_text(role),
            "pg_ident.conf": account_text(setting),
        }
        password = self.work / TUNNEL / LOGIN_FILE
        if not _is(password, password_text(record.login).encode()):
            write_file(password, password_text(record.login).encode())
            own(password, record.uid)
        changed = [name for name, text in texts.items() if not _is(self.data / name, text.encode())]
        for name in changed:
            draft = self.data / f"{name}.new"
            draft.write_text(texts[name])
            draft.chmod(0o600)
            own(draft, record.uid)
            draft.replace(self.data / name)
        return bool(changed)

    async def control(self, record: Record) -> Control:
        """What the control file says."""
        return await read_control(self.data, record.major)

    @contextmanager
    def sockets(self) -> Iterator[Path]:
        """The directory of the server's socket, by a path short enough for the kernel."""
        handle = os.open(self.work / SOCKETS, os.O_PATH | os.O_DIRECTORY)
        try:
            yield Path(f"/proc/self/fd/{handle}")
        finally:
            os.close(handle)

    # -- processes --------------------------------------------------------------------------------

    def running(self) -> ProcessMark | None:
        """The server's first process, if it lives."""
        return ProcessMark.load(self.place / "server.process")

    async def launch(self, record: Record, *, alone: bool = False) -> ProcessMark:
        """Start the server; it outlives this process. `alone`: reachable by nobody but this driver."""
        await self.sweep(record.uid)
        self._forget()
        self.prepare(record.uid)
        return self._spawn(record, alone=alone)

    async def stop(self, record: Record) -> None:
        """Stop cleanly: all that was acknowledged is on disk, and followers that answer have it.

        Followers that do not answer are waited for briefly; a server that does not stop is killed.
        """
        mark = self.running()
        if mark is None:
            await self.sweep(record.uid)
            return
        mark.signal(signal.SIGINT)
        mark.signal(signal.SIGCONT)  # one that somebody stopped could not end cleanly
        if not await _gone(mark, _SENDERS_SECONDS):
            self._end_senders(record.uid, mark)
            if not await _gone(mark, _STOP_SECONDS):
                await self.kill(record.uid)
        self._forget()

    async def kill(self, uid: int) -> None:
        """No process of this server is left, whatever it was doing."""
        mark = self.running()
        if mark is not None:
            mark.signal(signal.SIGQUIT)
            mark.signal(signal.SIGCONT)
            if not await _gone(mark, 2.0):
                mark.signal(signal.SIGKILL)
                await _gone(mark, 5.0)
        await self.sweep(uid)
        self._forget()

    def reload(self) -> float:
        """The server takes its settings anew; returns the moment (seconds, UTC) after which it will have."""
        moment = time.time()
        mark = self.running()
        if mark is not None:
            mark.signal(signal.SIGHUP)
        return moment

    async def sweep(self, uid: int) -> None:
        """End what is left of earlier servers, and free the shared memory that killed ones leave."""
        if os.geteuid() != 0:
            return
        for mark in _all_of(uid):
            mark.signal(signal.SIGKILL)
            await _gone(mark, 5.0)
        _free_shared(uid)
        for segment in _segments(uid):
            await program.run(["ipcrm", "-m", segment], Path("/"), {"PATH": "/usr/bin:/bin"})

    def log(self, lines: int) -> str:
        """The last lines that the server wrote."""
        path = self.place / "server.log"
        if not path.exists():
            return ""
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - _LOG_SEEN))
            tail = log.read().decode(errors="replace").splitlines()
        told = [line[:500] for line in tail if _WAITING not in line]
        return "\n".join(told[-lines:])

    def trim_log(self) -> None:
        """Keep the log bounded; the server appends, so what it writes next stands at the start."""
        path = self.place / "server.log"
        if path.exists() and path.stat().st_size > _LOG_MAX:
            os.truncate(path, 0)

    def _spawn(self, record: Record, *, alone: bool) -> ProcessMark:
        server = program.programs(record.major) / "postgres"
        log = os.open(self.place / "server.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        command = [
            *program.as_user(record.uid, self.work),
            *(str(server), "-D", f"{program.seen(self.work)}/data"),
            *(("-c", "listen_addresses=") if alone else ()),
        ]
        try:
            process = subprocess.Popen(
                command,
                cwd=self.work,
                env=program.environment(record.uid, self.work),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        finally:
            os.close(log)
        process.returncode = 0  # it is not ours to wait for: the mark finds it, also after a restart
        mark = ProcessMark.of(process.pid)
        if mark is None:
            raise Temporary("database-not-started", f"The database ended at once: {self.log(2)}", 5.0)
        mark.save(self.place / "server.process")
        return mark

    def _forget(self) -> None:
        """A dead server that nobody waited for still has its number, and would seem to hold the data."""
        path = self.place / "server.process"
        with suppress(OSError, ValueError, KeyError, TypeError):
            mark = ProcessMark(**json.loads(path.read_text()))
            fields = Path(f"/proc/{mark.pid}/stat").read_text().rpartition(")")[2].split()
            if fields[0] == "Z" and int(fields[_START_FIELD]) == mark.start_ticks:
                os.waitpid(mark.pid, os.WNOHANG)
        path.unlink(missing_ok=True)

    def _end_senders(self, uid: int, mark: ProcessMark) -> None:
        for one in _all_of(uid) if os.geteuid() == 0 else _children(mark.pid):
            with suppress(OSError):
                if b"walsender" in Path(f"/proc/{one.pid}/cmdline").read_bytes():
                    one.signal(signal.SIGTERM)


def own(path: Path, uid: int) -> None:
    """Give a file to the replica's user."""
    if os.geteuid() == 0:
        os.chown(path, uid, uid)


async def _gone(mark: ProcessMark, patience_seconds: float) -> bool:
    """As `mark.gone`, and at once: a stop is part of the pause that clients feel."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_seconds
    while mark.alive():
        if loop.time() > deadline:
            return False
        await asyncio.sleep(0.003)
    return True


def _all_of(uid: int) -> list[ProcessMark]:
    pids = [int(one.name) for one in Path("/proc").glob("[0-9]*") if _is_server(one, uid)]
    return [mark for pid in pids if (mark := ProcessMark.of(pid)) is not None]


def _children(pid: int) -> list[ProcessMark]:
    try:
        pids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [mark for one in pids if (mark := ProcessMark.of(int(one))) is not None]


def _is_server(entry: Path, uid: int) -> bool:
    try:
        if entry.stat().st_uid != uid:  # spares reading about all the others
            return False
        lines = (entry / "status").read_text().splitlines()
    except OSError:
        return False
    fields = dict(line.split(":", 1) for line in lines)
    return fields["Name"].strip() in _NAMES and fields["Uid"].split()[0] == str(uid)


def _free_shared(uid: int) -> None:
    for one in _SHARED.glob("PostgreSQL.*"):
        with suppress(OSError):
            if one.stat().st_uid == uid:
                one.unlink()


def _segments(uid: int) -> list[str]:
    """System V shared memory of a user that no process uses."""
    try:
        rows = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()]
    except OSError:
        return []
    head = rows[0]
    found = [dict(zip(head, row, strict=False)) for row in rows[1:]]
    return [row["shmid"] for row in found if row["uid"] == str(uid) and row["nattch"] == "0"]


def _agent_user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError as error:
        raise Permanent(
            "account-missing",
            f"The agent runs as user {os.geteuid()}, which has no account here. Run it as another.",
        ) from error


def _is(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except FileNotFoundError:
        return False


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
