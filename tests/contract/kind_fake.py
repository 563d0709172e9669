"""The fake drivers on the contract's bench: the same directory is the same machine."""

import asyncio
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from hanse.drivers.contract import Source
from hanse.drivers.fake.driver import StatefulFake
from hanse.drivers.fake.machine import History, Machine
from hanse.drivers.fake.net import Denied, Lost, Net, Refused, Request
from hanse.model.replica.spec import FakeSpec, Peer, Size, Stream


class WallClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


CLOCK = WallClock()
NET = Net(CLOCK)
HISTORY = History()


class FakeKind:
    name = "fake"
    real = False
    stateless = False
    positions_are_digests = True

    def __init__(self) -> None:
        self._machines: dict[str, Machine] = {}

    def spec(self) -> FakeSpec:
        return FakeSpec(size=Size())

    def environment(self):
        return {}

    def broken(self):
        return None

    def driver(self, directory, site: str) -> StatefulFake:
        host = str(directory)
        machine = self._machines.setdefault(host, Machine(site, host, NET, HISTORY))
        return StatefulFake(machine, CLOCK)

    async def end(self, driver) -> None:
        for part in list(driver.machine.parts):
            driver.machine.remove(part)

    async def answers(self, driver, key, clients) -> bool:
        try:
            await NET.ask("client", clients, Request(verb="ping"))
        except (Refused, Lost, Denied):
            return False
        return True

    async def kill(self, driver, key) -> None:
        driver.machine.kill(str(key))

    async def leftovers(self, driver):
        return list(driver.machine.parts)

    async def write(self, driver, key, clients, credential, name, data) -> None:
        fields = credential.fields
        await NET.ask(
            "client", clients, Request("put", name, data, fields["access_key"], fields["secret_key"])
        )

    async def read(self, driver, key, clients, credential, name) -> bytes:
        fields = credential.fields
        asked = Request("get", name, b"", fields["access_key"], fields["secret_key"])
        return (await NET.ask("client", clients, asked)).data

    @asynccontextmanager
    async def source(self, driver, key, credential):
        host, port = await driver.serve_followers(key)
        peer = Peer(site="fiction/one", thumbprint="0", certificate_pem="", sealing_key="", address=host)
        stream = Stream(name=f"{key}:followers", peer=peer, port=port)
        yield Source(stream, "own", "key", "pinned", credential.fields)


KIND = FakeKind()
