"""`hanse move | retire`: what leaves a place. Shown first, asked, then followed to the end."""

import sys
from collections.abc import Mapping
from typing import Any

from hanse.cli.finding import open_hub
from hanse.cli.names import application_name, split_name
from hanse.cli.show.follow import Board, follow, verdict
from hanse.cli.show.table import duration, eur, table
from hanse.cli.speaking import Json, Yes, confirm, make_app, say, say_json
from hanse.ports import Permanent
from hanse.wire.api_client import ApiClient

Document = Mapping[str, Any]

commands = make_app("hanse")


@commands.command
def move(
    what: str,
    *,
    to: str = "",
    away_from: str = "",
    back: bool = False,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Move an application or one component while it is used. Shows what would happen, then asks.

    Ctrl-C ends the watching, not the move; `hanse abort OPERATION` takes it back.

    Examples: `hanse move clinic/images --to tarasque/arles`, `hanse move clinic --away-from basilisco --yes`,
    `hanse move clinic/images --back`

    Parameters
    ----------
    what:
        APP or APP/COMPONENT.
    to:
        A site or a provider.
    away_from:
        A provider that everything leaves, without a way back.
    back:
        To where it was before, as long as the old site follows.
    """
    application, component = split_name(what)
    if sum((bool(to), bool(away_from), back)) != 1:
        raise Permanent(
            "request-malformed",
            "say where to with exactly one of --to SITE|PROVIDER, --away-from PROVIDER and --back.",
        )
    asked = {"component": component, "to": to or None, "away_from": away_from or None, "back": back}
    path = f"/v1/applications/{application}/moves"
    with open_hub() as client:
        shown = client.send("POST", path, {**asked, "dry_run": True})
        if not json:
            say(_move_lines(shown))
        if not yes and not confirm("Move like this?"):
            return 1
        begun = client.send("POST", path, asked)
        return _watch(client, begun, as_json=json)


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
    for line in words:
        board.line(line)
    if as_json:
        ours = [each for each in found["operations"] if each["operation"] in names]
        say_json({**begun, "state": found["state"], "operations": ours})
    elif good:
        board.line(f"{begun['application']}: done, {found['state']}")
    return 0 if good else 1


def _move_lines(shown: Document) -> list[str]:
    rows = [
        (
            each["component"],
            each["source"],
            each["target"],
            each["offer"].partition(":")[2] or "-",
            eur(each["price_before_micro_eur_per_month"]),
            eur(each["price_after_micro_eur_per_month"]),
            _way_back(each),
        )
        for each in shown["moves"]
    ]
    header = ("component", "from", "to", "offer", "EUR/month now", "then", "way back")
    together = f"all of {shown['application']} then: {eur(shown['price_micro_eur_per_month'])} EUR a month"
    return [*table(header, rows, right=[4, 5]), together]


def _way_back(move: Document) -> str:
    if move["one_way"]:
        return "none: the old place is left for good"
    copied = "; the new place follows already" if move["uses_way_back"] else ""
    return f"{duration(move['way_back_seconds'])}, paid for like a standby{copied}"


def _retire_lines(found: Document, *, erase_now: bool) -> list[str]:
    fate = "erased now, at every site" if erase_now else "kept read-only until the file's retrieval date"
    places = [
        f"  {each['component']} ({each['kind']}) at {each['site'] or 'no site'}"
        for each in found["components"]
    ]
    return [f"{found['application']} ends; its data is {fate}:", *places]
