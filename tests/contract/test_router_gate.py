"""A gate lets in pinned peers only, closes for certain, and stands through reloads and restarts."""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio
from router_world import Service, SiteFiles, ask, free_port

from hanse.drivers.contract import GateStream, LocalRoute, RouteUpstream
from hanse.drivers.endpoint.router import HaproxyRouter
from hanse.drivers.identity import ProcessMark
from hanse.ports import Permanent

STREAM = "shop/files/0/live:clients"


@dataclass
class Gate:
    site: SiteFiles
    peer: SiteFiles
    stranger: SiteFiles
    service: Service
    router: HaproxyRouter
    stream: GateStream

    @property
    def directory(self) -> Path:
        return self.site.directory / "router"

    def dial(self, by: SiteFiles, pinned: SiteFiles | None = None) -> ssl.SSLSocket:
        """A TLS connection as a peer makes it. Raises OSError if it is refused."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations((pinned or self.site).certificate_file)
        context.load_cert_chain(by.certificate_file, by.key_file)
        return context.wrap_socket(socket.create_connection((self.site.address, self.stream.port), 5))

    def talk(self, by: SiteFiles) -> str:
        with self.dial(by) as line:
            line.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return line.recv(65536).decode()

    async def connected(self) -> None:
        for _ in range(500):
            if await self.router.sessions(STREAM):
                return
            await asyncio.sleep(0.01)
        raise TimeoutError

    async def answers(self, by: SiteFiles) -> bool:
        try:
            return "200" in await asyncio.to_thread(self.talk, by)
        except OSError:
            return False


@pytest_asyncio.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Gate]:
    site, peer, stranger = (SiteFiles(tmp_path / one, f"p-{one}/{one}1") for one in "abx")
    service = Service(site)
    stream = GateStream(STREAM, free_port(site.address), service.address, (peer.pem,), open=True)
    made = Gate(site, peer, stranger, service, site.router(), stream)
    await made.router.hold((stream,), ())
    yield made
    await made.router.stop()
    service.stop()


async def test_only_allowed_certificates_pass(gate: Gate) -> None:
    assert await gate.answers(gate.peer)
    assert not await gate.answers(gate.stranger)
    with pytest.raises(OSError):  # noqa: PT011 - another server than the pinned one
        gate.dial(gate.peer, pinned=gate.stranger)


async def test_a_certificate_signed_by_an_allowed_peer_does_not_pass(gate: Gate) -> None:
    forged = gate.peer.issue(gate.stranger)
    assert not await gate.answers(forged)


async def test_peers_come_and_go_without_a_new_process(gate: Gate) -> None:
    before = (gate.directory / "process.json").read_text()
    await gate.router.hold((replace(gate.stream, allowed_certificates_pem=(gate.stranger.pem,)),), ())
    assert await gate.answers(gate.stranger)
    assert not await gate.answers(gate.peer)
    await gate.router.hold((replace(gate.stream, allowed_certificates_pem=()),), ())
    assert not await gate.answers(gate.peer)
    assert not await gate.answers(gate.site)
    assert (gate.directory / "process.json").read_text() == before


async def test_a_closed_gate_refuses_connections_and_opens_again(gate: Gate) -> None:
    assert await gate.router.close(STREAM, 1.0) == 0
    with pytest.raises(ConnectionRefusedError):
        gate.dial(gate.peer)
    await gate.router.open(STREAM)
    assert await gate.answers(gate.peer)


async def test_closing_waits_for_running_requests(gate: Gate) -> None:
    gate.service.pause_seconds = 0.5
    running = asyncio.create_task(gate.answers(gate.peer))
    await gate.connected()
    assert await gate.router.close(STREAM, 5.0) == 0
    assert await running


async def test_closing_cuts_off_what_does_not_end_and_counts_it(gate: Gate) -> None:
    with gate.dial(gate.peer) as idle:
        idle.do_handshake()
        await gate.connected()
        assert await gate.router.close(STREAM, 0.2) == 1
        idle.settimeout(2)
        assert await asyncio.to_thread(idle.recv, 1) == b""
    assert await gate.router.sessions(STREAM) == 0


async def test_closing_cuts_off_what_an_older_worker_has(gate: Gate) -> None:
    with gate.dial(gate.peer) as idle:
        idle.do_handshake()
        await gate.connected()
        await gate.router.hold((replace(gate.stream, allowed_certificates_pem=(gate.stranger.pem,)),), ())
        assert await gate.router.close(STREAM, 0.2) == 1
        idle.settimeout(2)
        assert await asyncio.to_thread(idle.recv, 1) == b""
    assert await gate.router.sessions(STREAM) == 0


async def test_a_closed_gate_stays_closed_through_a_reload_and_a_new_agent(gate: Gate) -> None:
    await gate.router.close(STREAM, 0.0)
    other = GateStream(
        "shop/files/0/live:followers", free_port(gate.site.address), gate.service.address, (), True
    )
    closed = replace(gate.stream, open=False)
    for router in (gate.router, gate.site.router()):
        await router.hold((closed, other), ())
        assert not await gate.answers(gate.peer)
        other = replace(other, allowed_certificates_pem=(gate.peer.pem,))
    fresh = gate.site.router()
    await fresh.open(STREAM)
    assert await gate.answers(gate.peer)


async def test_sessions_of_a_gate_survive_a_reload(gate: Gate) -> None:
    with gate.dial(gate.peer) as line:
        line.do_handshake()
        await gate.router.hold((replace(gate.stream, allowed_certificates_pem=(gate.stranger.pem,)),), ())
        assert await gate.router.sessions(STREAM) == 1
        line.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"200" in await asyncio.to_thread(line.recv, 65536)


async def test_holding_the_same_again_does_not_reload(gate: Gate) -> None:
    loaded = (gate.directory / "loaded.json").stat().st_mtime_ns
    await gate.router.hold((gate.stream,), ())
    await gate.site.router().hold((replace(gate.stream, open=False),), ())
    assert (gate.directory / "loaded.json").stat().st_mtime_ns == loaded


async def test_a_dead_proxy_is_started_again(gate: Gate) -> None:
    mark = ProcessMark.load(gate.directory / "process.json")
    assert mark is not None
    mark.signal(9)
    assert await mark.gone(5)
    await gate.router.hold((gate.stream,), ())
    assert await gate.answers(gate.peer)


async def test_another_process_with_the_same_pid_is_not_taken_for_the_proxy(gate: Gate) -> None:
    await gate.router.stop()
    own = ProcessMark.of(os.getpid())
    assert own is not None
    replace(own, start_ticks=own.start_ticks - 1).save(gate.directory / "process.json")
    await gate.router.stop()
    await gate.router.hold((gate.stream,), ())
    assert await gate.answers(gate.peer)


async def test_a_taken_port_is_named_and_changes_nothing(gate: Gate) -> None:
    with socket.create_server((gate.site.address, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Permanent, match=str(port)) as caught:
            await gate.router.hold((gate.stream, replace(gate.stream, name="a/b:c", port=port)), ())
    assert caught.value.code == "port-taken"
    assert await gate.answers(gate.peer)


async def test_keys_on_disk_are_for_the_owner_only(gate: Gate) -> None:
    assert gate.directory.stat().st_mode & 0o777 == 0o700
    assert (gate.directory / "own.pem").stat().st_mode & 0o777 == 0o600


async def test_without_an_answer_in_time_a_request_gets_503_in_words(tmp_path: Path) -> None:
    site = SiteFiles(tmp_path / "c", "p-c/c1")
    router = HaproxyRouter(site.name, tmp_path / "r", site.certificate_file, site.key_file, hold_seconds=2)
    nobody = RouteUpstream("p-a/a1", (site.address, free_port(site.address)), site.pem)
    listen = (site.address, free_port(site.address))
    await router.hold((), (LocalRoute("endpoint:shop/web", "http", listen, (nobody,), "p-a/a1"),))
    try:
        status, text = await ask(listen)
        await router.switch("endpoint:shop/web", None)
        later, _ = await ask(listen)
    finally:
        await router.stop()
    assert (status, later) == (503, 503)
    assert "it is moving or its provider is out of reach" in text


async def test_a_tcp_route_over_plain_upstream_holds_and_switches(gate: Gate) -> None:
    listen = (gate.site.address, free_port(gate.site.address))
    upstream = RouteUpstream("p-a/a1", gate.service.address, None)
    await gate.router.hold(
        (gate.stream,), (LocalRoute("endpoint:shop/db", "tcp", listen, (upstream,), None),)
    )
    waiting = asyncio.create_task(ask(listen))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await gate.router.switch("endpoint:shop/db", "p-a/a1")
    assert (await waiting)[0] == 200
