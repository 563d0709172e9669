"""`hanse hub run` as a process: found, killed, found again with everything it knew."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from hanse.trust.authority import self_signed
from hanse.trust.invitation import Invitation
from hanse.trust.keys import load_or_make_key, make_sealing_key, public_sealing_key
from hanse.wire.hub_client import HubClient, Identity, enrol

START_SECONDS = 30


class RunningHub:
    """A hub's process and how to talk to it."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port
        self.environment = {**os.environ, "HANSE_CONFIG": str(directory / "config.json")}
        self.process = self.launch()
        self.facts: dict[str, Any] = json.loads(self.line())

    def launch(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            command("--dir", str(self.directory / "hub"), "--listen", f"127.0.0.1:{self.port}", "--json"),
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def again(self) -> None:
        self.process = self.launch()
        self.facts = json.loads(self.line())

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        code = self.process.wait(START_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        token = Path(self.facts["token_file"]).read_text().strip()
        context = ssl.create_default_context(cafile=self.facts["ca_file"])
        with httpx.Client(verify=context, base_url=self.facts["url"]) as client:
            reply = client.request(method, path, json=body, headers={"Authorization": f"Bearer {token}"})
        assert reply.status_code < 300, reply.text[:500]
        return reply.json()


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "hanse", "hub", "run", *words]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[RunningHub]:
    made = RunningHub(tmp_path, free_port())
    yield made
    if made.process.poll() is None:
        made.end(signal.SIGKILL)


async def join(hub: RunningHub, home: Path) -> HubClient:
    """A site's keys in files, an invitation, and the client that they give."""
    invitation = Invitation.decode(hub.ask("POST", "/v1/invitations", {"site": "alder/one"})["token"])
    key = load_or_make_key(home / "site.key")
    answer = await enrol(
        invitation,
        {
            "token": invitation.encode(),
            "site": "alder/one",
            "self_certificate_pem": self_signed(key, "alder/one", [], datetime.now(UTC)),
            "sealing_key": public_sealing_key(make_sealing_key()),
        },
    )
    (home / "hub.crt").write_text(answer["certificate_pem"])
    identity = Identity(answer["authority_pem"], home / "hub.crt", home / "site.key")
    return HubClient(invitation.url, invitation.hub_thumbprint, identity)


def test_state_survives_a_kill_and_a_site_is_woken(hub: RunningHub, tmp_path: Path) -> None:
    async def scenario() -> None:
        client = await join(hub, tmp_path)
        assert len(await client.instructions(0, 0)) == 1
        hub.end(signal.SIGKILL)
        hub.again()
        assert len(await client.instructions(0, 0)) == 1
        wakes = client.wakes()
        await asyncio.wait_for(anext(wakes), START_SECONDS)
        waiting = asyncio.create_task(client.instructions(1, 20))
        other = tmp_path / "other"
        other.mkdir()
        invitation = hub.ask("POST", "/v1/invitations", {"site": "birch/one"})
        await enrol_other(invitation["token"], other)
        await asyncio.wait_for(anext(wakes), START_SECONDS)
        assert len(await asyncio.wait_for(waiting, START_SECONDS)) == 1
        await wakes.aclose()
        await client.aclose()

    asyncio.run(scenario())


async def enrol_other(token: str, home: Path) -> None:
    invitation = Invitation.decode(token)
    key = load_or_make_key(home / "site.key")
    await enrol(
        invitation,
        {
            "token": token,
            "site": "birch/one",
            "self_certificate_pem": self_signed(key, "birch/one", [], datetime.now(UTC)),
            "sealing_key": public_sealing_key(make_sealing_key()),
        },
    )


def test_secrets_are_private_and_a_second_hub_is_named(hub: RunningHub) -> None:
    for name in ("hub.key", "ca.key", "admin.token", "hub.sqlite"):
        assert (hub.directory / "hub" / name).stat().st_mode & 0o077 == 0, name
    same = run_to_end(hub, "--dir", str(hub.directory / "hub"), "--listen", f"127.0.0.1:{free_port()}")
    assert (same.returncode, "already runs" in same.stderr) == (1, True)
    taken = run_to_end(hub, "--dir", str(hub.directory / "two"), "--listen", f"127.0.0.1:{hub.port}")
    assert (taken.returncode, f"port {hub.port}" in taken.stderr) == (1, True)
    assert "Traceback" not in same.stderr + taken.stderr


def run_to_end(hub: RunningHub, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(*words), env=hub.environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_sigterm_ends_it_soon_even_while_a_site_waits(hub: RunningHub, tmp_path: Path) -> None:
    async def scenario() -> float:
        client = await join(hub, tmp_path)
        waiting = asyncio.create_task(client.instructions(99, 30))
        await asyncio.to_thread(hub.ask, "GET", "/v1/sites?where=joined")
        began = asyncio.get_running_loop().time()
        assert await asyncio.to_thread(hub.end, signal.SIGTERM) == 0
        took = asyncio.get_running_loop().time() - began
        with contextlib.suppress(Exception):
            await waiting
        await client.aclose()
        return took

    assert asyncio.run(scenario()) < 15


def test_a_configuration_is_left_for_the_command_line(hub: RunningHub) -> None:
    config = json.loads((hub.directory / "config.json").read_text())
    assert config == {name: hub.facts[name] for name in ("url", "token_file", "ca_file")}
