"""The agent's root: `hanse site …` and `hanse doctor`. Plugs the parts into the ports, and nothing else."""

from __future__ import annotations

import json as jsonlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cyclopts
from cyclopts import Parameter

from hanse.agent.process.supervise import EXIT_NOT_AGAIN, take_over
from hanse.cli.helping import help_lines, wants_help
from hanse.cli.refusal import misuse, refuse
from hanse.ports import Permanent, Temporary

if TYPE_CHECKING:
    from hanse.agent.place.home import Home
    from hanse.agent.process.ending import Ended

DEFAULT_DIRECTORY = ".hanse/site"
_STOP_SECONDS = 20.0
_TOKEN_MAX_CHARS = 8192

Directory = Annotated[Path | None, Parameter(name="--dir")]
Json = Annotated[bool, Parameter(name="--json", negative="")]

commands = cyclopts.App(
    name="hanse site",
    help="""Run one site of a provider: take orders from the hub, run components, keep the last word.

Examples: `hanse site join - --dir /srv/site --offers offers.yaml`, then `hanse site run --dir /srv/site`
""",
    version_flags=[],
    result_action="return_value",
)


@commands.command(name="join")
def join_command(
    token: Annotated[str, Parameter(allow_leading_hyphen=True)],
    *,
    dir: Directory = None,  # noqa: A002 - the option's name
    offers: Path | None = None,
    again: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> int:
    """Join a hub. The site makes its own key; the hub never sees it.

    Example: `hanse site join - --dir /srv/site --offers offers.yaml < token.txt`

    Parameters
    ----------
    token:
        One word from the hub's operator (`hanse invite PROVIDER/SITE`); good once, for one site.
        `-`: asked for, or read from the standard input, where other users of this machine cannot see it.
    dir:
        Where this site keeps its things. Default: $HANSE_SITE_DIR or ./.hanse/site
    offers:
        The site file: who, where, addresses, offers, prices (docs/sites.md). It is copied to DIR/offers.yaml.
    again:
        This site has joined already, and its certificate has ended: only that is made anew.
    json:
        One line of JSON instead of words.
    """
    import asyncio
    from datetime import UTC, datetime

    from hanse.agent.place.join import join, join_again

    home = _home(dir)
    word = _token_asked() if token == "-" else token  # noqa: S105
    facts = asyncio.run(join_again(home, word) if again else join(home, word, offers, datetime.now(UTC)))
    said = {
        "site": facts.site,
        "hub": facts.url,
        "hub_thumbprint": facts.thumbprint,
        "dir": str(home.directory),
    }
    words = (
        f"{facts.site} has joined the hub at {facts.url} (key {facts.thumbprint[:16]}…).\n"
        f"Start it: hanse site run --dir {home.directory}"
    )
    _say(words, said, as_json=json)
    return 0


def _token_asked() -> str:
    """From the person at the terminal, without showing it, or from whatever the standard input is."""
    if not sys.stdin.isatty():
        return sys.stdin.readline(_TOKEN_MAX_CHARS).strip()
    from getpass import getpass

    return getpass("The token of `hanse invite`: ").strip()


@commands.command(name="run")
def run_command(*, dir: Directory = None, json: Json = False) -> int:  # noqa: A002
    """Run the site's agent until Ctrl-C or SIGTERM; what it runs for others goes on without it.

    A small parent starts the agent again within a second if it dies.

    Example: `hanse site run --dir /srv/site`

    Parameters
    ----------
    dir:
        The site's directory. Default: $HANSE_SITE_DIR or ./.hanse/site
    json:
        Say where the site is as one line of JSON.
    """
    from hanse.drivers.identity import ProcessMark

    home = _home(dir)
    facts = home.hub()
    with _alone(home):
        mark = ProcessMark.of(os.getpid())
        if mark is not None:
            mark.save(home.process_file)
        said = {"site": facts.site, "hub": facts.url, "dir": str(home.directory), "pid": os.getpid()}
        _say(
            f"{facts.site} runs from {home.directory}. Ctrl-C ends the agent, not its parts.",
            said,
            as_json=json,
        )
        take_over(str(home.directory))


@commands.command(name="agent", show=False)
def agent_command_(*, dir: Directory = None) -> int:  # noqa: A002
    """The agent itself, without its parent."""
    from hanse.agent.process.running import serve_site

    home = _home(dir)
    try:
        home.require_journal()
        return serve_site(home, build=_build)
    except Permanent as failure:
        _complain(failure.message)
        return 1 if failure.code in {"port-taken", "journal-in-use"} else EXIT_NOT_AGAIN


@commands.command(name="stop")
def stop_command(
    *,
    dir: Directory = None,  # noqa: A002
    erase: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> int:
    """End the agent and everything that it runs at this site.

    Data is kept, and `hanse site run` starts all of it again, unless `--erase` is given.

    Example: `hanse site stop --dir /srv/site --erase`

    Parameters
    ----------
    dir:
        The site's directory. Default: $HANSE_SITE_DIR or ./.hanse/site
    erase:
        Leave no data of any component here. There is no way back.
    json:
        One line of JSON instead of words.
    """
    from hanse.agent.process.running import end_site

    ended = end_site(_home(dir), build=_build, erase=erase)
    _tell_ended(ended, as_json=json)
    return 0 if all(one.is_ended for one in ended) else 1


@commands.command(name="leave")
def leave_command(
    *,
    dir: Directory = None,  # noqa: A002
    force: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> int:
    """Leave the hub. Refused while anything stands here, unless forced.

    Example: `hanse site leave --dir /srv/site`

    Parameters
    ----------
    dir:
        The site's directory. Default: $HANSE_SITE_DIR or ./.hanse/site
    force:
        Leave although something stands here, or although the hub does not answer or agree; what stands here
        is stopped, its data is kept.
    json:
        One line of JSON instead of words.
    """
    from hanse.agent.process.running import leave_site

    home = _home(dir)
    facts = home.hub()
    ended, warning = leave_site(home, build=_build, force=force)
    if json:
        _print_json({"left": facts.site, "warning": warning, "ended": [_fields(one) for one in ended]})
    else:
        _tell_ended(ended, as_json=False)
        print(f"{facts.site} has left the hub at {facts.url}." + (f" {warning}" if warning else ""))
    return 0


doctor_commands = cyclopts.App(name="hanse doctor", version_flags=[], result_action="return_value")


@doctor_commands.default
def doctor_command(*, json: Json = False) -> int:
    """What this machine can run, how to add the rest, and what it cannot enforce.

    Changes nothing; the exit code is 1 if something is missing.

    Examples: `hanse doctor`, `hanse doctor --json`

    Parameters
    ----------
    json:
        One line of JSON instead of words.
    """
    import asyncio
    import tempfile

    with tempfile.TemporaryDirectory(prefix="hanse-doctor-") as scratch:
        drivers, router, pooler = _drivers(Path(scratch), "doctor/here", "127.0.0.1", (10_000, 100), None)
        found = asyncio.run(_probe([*drivers, pooler, router]))
    if json:
        _print_json(
            {
                one.kind: {"usable": one.usable, "missing": one.missing, "not_enforced": one.not_enforced}
                for one in found
            }
        )
    else:
        for one in found:
            print(f"{one.kind}: {'can be run here' if one.usable else 'cannot be run here'}")
            for missing in one.missing:
                print(f"  missing       {missing}")
            for limit in one.not_enforced:
                print(f"  not enforced  {limit}")
    return 0 if all(one.usable for one in found) else 1


async def _probe(parts: Sequence[Any]) -> list[Any]:
    return [await part.probe() for part in parts]


def _build(home: Home) -> Any:
    """Everything of this site with its real parts."""
    from hanse.agent.process.running import Real, load_site

    loaded = load_site(home)
    site_file = loaded.site_file()
    ports = (site_file.local.ports.first, site_file.local.ports.last - site_file.local.ports.first + 1)
    site, directory = loaded.identity.me.site, home.parts_directory
    drivers, router, pooler = _drivers(directory, site, site_file.local.address, ports, loaded)
    return Real(loaded, {driver.kind: driver for driver in drivers}, router, pooler)


def _drivers(
    directory: Path, site: str, address: str, ports: tuple[int, int], loaded: Any
) -> tuple[list[Any], Any, Any]:
    """The drivers, the proxy and the poolers of a site. `loaded` None: to be probed only.

    Buckets take their ports from the first half, databases from the next quarter, connectors from the end.
    """
    from hanse.drivers.bucket.driver import BucketDriver
    from hanse.drivers.bucket.record import PortBlock
    from hanse.drivers.container.driver import ContainerDriver
    from hanse.drivers.container.network import ContainerNetwork
    from hanse.drivers.endpoint.router import HaproxyRouter
    from hanse.drivers.pooler.pooler import PgbouncerPooler
    from hanse.drivers.postgres.driver import PostgresDriver

    network = ContainerNetwork(directory / "networks")
    artifacts = None if loaded is None else loaded.hub_client
    listen = None if loaded is None else loaded.listen_address
    own = (Path(), Path()) if loaded is None else (loaded.home.certificate_file, loaded.home.key_file)
    first, count = ports
    drivers = [
        ContainerDriver(site, directory / "container", network, artifacts),  # type: ignore[arg-type]
        BucketDriver(site, directory / "bucket", address, PortBlock(first, count // 2)),
        PostgresDriver(
            site, directory / "postgres", address, range(first + count // 2, first + count * 3 // 4)
        ),
    ]
    router = HaproxyRouter(site, directory / "endpoint", *own, address=listen)
    return drivers, router, PgbouncerPooler(site, directory / "pooler")


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """Nobody else runs this site. Raises Permanent(`site-running`)."""
    with (home.directory / "agent.lock").open("w") as lock:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except OSError as error:
            raise Permanent(
                "site-running",
                f"The site in {home.directory} already runs. `hanse site stop --dir DIR` ends it.",
            ) from error
        os.set_inheritable(lock.fileno(), True)
        yield


def _home(directory: Path | None) -> Home:
    from hanse.agent.place.home import Home

    return Home((directory or Path(os.environ.get("HANSE_SITE_DIR", DEFAULT_DIRECTORY))).absolute())


def _tell_ended(ended: Sequence[Ended], *, as_json: bool) -> None:
    if as_json:
        _print_json({"ended": [_fields(one) for one in ended]})
        return
    for one in ended:
        print(f"{one.what}: {one.done}")


def _fields(one: Ended) -> dict[str, Any]:
    return {"what": one.what, "done": one.done, "is_ended": one.is_ended}


def _say(words: str, fields: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        _print_json(fields)
    else:
        print(words, flush=True)


def _print_json(fields: dict[str, Any]) -> None:
    print(jsonlib.dumps(fields, ensure_ascii=False), flush=True)


def _complain(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def run(argv: Sequence[str]) -> int:
    """`hanse site ARGV` or `hanse doctor ARGV`; the exit code. Errors in words, never a traceback."""
    words = list(argv)
    is_doctor = words[:1] == ["doctor"]
    app = doctor_commands if is_doctor else commands
    if words[:1] in (["site"], ["doctor"]):
        words = words[1:]
    if wants_help(words):
        print("\n".join(help_lines(app, words, "hanse doctor" if is_doctor else "hanse site")))
        return 0
    try:
        result = app(words, exit_on_error=False, print_error=False)
    except cyclopts.CycloptsError as error:
        return misuse(str(error), f"hanse {'doctor' if is_doctor else 'site'} --help", words)
    except (Permanent, Temporary, OSError, KeyboardInterrupt) as failure:
        return refuse(failure, words)
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
