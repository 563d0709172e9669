"""One bench for every pooler: two databases, two consumers, the fake in memory and the real one."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from pooler_servers import free_port, own_address, server

from hanse.drivers.contract import Pool
from hanse.drivers.fake.net import Denied, Lost, Net, Refused, Reply, Request
from hanse.drivers.fake.pooler import Bouncers, FakePooler
from hanse.drivers.identity import ProcessMark
from hanse.drivers.pooler.pooler import PgbouncerPooler

NAMES = ("connector:shop/web/db", "connector:shop/jobs/db")
OWN = {"user": "web", "password": "never changes, 'nor' \"this\""}
REFUSALS = (psycopg.Error, Denied, Refused, Lost)


class WallClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass
class FakeDatabase:
    """Stores what comes with the one login that it knows."""

    login: dict[str, str]
    stored: list[str] = field(default_factory=list)

    async def answer(self, request: Request) -> Reply:
        if (request.access_key, request.secret_key) != (self.login["user"], self.login["password"]):
            raise Denied("no such login")
        await asyncio.sleep(float(request.data or b"0"))
        self.stored.append(request.name)
        return Reply()


class FakeBench:
    """In memory; the address of a database is its name in the fakes' network."""

    def __init__(self, directory: Path) -> None:
        clock = WallClock()
        self.net = Net(clock)
        self._bouncers = Bouncers("here", self.net)
        self._clock = clock
        self.logins = [{"user": f"w{number}", "password": f"p{number}"} for number in range(2)]
        self.databases = [FakeDatabase(login) for login in self.logins]
        self.upstreams = [(f"local.db{number}", 5432) for number in range(2)]
        self.listens = [("local.here", 6000 + number) for number in range(2)]
        for address, database in zip(self.upstreams, self.databases, strict=True):
            self.net.listen(address, database)
        self.pooler = self.restarted()

    def restarted(self) -> FakePooler:
        return FakePooler(self._bouncers, self._clock)

    async def write(self, consumer: int, text: str, password: str = "", seconds: float = 0.0) -> None:
        keys = (OWN["user"], password or OWN["password"])
        await self.net.ask("web", self.listens[consumer], Request("put", text, str(seconds).encode(), *keys))

    def stored(self, database: int) -> list[str]:
        return self.databases[database].stored

    async def kill(self, consumer: int) -> None:
        self.net.leave(self.listens[consumer])

    async def end(self) -> None:
        await self.pooler.stop()


class RealBench:
    """Two PostgreSQL servers and pgbouncer."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "pooler"
        self.databases = [server(0), server(1)]
        self.logins = [one.allow(f"w{n}", f"p'{n}\" \\") for n, one in enumerate(self.databases)]
        self.upstreams = [(one.address, one.port) for one in self.databases]
        address = own_address()
        self.listens = [(address, free_port(address)) for _ in NAMES]
        self.pooler = self.restarted()

    def restarted(self) -> PgbouncerPooler:
        return PgbouncerPooler("fiction/one", self.directory)

    def place(self, consumer: int) -> Path:
        """Directory of a consumer's pool."""
        stem = NAMES[consumer].replace("/", ".").replace(":", ".")
        return next(path for path in self.directory.iterdir() if path.name.startswith(stem))

    def mark(self, consumer: int) -> ProcessMark | None:
        return ProcessMark.load(self.place(consumer) / "process.json")

    async def connect(self, consumer: int, password: str = "", **more: Any) -> psycopg.AsyncConnection[Any]:
        host, port = self.listens[consumer]
        words = {"user": OWN["user"], "password": password or OWN["password"], "dbname": "shop", **more}
        return await psycopg.AsyncConnection.connect(
            host=host, port=port, prepare_threshold=None, autocommit=True, **words
        )

    async def write(self, consumer: int, text: str, password: str = "", seconds: float = 0.0) -> None:
        connection = await self.connect(consumer, password)
        try:
            async with connection.transaction():
                await connection.execute("INSERT INTO written VALUES (%s)", [text])
                if seconds:
                    await connection.execute("SELECT pg_sleep(%s)", [seconds])
        finally:
            await connection.close()

    def stored(self, database: int) -> list[str]:
        return self.databases[database].written()

    async def kill(self, consumer: int) -> None:
        mark = self.mark(consumer)
        assert mark is not None
        mark.signal(9)
        assert await mark.gone(5)

    async def end(self) -> None:
        await self.pooler.stop()
        for database in self.databases:
            database.cleaned()


Bench = FakeBench | RealBench
KINDS: dict[str, Callable[[Path], Bench]] = {"fake": FakeBench, "pgbouncer": RealBench}


def pool(bench: Bench, consumer: int = 0, database: int = 0, clients: str = "transaction-safe") -> Pool:
    """A consumer's pool to one of the two databases."""
    return Pool(
        name=NAMES[consumer],
        listen=bench.listens[consumer],
        upstream=bench.upstreams[database],
        clients=clients,  # type: ignore[arg-type]
        own=OWN,
        login=bench.logins[database],
    )


class Writer:
    """One client that writes again and again, over one connection while it lasts."""

    def __init__(self, bench: RealBench, number: int) -> None:
        self.acknowledged: list[str] = []
        self.errors: list[str] = []
        self.reconnected_seconds: list[float] = []
        self.slowest_seconds = 0.0
        self._bench = bench
        self._number = number
        self._over = False
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        connection = await self._bench.connect(0)
        for count in range(1_000_000):
            begun = time.monotonic()
            text = f"{self._number}.{count}"
            try:
                await connection.execute("INSERT INTO written VALUES (%s)", [text])
            except psycopg.Error as error:
                self.errors.append(str(error))
                connection = await self._again(begun)
            else:
                self.acknowledged.append(text)
                self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - begun)
            if self._over:
                break
        await connection.close()

    async def _again(self, begun: float) -> psycopg.AsyncConnection[Any]:
        while True:
            with suppress(psycopg.Error):
                connection = await self._bench.connect(0)
                await connection.execute("SELECT 1")
                self.reconnected_seconds.append(time.monotonic() - begun)
                return connection
            await asyncio.sleep(0.05)

    async def finish(self) -> None:
        self._over = True
        await asyncio.wait_for(self._task, 70)


class Way:
    """A TCP way to a server that can be cut: bytes stop, connections stay."""

    def __init__(self, to: tuple[str, int]) -> None:
        self._to = to
        self._through = asyncio.Event()
        self._through.set()
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> tuple[str, int]:
        self._server = await asyncio.start_server(self._serve, own_address(), 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    def cut(self) -> None:
        self._through.clear()

    def mend(self) -> None:
        self._through.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        await self._through.wait()
        with suppress(OSError):
            there, back = await asyncio.open_connection(*self._to)
            self._writers.append(back)
            await asyncio.gather(self._carry(reader, back), self._carry(there, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._through.wait()
                writer.write(data)
                await writer.drain()
        writer.close()

    async def stop(self) -> None:
        self._server.close()
        self.mend()
        for writer in self._writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
