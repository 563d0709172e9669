"""`hanse move | retire`: what leaves a place. Shown first, asked, then followed to the end."""

import re
import sys
from collections.abc import Mapping
from typing import Any

from hanse.cli.finding import open_hub
from hanse.cli.names import application_name, split_name
from hanse.cli.show.follow import Board, follow, verdict
from hanse.cli.show.moves import after_move_lines, move_lines
from hanse.cli.speaking import Json, Yes, confirm, make_app, say, say_json
from hanse.model.application.quantities import DURATION_WORDS, duration_seconds
from hanse.ports import Permanent
from hanse.wire.api_client import ApiClient

Document = Mapping[str, Any]

ONE_WAY = (
    "say where to with exactly one of --to SITE|PROVIDER, --away-from PROVIDER, --country CC and --back."
)

commands = make_app("hanse")


@commands.command
def move(
    what: str,
    *,
    to: str = "",
    away_from: str = "",
    country: str = "",
    back: bool = False,
    keep_old_address: str = "",
    dry_run: bool = False,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Move an application or one component while it is used. Shows what would happen, then asks.

    A whole application moves part by part; every placement on the way keeps the file's rules. If a step
    fails, the steps before it stand, those after it are not begun, and the commands to go on or back are
    said, also by `hanse status`. Ctrl-C ends the watching, not the move; `hanse abort OPERATION` takes
    a step back.

    Examples: `hanse move clinic/images --to tarasque/arles`, `hanse move clinic --away-from basilisco --yes`,
    `hanse move clinic --country IT --dry-run`, `hanse move clinic --back`

    Parameters
    ----------
    what:
        APP, APP/COMPONENT, or APP/COMPONENT-endpoint for its address alone.
    to:
        A site or a provider. The whole application: its endpoints too, so that their address changes.
    away_from:
        A provider that everything leaves, without a way back.
    country:
        Two letters of ISO 3166-1, such as IT: everything that is elsewhere moves there.
    back:
        To where it was before, as long as the old site follows.
    keep_old_address:
        How long the old address of an endpoint that moves goes on, such as 90m or 2d. Without it: as
        long as the way back of its component; with --away-from it ends with the move.
    dry_run:
        Only show what would happen.
    """
    application, component = split_name(what)
    if sum((bool(to), bool(away_from), bool(country), back)) != 1:
        raise Permanent("request-malformed", ONE_WAY)
    asked = {
        "component": component,
        "to": to or None,
        "away_from": away_from or None,
        "country": _country(country) if country else None,
        "back": back,
        "keep_old_address_seconds": _seconds(keep_old_address) if keep_old_address else None,
    }
    with open_hub() as client:
        _show(client, application, asked, as_json=json, alone=dry_run)
        if dry_run or not (yes or confirm("Move like this?")):
            return 0 if dry_run else 1
        begun = client.send("POST", f"/v1/applications/{application}/moves", asked)
        return _watch(client, begun, as_json=json)


def _show(client: ApiClient, application: str, asked: Document, *, as_json: bool, alone: bool) -> None:
    """What would happen. A document only where nothing follows it."""
    path = f"/v1/applications/{application}"
    shown = client.send("POST", f"{path}/moves", {**asked, "dry_run": True})
    if not as_json:
        say(move_lines(shown, client.get(path)))
    elif alone:
        say_json(shown)


def _country(text: str) -> str:
    if not re.fullmatch("[A-Za-z]{2}", text):
        raise Permanent(
            "country-unknown", f"{text!r} is no country code. Two letters of ISO 3166-1, such as IT or NO."
        )
    return text.upper()


def _seconds(text: str) -> int:
    seconds = duration_seconds(text)
    if seconds is None:
        raise Permanent(
            "request-malformed", f"--keep-old-address {text!r}: {DURATION_WORDS}, or 0 to end it at once."
        )
    return seconds


@commands.command
def retire(application: str, *, erase_now: bool = False, yes: Yes = False, json: Json = False) -> int:
    """End an application. Its data is kept read-only as long as its file says, or erased now.

    Ctrl-C ends the watching, not the retirement.

    Examples: `hanse retire clinic`, `hanse retire clinic --erase-now`

    Parameters
    ----------
    application:
        Its name.
    erase_now:
        Erase all data at every site now. There is no way back; asks twice.
    """
    name = application_name(application)
    with open_hub() as client:
        found = client.get(f"/v1/applications/{name}")
        if not json:
            say(_retire_lines(found, erase_now=erase_now))
        if not yes and not _sure(name, erase_now=erase_now):
            return 1
        begun = client.send("POST", f"/v1/applications/{name}/retirement", {"erase_now": erase_now})
        return _watch(client, begun, as_json=json)


def _sure(name: str, *, erase_now: bool) -> bool:
    if not confirm(f"Retire {name}?"):
        return False
    return not erase_now or confirm(f"Erase every byte of {name} now? Nobody can bring it back.")


def _watch(client: ApiClient, begun: Document, *, as_json: bool) -> int:
    names = begun["operations"]
    board = Board(sys.stderr if as_json else sys.stdout)
    found = follow(client, begun["application"], names, board)
    good, words = verdict(found, names)
    for line in (*words, *after_move_lines(found, begun.get("order", ""))):
        board.line(line)
    if as_json:
        ours = [each for each in found["operations"] if each["operation"] in names]
        moved = {name: found[name] for name in ("endpoints", "last_move") if begun.get("order")}
        say_json({**begun, "state": found["state"], "operations": ours, **moved})
    elif good:
        board.line(f"{begun['application']}: done, {found['state']}")
    return 0 if good else 1


def _retire_lines(found: Document, *, erase_now: bool) -> list[str]:
    fate = "erased now, at every site" if erase_now else "kept read-only until the file's retrieval date"
    places = [
        f"  {each['component']} ({each['kind']}) at {each['site'] or 'no site'}"
        for each in found["components"]
    ]
    return [f"{found['application']} ends; its data is {fate}:", *places]
