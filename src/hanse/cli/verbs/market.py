"""`hanse providers | sites | offers | catalogue import | invite | remove-site`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from cyclopts import Parameter

from hanse.cli.files import mistakes_of, read_file
from hanse.cli.finding import open_hub
from hanse.cli.show.table import eur, moment, number, table
from hanse.cli.speaking import Json, Yes, confirm, make_app, say, say_json
from hanse.ports import Permanent
from hanse.wire.problem import ApiProblem

Document = Mapping[str, Any]
Kind = Annotated[
    str, Parameter(help="Of the offer: vm, bucket, volume …; of the site: datacentre, micro, edge.")
]
Country = Annotated[str, Parameter(help="Two letters, such as IT.")]
Where = Annotated[str, Parameter(help="A condition, such as `vcpu >= 4 and price < 50`.")]
Limit = Annotated[int, Parameter(help="Rows at most.")]
CSV_MAX_BYTES = 8 * 1024 * 1024
PAGE = 500

commands = make_app("hanse")
catalogue = make_app("catalogue", "The listed market.")
commands.command(catalogue)


@commands.command
def providers(
    *, kind: Kind = "", country: Country = "", where: Where = "", limit: Limit = 100, json: Json = False
) -> int:
    """Who sells. The country is that of the seat; the kind is that of an offer.

    Examples: `hanse providers`, `hanse providers --country FR`, `hanse providers --where "parent = 'US'"`
    """
    return _list("providers", _Asked(kind, country, where), limit, json, _provider_table)


@commands.command
def sites(
    *, kind: Kind = "", country: Country = "", where: Where = "", limit: Limit = 100, json: Json = False
) -> int:
    """Where things can run, and which sites have joined.

    Examples: `hanse sites --country IT`, `hanse sites --where joined`, `hanse sites --kind micro --json`
    """
    return _list("sites", _Asked(kind, country, where), limit, json, _site_table)


@commands.command
def offers(
    *, kind: Kind = "", country: Country = "", where: Where = "", limit: Limit = 100, json: Json = False
) -> int:
    """What is sold, and for how much. Bookable: a site of this hub sells it; the rest is only listed.

    Words for conditions: kind name gpu vcpu memory disk price price_per_gib egress free bookable
    provider seat parent site country city site_kind renewable joined.

    Examples: `hanse offers --kind vm --country DE --where "vcpu >= 4 and price < 40"`,
    `hanse offers --where bookable --json`
    """
    return _list("offers", _Asked(kind, country, where), limit, json, _offer_table)


@catalogue.command(name="import")
def import_command(directory: Path, *, name: str = "", json: Json = False) -> int:
    """Replace the listed market by providers.csv, sites.csv and offers.csv of a directory.

    Refused whole, with every mistake by file and line, if anything is wrong.

    Example: `hanse catalogue import ./market`

    Parameters
    ----------
    directory:
        Where the three files are.
    name:
        What to call it; default: the directory's name.
    """
    files = {f"{part}_csv": _csv(directory / f"{part}.csv") for part in ("providers", "sites", "offers")}
    with open_hub() as client:
        try:
            done = client.send("POST", "/v1/catalogues", {"name": name or directory.resolve().name, **files})
        except ApiProblem as problem:
            raise mistakes_of(problem, directory) from problem
    if json:
        say_json(done)
    else:
        say(
            f"{done['name']} is listed now: {done['offers']} offers at {done['sites']} sites of "
            f"{done['providers']} providers."
        )
    return 0


@commands.command
def invite(site: str, *, hours: float | None = None, again: bool = False, json: Json = False) -> int:
    """A word that lets one site join this hub, once.

    Examples: `hanse invite basilisco/bologna`, `hanse invite basilisco/bologna --again --json`

    Parameters
    ----------
    site:
        PROVIDER/SITE, lower case.
    hours:
        How long the word is good.
    again:
        For a joined site that was away for so long that its certificate ended; only its own key can use it.
    """
    asked: dict[str, Any] = {"site": site, "again": again}
    if hours is not None:
        asked["hours"] = hours
    with open_hub() as client:
        invited = client.send("POST", "/v1/invitations", asked)
    if json:
        say_json(invited)
    else:
        say(
            [
                f"Good once, for {invited['site']}, until {moment(invited['expires_at'])} UTC. At the site:",
                f"  hanse site join - {'--again' if again else '--offers SITE.yaml'}",
                "which asks for this word, so that nobody reads it on a command line:",
                f"  {invited['token']}",
            ]
        )
    return 0


@commands.command(name="remove-site")
def remove_site(site: str, *, yes: Yes = False, json: Json = False) -> int:
    """End the membership of a site that is dead or lost; afterwards it can be invited anew.

    Refused while anything is ordered there. A site that lives leaves by itself: `hanse site leave`.

    Example: `hanse remove-site basilisco/bologna --yes`

    Parameters
    ----------
    site:
        PROVIDER/SITE of a joined site.
    """
    provider, _, place = site.partition("/")
    if not provider or not place:
        raise Permanent(
            "site-malformed", f"{site!r} is no site: write provider/site, for example `hetzner/fsn1`."
        )
    if not yes and not confirm(f"Remove {site}? Its key is not let in any more."):
        return 1
    with open_hub() as client:
        removed = client.send("DELETE", f"/v1/sites/{quote(provider, safe='')}/{quote(place, safe='')}")
    if json:
        say_json(removed)
    else:
        say(f"{removed['site']} is no longer joined. It can join anew: hanse invite {removed['site']}")
    return 0


class _Asked:
    """The filter of a list."""

    def __init__(self, kind: str, country: str, where: str) -> None:
        self.query = {"kind": kind, "country": country, "where": where}


def _list(
    noun: str, asked: _Asked, limit: int, as_json: bool, lines: Callable[[Sequence[Document]], list[str]]
) -> int:
    if limit < 1:
        raise Permanent("limit-malformed", f"--limit {limit} shows nothing. Give 1 or more.")
    rows: list[Document] = []
    with open_hub() as client:
        page: Document = {"next": ""}
        while page["next"] is not None and len(rows) < limit:
            wanted = min(PAGE, limit - len(rows))
            page = client.get(f"/v1/{noun}", **asked.query, limit=wanted, cursor=page["next"])
            countries = page.get("countries", {})
            rows += [
                {**row, "country": row.get("country") or countries.get(row["site"])} for row in page[noun]
            ]
    if as_json:
        say_json({**page, noun: rows})
        return 0
    say(lines(rows) if rows else [f"No {noun} are like that."])
    if len(rows) < page["total"]:
        say(f"… {page['total'] - len(rows)} more: --limit {page['total']}, or narrow with --where")
    return 0


def _provider_table(rows: Sequence[Document]) -> list[str]:
    cells = [(row["provider"], row["country"], row["parent_country"] or "?", row["name"]) for row in rows]
    return table(("provider", "seat", "control", "name"), cells)


def _site_table(rows: Sequence[Document]) -> list[str]:
    cells = [
        (
            row["site"],
            row["country"],
            row["city"],
            row["kind"],
            "joined" if row["joined"] else "listed",
            ", ".join(row["runs"]) or "-",
            moment(row["last_seen_at"]) if row["joined"] else "-",
        )
        for row in rows
    ]
    return table(("site", "country", "city", "kind", "here", "runs", "last heard (UTC)"), cells)


def _offer_table(rows: Sequence[Document]) -> list[str]:
    cells = [
        (
            f"{row['site']}:{row['kind']}:{row['name']}",
            row["country"] or "?",
            number(row["vcpu"]),
            number(row["memory_gib"]),
            number(row["disk_gib"]),
            eur(row["price_micro_eur_per_month"]) if row["price_micro_eur_per_month"] is not None else "-",
            _per_gib(row["price_micro_eur_per_gib_month"]),
            _per_gib(row["egress_micro_eur_per_gib"], unknown="?"),
            "-" if row["free_units"] is None else str(row["free_units"]),
            "bookable" if row["bookable"] else "listed",
        )
        for row in rows
    ]
    header = ("offer", "country", "vcpu", "GiB", "disk", "EUR/month", "EUR/GiB", "egress/GiB", "free", "here")
    return table(header, cells, right=range(2, 9))


def _per_gib(value: int | None, unknown: str = "-") -> str:
    return unknown if value is None else eur(value, 4)


def _csv(path: Path) -> str:
    data = read_file(path, CSV_MAX_BYTES, "a market's file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Permanent(
            "file-unreadable", f"{path} is not UTF-8 at byte {error.start}. Save it as UTF-8."
        ) from error
