"""`hanse connect APP/COMPONENT`: a port of this machine that leads to a component, until Ctrl-C."""

import signal
from typing import Annotated

from cyclopts import Parameter

from hanse.cli.reach.credential import Facts, facts_of, words_of
from hanse.cli.reach.way import Way, open_way
from hanse.cli.speaking import Json, make_app, say, say_json
from hanse.ports import Permanent

commands = make_app("hanse")


@commands.command
def connect(
    component: str,
    *,
    port: Annotated[int, Parameter(help="Port of this machine; 0: any that is free.")] = 0,
    json: Json = False,
) -> int:
    """Reach a component from this machine: a local port to its site, over TLS with the site's pinned key.

    The credential is made at the site for this connection and sealed to a key made here; both end with
    Ctrl-C. Follows the component when it moves. What is not reached is said.

    Examples: `hanse connect clinic/images`, `hanse connect clinic/records --port 5432 --json`

    Parameters
    ----------
    component:
        APP/COMPONENT.
    """
    if not 0 <= port <= 65535:
        raise Permanent("port-malformed", f"--port {port} is no TCP port. Give 1 to 65535.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with open_way(component) as way:
        _serve(way, port, as_json=json)
    if not json:
        say(f"\nThe way to {component} is closed.")
    return 0


def _serve(way: Way, port: int, *, as_json: bool) -> None:
    import asyncio

    def ready(address: str, bound: int) -> None:
        _tell(facts_of(way, address, bound), as_json=as_json)
        way.on_renewed = lambda: _tell(facts_of(way, address, bound), as_json=as_json)

    async def run() -> None:
        await way.local_port().serve(port, ready)

    asyncio.run(run())


def _tell(facts: Facts, *, as_json: bool) -> None:
    if as_json:
        say_json(facts)
    else:
        say(words_of(facts))
