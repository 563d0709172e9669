"""A hub behind real TLS, with played sites that obey at once, for commands that run in this process."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hub_world import START, TOKEN, World

from hanse.__main__ import main
from hanse.api.notify import Notifier
from hanse.api.server import make_api
from hanse.store.memory import MemoryStore
from hanse.trust.authority import make_authority
from hanse.trust.keys import make_key, private_pem, write_private
from hanse.wire.server import serve
from hanse.wire.tls import hub_server_context

Typed = Callable[..., str]


@dataclass
class LiveHub:
    """The world, where its hub listens, and the environment in which `hanse` finds it."""

    world: World
    url: str
    environment: dict[str, str]
    playing: threading.Event = field(default_factory=threading.Event)
    """Sites obey while it is set."""


@contextmanager
def live_hub(directory: Path, *sites: str) -> Iterator[LiveHub]:
    """A hub that these sites have joined, until the end of the block."""
    world = World(directory / "images", store=MemoryStore(lambda: START))
    world.join(*sites)
    world.play()
    now, key = datetime.now(UTC), make_key()
    authority = make_authority(make_key(), now)
    for name, content in (
        ("server.crt", authority.issue_server(key, ["127.0.0.1"], now).encode()),
        ("server.key", private_pem(key)),
        ("ca.crt", authority.certificate_pem.encode()),
        ("admin.token", TOKEN.encode()),
    ):
        write_private(directory / name, content)
    context = hub_server_context(
        directory / "server.crt", directory / "server.key", authority.certificate_pem
    )
    loop, stop, up, found = asyncio.new_event_loop(), asyncio.Event(), threading.Event(), [0]

    def ready(_host: str, port: int) -> None:
        found[0] = port
        up.set()

    app = make_api(world.hub, TOKEN, Notifier())
    serving = threading.Thread(
        target=lambda: loop.run_until_complete(
            serve(app, ("127.0.0.1", 0), context, stop=stop, ready=ready, grace_seconds=1)
        )
    )
    serving.start()
    assert up.wait(20)
    live = LiveHub(world, f"https://127.0.0.1:{found[0]}", {})
    live.environment = _configured(directory, live.url)
    live.playing.set()
    ended = threading.Event()
    player = threading.Thread(target=_play, args=(live, ended))
    player.start()
    try:
        yield live
    finally:
        ended.set()
        player.join(20)
        loop.call_soon_threadsafe(stop.set)
        serving.join(20)
        loop.close()


def typing(
    hub: LiveHub,
    monkeypatch: pytest.MonkeyPatch,
    capture: pytest.CaptureFixture[str],
    *,
    all_of_it: bool = False,
) -> Typed:
    """Commands typed at this hub, in this process: what they say, a refusal of those that must fail."""
    for name, value in hub.environment.items():
        monkeypatch.setenv(name, value)

    def run(*words: str, code: int = 0) -> str:
        found = main(words)
        out, err = capture.readouterr()
        assert found == code, out + err
        assert "Traceback" not in out + err
        if all_of_it:
            return out + err
        return err if code else out

    return run


def _configured(directory: Path, url: str) -> dict[str, str]:
    fields = {
        "url": url,
        "token_file": str(directory / "admin.token"),
        "ca_file": str(directory / "ca.crt"),
    }
    write_private(directory / "hub.json", json.dumps(fields).encode())
    return {"HANSE_CONFIG": str(directory / "hub.json")}


def _play(live: LiveHub, ended: threading.Event) -> None:
    while not ended.wait(0.02):
        if live.playing.is_set():
            live.world.play(rounds=200)
