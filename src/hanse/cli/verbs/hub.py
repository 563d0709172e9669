"""`hanse hub status`: the other words of `hanse hub` belong to the hub's own program."""

import os
from collections.abc import Iterator, Mapping
from fcntl import LOCK_NB, LOCK_SH, flock
from pathlib import Path
from typing import Any

from hanse.cli.finding import hub_that_is_meant, open_hub
from hanse.cli.show.table import moment, size, table
from hanse.cli.speaking import Json, make_app, say, say_json
from hanse.ports import Permanent, Temporary

Document = Mapping[str, Any]

commands = make_app("hanse")
hub = make_app("hub", "The hub.")
commands.command(hub)


@hub.command
def status(*, json: Json = False) -> int:
    """Whether the hub runs, where, which sites are connected, what is under way, how much disk is left.

    The exit code is 1 if it does not answer.

    Examples: `hanse hub status`, `hanse hub status --json`
    """
    try:
        with open_hub() as client:
            found = client.get("/v1/hub")
    except Temporary as failure:
        raise _not_running(failure) from failure
    if json:
        say_json({"running": True, **found})
    else:
        say(_lines(found))
    return 0


def _not_running(failure: Temporary) -> Permanent | Temporary:
    """With what this machine knows of the hub's own directory."""
    directory = _directory()
    if failure.code != "hub-unreachable" or directory is None:
        return failure
    if _is_locked(directory):
        words = f"A hub runs in {directory}, but {failure.message} If it has just started, try again."
    else:
        words = (
            f"the hub does not run: nobody answers at {hub_that_is_meant()}, and nobody runs it in "
            f"{directory}. Start it: `hanse hub run --dir {directory}`."
        )
    return Permanent("hub-not-running", words)


def _directory() -> Path | None:
    """The hub's directory, where the configuration of this user's own hub names it."""
    directory = Path(os.environ.get("HANSE_TOKEN_FILE") or hub_that_is_meant("token_file")).parent
    return directory if (directory / "hub.lock").exists() else None


def _is_locked(directory: Path) -> bool:
    with (directory / "hub.lock").open() as lock:
        try:
            flock(lock, LOCK_SH | LOCK_NB)
        except OSError:
            return True
    return False


def _lines(found: Document) -> Iterator[str]:
    disk, sites, operations = found["disk"], found["sites"], found["operations"]
    yield f"the hub runs at {found['url']} since {moment(found['started_at'])} UTC (hanse {found['version']})"
    yield f"key {found['thumbprint']}"
    yield (
        f"disk: {size(disk['free_bytes'])} of {size(disk['total_bytes'])} free at {disk['directory']}; "
        f"store {size(disk['store_bytes'])}, images {size(disk['images_bytes'])}"
    )
    counted = [f"{count} {state}" for state, count in found["applications"].items()]
    yield f"applications: {', '.join(counted) or 'none'}"
    yield ""
    yield f"{sum(each['connected'] for each in sites)} of {len(sites)} joined sites connected"
    if sites:
        rows = [
            (each["site"], "connected" if each["connected"] else "silent", moment(each["last_seen_at"]))
            for each in sites
        ]
        yield from table(("site", "state", "last heard (UTC)"), rows)
    yield ""
    yield f"{len(operations)} operations under way"
    for each in operations:
        why = f": {each['reason']}" if each["reason"] else ""
        what = f"{each['kind']} {each['application']}/{each['component']}"
        yield f"  {each['operation']} {what}, {each['state']}{why}"
