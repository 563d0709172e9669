"""Which hub a command means: the environment first, then the file that `hanse hub run` leaves."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hanse.ports import Permanent

if TYPE_CHECKING:
    from hanse.wire.api_client import ApiClient


def config_file() -> Path:
    """`$HANSE_CONFIG`, or `~/.config/hanse/hub.json`."""
    named = os.environ.get("HANSE_CONFIG")
    return Path(named) if named else Path.home() / ".config" / "hanse" / "hub.json"


def hub_that_is_meant(field: str = "url") -> str:
    """The address of the hub that is meant, or another field of the configuration; empty if none is known."""
    if os.environ.get("HANSE_HUB"):
        return os.environ["HANSE_HUB"] if field == "url" else ""
    return _configured().get(field, "")


@contextmanager
def open_hub() -> Iterator["ApiClient"]:
    """A client of the hub that is meant. Raises Permanent(`hub-unknown`, `config-unreadable`)."""
    known = {} if os.environ.get("HANSE_HUB") else _configured()
    url = os.environ.get("HANSE_HUB") or known.get("url", "")
    if not url:
        raise Permanent(
            "hub-unknown",
            f"no hub is known: HANSE_HUB is not set, and {config_file()} is not there. "
            "Start one here with `hanse hub run`, or set HANSE_HUB=https://HOST:PORT, HANSE_TOKEN_FILE and "
            "HANSE_HUB_CA.",
        )
    authority_file = os.environ.get("HANSE_HUB_CA") or known.get("ca_file", "")
    authority = _read(Path(authority_file), "the hub's authority certificate") if authority_file else ""
    from hanse.wire.api_client import ApiClient

    client = ApiClient(url, _token(known), authority)
    try:
        yield client
    finally:
        client.close()


def _token(known: dict[str, str]) -> str:
    if token := os.environ.get("HANSE_TOKEN"):
        return token.strip()
    file = os.environ.get("HANSE_TOKEN_FILE") or known.get("token_file", "")
    if not file:
        raise Permanent(
            "no-credential",
            "no admin token is known. Set HANSE_TOKEN_FILE to the hub's `admin.token`.",
        )
    return _read(Path(file), "the admin token").strip()


def _configured() -> dict[str, str]:
    path = config_file()
    if not path.exists():
        return {}
    try:
        found = json.loads(_read(path, "the configuration"))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise Permanent(
            "config-unreadable",
            f"{path} is not the JSON that `hanse hub run` writes. Remove it and start the hub again, or set "
            "HANSE_HUB.",
        )
    return found


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise Permanent(
            "config-unreadable",
            f"{what} cannot be read from {path}: {why}. Is this the user who started the hub?",
        ) from error
