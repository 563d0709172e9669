"""`hanse explain | plan | apply FILE`."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hanse.cli.files import APPLICATION_MAX_BYTES, mistakes_of, read_file, read_text
from hanse.cli.finding import open_hub
from hanse.cli.refusal import Mistakes
from hanse.cli.show.follow import Board, follow, verdict
from hanse.cli.show.plan import plan_lines
from hanse.cli.show.status import status_lines
from hanse.cli.speaking import Json, Yes, confirm, make_app, say, say_json
from hanse.wire.problem import ApiProblem

if TYPE_CHECKING:
    from hanse.model.application.file import Application
    from hanse.model.application.requirement import Mandate
    from hanse.wire.api_client import ApiClient

commands = make_app("hanse")


@commands.command
def explain(file: Path, *, json: Json = False) -> int:
    """Every requirement that an application file expands to, and where each came from. Needs no hub.

    Cities are those of the market that comes with Hanse.

    Examples: `hanse explain clinic.yaml`, `hanse explain clinic.yaml --json`

    Parameters
    ----------
    file:
        The application file (docs/application-file.md).
    """
    from hanse.rules.explain import explain_lines

    mandate = _understood(file)
    if json:
        say_json(mandate.model_dump(mode="json"))
    else:
        say(explain_lines(mandate))
    return 0


@commands.command
def plan(file: Path, *, market: bool = False, json: Json = False) -> int:
    """Where it would run, what that costs, and why nowhere else. Buys nothing.

    The exit code is 1 if there is no solution.

    Examples: `hanse plan clinic.yaml`, `hanse plan clinic.yaml --market`, `hanse plan clinic.yaml --json`

    Parameters
    ----------
    file:
        The application file (docs/application-file.md).
    market:
        Plan over every listed offer; such a plan cannot be applied.
    """
    with open_hub() as client:
        planned = make_plan(client, file, market=market)
    if json:
        say_json(planned)
    else:
        say(plan_lines(planned))
    return 0 if planned["plan"]["outcome"] == "plan" else 1


@commands.command
def apply(file: Path, *, yes: Yes = False, json: Json = False) -> int:
    """Plan, show, ask, buy and run; or change a running application to its file.

    Ctrl-C ends the watching, not the work.

    Examples: `hanse apply clinic.yaml`, `hanse apply clinic.yaml --yes --json`

    Parameters
    ----------
    file:
        The application file (docs/application-file.md).
    """
    with open_hub() as client:
        planned = make_plan(client, file, market=False)
        name = planned["application"]
        if not json:
            say(plan_lines(planned))
        if planned["plan"]["outcome"] != "plan":
            if json:
                say_json(planned)
            return 1
        if not yes and not confirm(f"Buy and run {name} like this?"):
            return 1
        applied = client.send("PUT", f"/v1/applications/{name}", {"plan": planned["id"]})
        return _watch(client, applied, as_json=json)


def make_plan(client: "ApiClient", file: Path, *, market: bool) -> dict[str, Any]:
    """The hub's answer to an application file; its mistakes by FILE:LINE:COLUMN."""
    text = read_text(file)
    try:
        return client.send("POST", "/v1/plans", {"file": text, "market": market})
    except ApiProblem as problem:
        raise mistakes_of(problem, file) from problem


def _watch(client: "ApiClient", applied: Mapping[str, Any], *, as_json: bool) -> int:
    name, operations = applied["application"], applied["operations"]
    board = Board(sys.stderr if as_json else sys.stdout)
    found = follow(client, name, operations, board)
    good, words = verdict(found, operations)
    if applied["changed"]:
        words.append("changed in place: " + ", ".join(applied["changed"]))
    elif not operations:
        words.append("nothing had to be changed")
    for line in words:
        board.line(line)
    if as_json:
        say_json({**applied, "status": found})
    else:
        say(["", *board.rest(status_lines(found))])
    return 0 if good else 1


def _understood(file: Path) -> "Mandate":
    from hanse.model.application.mistake import Unreadable
    from hanse.model.application.reader import read_bytes
    from hanse.rules.expand import expand

    read = read_bytes(read_file(file, APPLICATION_MAX_BYTES, "an application file"), str(file))
    if isinstance(read, Unreadable):
        raise Mistakes("file-unreadable", list(read.words()))
    mandate = expand(read.application, read.lines, _places(read.application))
    if isinstance(mandate, Unreadable):
        raise Mistakes("file-unreadable", list(mandate.model_copy(update={"place": str(file)}).words()))
    return mandate


def _places(application: "Application") -> Mapping[str, tuple[float, float]]:
    """Cities of the market that comes with Hanse; read only for a file that names one."""
    if not any(rule.to.city for rule in application.policy.latency):
        return {}
    from hanse.catalogue.places import shipped_places

    return shipped_places()
