"""`hanse status | history | abort`."""

from typing import Annotated
from urllib.parse import quote

from cyclopts import Parameter

from hanse.cli.finding import open_hub
from hanse.cli.names import application_name
from hanse.cli.show.follow import Board, follow
from hanse.cli.show.operations import doing, title
from hanse.cli.show.status import history_lines, status_lines, summary_lines
from hanse.cli.speaking import Json, make_app, say, say_json
from hanse.ports import Permanent

Limit = Annotated[int, Parameter(help="Entries at most, the newest ones; 1 to 1000.")]

commands = make_app("hanse")


@commands.command
def status(application: str = "", *, json: Json = False) -> int:
    """What should be, what is, and what is under way; of one application or of all.

    Examples: `hanse status`, `hanse status clinic`, `hanse status clinic --json`

    Parameters
    ----------
    application:
        Its name; nothing: all.
    """
    with open_hub() as client:
        if application:
            found = client.get(f"/v1/applications/{application_name(application)}")
        else:
            found = client.get("/v1/applications")
    if json:
        say_json(found)
    else:
        say(status_lines(found) if application else summary_lines(found))
    return 0


@commands.command
def history(application: str, *, limit: Limit = 200, json: Json = False) -> int:
    """What happened, newest last; also of an application that has ended.

    Examples: `hanse history clinic`, `hanse history clinic --limit 1000 --json`

    Parameters
    ----------
    application:
        Its name.
    """
    with open_hub() as client:
        found = client.get(f"/v1/applications/{application_name(application)}/history", limit=limit)
    if json:
        say_json(found)
    else:
        say(history_lines(found))
    return 0


@commands.command
def abort(operation: str, *, json: Json = False) -> int:
    """Take back an operation, as long as the old place has not given its right to serve away.

    Waits until it has ended, one way or the other. The exit code is 1 if it was too late.

    Example: `hanse abort op-7`

    Parameters
    ----------
    operation:
        As `hanse status APP` shows it.
    """
    if not operation.strip():
        raise Permanent("name-malformed", "no operation is named. `hanse status APP` shows them, like op-7.")
    path = f"/v1/operations/{quote(operation, safe='')}"
    with open_hub() as client:
        client.send("POST", f"{path}/abort")
        application = client.get(path)["application"]
        if not json:
            follow(client, application, [operation], Board())
        found = client.get(path)
    if json:
        say_json(found)
    else:
        say(f"{title(found)}: {doing(found)}")
    return 0 if found["state"] == "aborted" else 1
