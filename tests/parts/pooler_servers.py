"""Real private PostgreSQL servers for pooler tests: a role `app`, logins in it, one table."""

import atexit
import functools
import itertools
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

_BIN = Path("/usr/lib/postgresql/15/bin")
_NUMBERS = itertools.count(10)
_SETTINGS = {
    "fsync": "off",
    "max_connections": "80",
    "shared_buffers": "16MB",
    "unix_socket_directories": "",
    "autovacuum": "off",
}
_KEPT = {"postgres", "template0", "template1"}
_END_OTHERS = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename <> 'root'"


def own_address() -> str:
    """A loopback address of this test process alone."""
    return f"127.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}.{next(_NUMBERS)}"


def free_port(address: str) -> int:
    """Below the ports that the kernel gives to outgoing connections, so that none takes it meanwhile."""
    while True:
        port = random.randrange(10_000, 32_000)  # noqa: S311 - no secret
        with suppress(OSError), socket.create_server((address, port)):
            return port


def _as_postgres(*command: str) -> list[str]:
    """Ends with this test process, however that ends."""
    if os.geteuid() != 0:
        return ["setpriv", "--pdeathsig=INT", "--", *command]
    user = pwd.getpwnam("postgres")
    words = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--pdeathsig=INT", "--"]
    return ["setpriv", *words, *command]


@functools.cache
def _template() -> Path:
    """One `initdb` for all servers of this process."""
    place = Path(tempfile.mkdtemp(prefix="pooler-template-"))
    if os.geteuid() == 0:
        shutil.chown(place, "postgres", "postgres")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    words = ["-D", str(place / "data"), "-U", "root", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    subprocess.run(_as_postgres(str(_BIN / "initdb"), *words), check=True, capture_output=True, cwd="/")
    return place


@dataclass
class Server:
    """One server at an address of its own; `root` may do everything there."""

    address: str = field(default_factory=own_address)
    databases: tuple[str, ...] = ("shop",)

    def __post_init__(self) -> None:
        self.port = free_port(self.address)
        self.place = Path(tempfile.mkdtemp(prefix="pooler-server-"))
        subprocess.run(["cp", "-a", str(_template() / "data"), str(self.place / "data")], check=True)
        if os.geteuid() == 0:
            shutil.chown(self.place, "postgres", "postgres")
        (self.place / "data/pg_hba.conf").write_text(
            "host all root all trust\nhost all all all scram-sha-256\n"
        )
        self._start()
        for database in self.databases:
            self.root("postgres", f"CREATE DATABASE {database}")
        self.root("postgres", "CREATE ROLE app NOLOGIN")
        for database in self.databases:
            self.root(database, "CREATE TABLE written (text text)", "ALTER TABLE written OWNER TO app")

    def _start(self) -> None:
        settings = [f"-c{name}={value}" for name, value in _SETTINGS.items()]
        words = ["-D", str(self.place / "data"), "-h", self.address, "-p", str(self.port), *settings]
        self._process = subprocess.Popen(
            _as_postgres(str(_BIN / "postgres"), *words),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(500):
            try:
                self.root("postgres", "SELECT 1")
            except psycopg.OperationalError:
                time.sleep(0.02)
            else:
                return
        raise TimeoutError(f"no PostgreSQL at {self.address}")

    def restart(self) -> None:
        """Every connection is lost."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(20)
        self._start()

    def root(self, database: str, *commands: str) -> list[tuple[object, ...]]:
        """Rows of the last command."""
        where = f"host={self.address} port={self.port} user=root dbname={database} sslmode=disable"
        with psycopg.connect(where, autocommit=True) as connection:
            for command in commands:
                cursor = connection.execute(command.encode())
            return cursor.fetchall() if cursor.description else []

    def allow(self, user: str, password: str) -> dict[str, str]:
        """A login as a grant makes it: it becomes the role that owns everything."""
        quoted = password.replace("'", "''")
        self.root(
            "postgres",
            f"CREATE ROLE {user} LOGIN PASSWORD '{quoted}' IN ROLE app",
            f"ALTER ROLE {user} SET role = app",
        )
        return {"user": user, "password": password}

    def written(self, database: str = "shop") -> list[str]:
        return [str(row[0]) for row in self.root(database, "SELECT text FROM written")]

    def connections(self) -> int:
        rows = self.root("postgres", "SELECT count(*) FROM pg_stat_activity WHERE usename NOT IN ('root')")
        return int(str(rows[0][0]))

    def cleaned(self) -> None:
        """As it was when it was made."""
        self.root("postgres", _END_OTHERS)
        for database in set(self._names("SELECT datname FROM pg_database")) - _KEPT - set(self.databases):
            self.root("postgres", f"DROP DATABASE {database}")
        for role in self._names("SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname <> 'root'"):
            self.root("postgres", f"DROP ROLE {role}")
        for database in self.databases:
            self.root(database, "TRUNCATE written")

    def _names(self, query: str) -> list[str]:
        return [str(row[0]) for row in self.root("postgres", query)]

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(20)
        shutil.rmtree(self.place, ignore_errors=True)


@functools.cache
def server(number: int) -> Server:
    """One of the servers that all tests of this process use after each other."""
    made = Server()
    atexit.register(made.stop)
    return made
