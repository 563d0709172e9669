"""TLS with pinned keys: who is let in, who is not, and that peers come and go."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hanse.ports import Permanent, Temporary
from hanse.trust.authority import make_authority, self_signed
from hanse.trust.keys import make_key, private_pem, thumbprint_of
from hanse.wire.tls import PeerTrust, first_contact_context, hub_server_context, require_peer

NOW = datetime.now(UTC)


class Site:
    """A key, its self-signed certificate as files, and whom it trusts."""

    def __init__(self, directory: Path, name: str) -> None:
        key = make_key()
        self.thumbprint = thumbprint_of(key)
        self.pem = self_signed(key, name, ["127.0.0.1"], NOW)
        self.files = (directory / f"{name}.crt", directory / f"{name}.key")
        self.files[0].write_text(self.pem)
        self.files[1].write_bytes(private_pem(key))
        self.trust = PeerTrust(*self.files)
        self.heard: list[str] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.heard.append(self.trust.require(writer))
            writer.write(await reader.readline())
            await writer.drain()
        except Permanent as failure:
            self.heard.append(failure.code)
        finally:
            writer.close()


@asynccontextmanager
async def listening(site: Site) -> AsyncIterator[int]:
    server = await asyncio.start_server(site.answer, "127.0.0.1", 0, ssl=site.trust.server)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def said(site: Site, port: int, to: Site) -> bytes:
    """What comes back for a line; empty when the peer hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=site.trust.client)
    try:
        site.trust.require(writer, to.thumbprint)
        writer.write(b"hello\n")
        return await reader.readline()
    except (ssl.SSLError, ConnectionError):
        return b""
    finally:
        writer.transport.abort()


@pytest.fixture
def sites(tmp_path: Path) -> tuple[Site, Site, Site]:
    alpha, beta, gamma = (Site(tmp_path, name) for name in ("alpha", "beta", "gamma"))
    alpha.trust.trust([beta.pem])
    beta.trust.trust([alpha.pem, gamma.pem])
    gamma.trust.trust([alpha.pem, beta.pem])
    return alpha, beta, gamma


async def test_pinned_peers_talk_and_strangers_do_not(sites: tuple[Site, Site, Site]) -> None:
    alpha, beta, gamma = sites
    async with listening(alpha) as port:
        assert await said(beta, port, alpha) == b"hello\n"
        assert await said(gamma, port, alpha) == b""
    assert alpha.heard == [beta.thumbprint]


async def test_peers_come_and_go_while_the_server_runs(sites: tuple[Site, Site, Site]) -> None:
    alpha, beta, gamma = sites
    async with listening(alpha) as port:
        alpha.trust.trust([gamma.pem])
        assert await said(gamma, port, alpha) == b"hello\n"
        assert await said(beta, port, alpha) == b""
        alpha.trust.trust([beta.pem])
        assert await said(beta, port, alpha) == b"hello\n"
    assert alpha.heard == [gamma.thumbprint, "peer-key-wrong", beta.thumbprint]


async def test_one_trusted_peer_is_not_taken_for_another(sites: tuple[Site, Site, Site]) -> None:
    alpha, beta, gamma = sites
    async with listening(alpha) as port:
        with pytest.raises(Permanent) as caught:
            await said(gamma, port, beta)
    assert caught.value.code == "peer-key-wrong"


async def test_a_damaged_pin_changes_nothing(sites: tuple[Site, Site, Site]) -> None:
    alpha, beta, gamma = sites
    with pytest.raises(Permanent):
        alpha.trust.trust([gamma.pem, "damaged"])
    assert alpha.trust.trusted == {beta.thumbprint}


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
async def test_openssl_as_a_peer_gets_in_with_1_3_only(sites: tuple[Site, Site, Site], version: str) -> None:
    alpha, beta, _ = sites
    async with listening(alpha) as port:
        process = await asyncio.create_subprocess_exec(
            *[
                "openssl",
                "s_client",
                "-quiet",
                version,
                "-verify_return_error",
                "-connect",
                f"127.0.0.1:{port}",
            ],
            *["-CAfile", alpha.files[0], "-cert", beta.files[0], "-key", beta.files[1]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        out, _ = await process.communicate(b"hello\n")
    assert out == (b"hello\n" if version == "-tls1_3" else b"")


async def test_first_contact_shows_the_hubs_key_for_comparison(tmp_path: Path) -> None:
    key, authority = make_key(), make_authority(make_key(), NOW)
    (tmp_path / "key").write_bytes(private_pem(key))
    (tmp_path / "crt").write_text(authority.issue_server(key, ["127.0.0.1"], NOW))
    context = hub_server_context(tmp_path / "crt", tmp_path / "key", authority.certificate_pem)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=first_contact_context())
        require_peer(writer.transport, thumbprint_of(key), "the hub")
        with pytest.raises(Temporary) as caught:
            require_peer(writer.transport, "0" * 64, "the hub")
        writer.transport.abort()
    assert caught.value.code == "hub-key-wrong"
