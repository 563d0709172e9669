"""The local port of `hanse connect`: real TLS to a stream whose certificate is pinned."""

import asyncio
import os
import signal
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hanse.cli.reach.splice import Line, LocalPort
from hanse.ports import Permanent
from hanse.trust.authority import self_signed
from hanse.trust.keys import make_key, private_pem, write_private
from hanse.wire.tls import PeerTrust


class Party:
    """A key, its certificate, and whom it lets in."""

    def __init__(self, directory: Path, name: str) -> None:
        key = make_key()
        self.certificate = self_signed(key, name, ["127.0.0.1"], datetime.now(UTC))
        files = directory / f"{name}.crt", directory / f"{name}.key"
        write_private(files[0], self.certificate.encode())
        write_private(files[1], private_pem(key))
        self.trust = PeerTrust(*files)


@pytest.fixture
def person(tmp_path: Path) -> Party:
    return Party(tmp_path, "person")


@pytest.fixture
def site(tmp_path: Path, person: Party) -> Party:
    party = Party(tmp_path, "site")
    party.trust.trust([person.certificate])
    return party


@asynccontextmanager
async def shouting(site: Party):
    """A stream that answers every line in capitals; its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while line := await reader.readline():
                writer.write(line.upper())
                await writer.drain()
        writer.transport.abort()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=site.trust.server) as server:
        yield server.sockets[0].getsockname()[1]


def stream(certificate: str, port: int, address: str = "127.0.0.1") -> dict[str, Any]:
    return {"peer": {"site": "alder/one", "certificate_pem": certificate, "address": address}, "port": port}


async def test_bytes_go_both_ways_until_the_signal(person, site):
    up: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with shouting(site) as port:
        line = Line(stream(site.certificate, port), person.trust)
        serving = asyncio.create_task(
            LocalPort(line, lambda: None).serve(0, lambda _, bound: up.set_result(bound))
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", await up)
        writer.write(b"hello\n")
        assert await reader.readline() == b"HELLO\n"
        writer.close()
        await writer.wait_closed()
        os.kill(os.getpid(), signal.SIGTERM)
        await serving


async def test_a_new_connection_goes_to_where_the_component_is_now(person, site):
    up: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with shouting(site) as there:
        async with shouting(site) as before:
            line = Line(stream(site.certificate, before), person.trust)
            port = LocalPort(line, lambda: stream(site.certificate, there))
            serving = asyncio.create_task(port.serve(0, lambda _, bound: up.set_result(bound)))
            bound = await up
        reader, writer = await asyncio.open_connection("127.0.0.1", bound)
        writer.write(b"moved\n")
        assert await reader.readline() == b"MOVED\n"
        writer.close()
        await writer.wait_closed()
        os.kill(os.getpid(), signal.SIGTERM)
        await serving


async def test_a_move_is_known_before_a_connection_fails(person, site):
    up: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    twice, looks = asyncio.Event(), []
    loop = asyncio.get_running_loop()
    async with shouting(site) as here, shouting(site) as there:

        def look():
            looks.append(True)
            if len(looks) > 1:
                loop.call_soon_threadsafe(twice.set)
            return stream(site.certificate, there)

        line = Line(stream(site.certificate, here), person.trust)
        port = LocalPort(line, look, look_seconds=0.0)
        serving = asyncio.create_task(port.serve(0, lambda _, bound: up.set_result(bound)))
        await up
        await twice.wait()
        assert line.port == there
        os.kill(os.getpid(), signal.SIGTERM)
        await serving


async def test_another_key_than_the_pinned_one_hears_nothing(person, site, tmp_path):
    other = Party(tmp_path, "other")
    async with shouting(site) as port:
        line = Line(stream(other.certificate, port), person.trust)
        with pytest.raises(Permanent) as refused:
            await line.dial()
    assert refused.value.code in {"peer-key-wrong", "no-reach"}


async def test_a_site_that_is_not_reached_is_named_with_its_address(person, site):
    line = Line(stream(site.certificate, 1), person.trust)
    with pytest.raises(Permanent, match=r"does not reach alder/one at 127\.0\.0\.1:1") as refused:
        await line.dial()
    assert refused.value.code == "no-reach"


def test_a_site_without_a_data_address_has_no_reach(person, site):
    with pytest.raises(Permanent, match="no data address"):
        Line(stream(site.certificate, 1, address=""), person.trust)


async def test_a_port_that_is_taken_is_named(person, site):
    async with shouting(site) as port:
        line = Line(stream(site.certificate, port), person.trust)
        with pytest.raises(Permanent, match=f"port {port} ") as refused:
            await LocalPort(line, lambda: None).serve(port, lambda *_: None)
    assert refused.value.code == "port-taken"
