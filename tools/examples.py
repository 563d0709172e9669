"""Runs the examples as somebody with a shell would: build, push, apply, use, move under use, retire.

`python -m tools.examples [clinic|registry|imaging …]`, all of them without a name. One JSON
line an example on the standard output; what happens is told on the standard error. Needs root.
"""

import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from tools import example_clients
from tools.example_clients import Client

from hanse.demo.images import Example
from hanse.demo.network import SceneryError
from hanse.demo.scenery import COMPANIES
from hanse.demo.stage import CommandError, Stage

WRITES_BETWEEN = 20
WRITES_SECONDS = 60.0
LIMIT_SECONDS = 900
"""An example that takes longer is given up; everything it started is ended."""


@dataclass(frozen=True)
class Play:
    """An example, who uses it, and which of its components move while they do."""

    name: str
    clients: Callable[[dict[str, str]], list[Client]]
    moving: tuple[str, ...]


PLAYS = (
    Play("clinic", example_clients.clinic, ("records", "images")),
    Play("registry", example_clients.registry, ("runs", "artifacts")),
    Play("imaging", example_clients.imaging, ("studies",)),
)


def say(line: str) -> None:
    """For the person who watches."""
    print(line, file=sys.stderr, flush=True)


def place(stage: Stage, play: Play) -> dict[str, str]:
    """Push the images, buy and run; the address of each exposed component."""
    example = Example(play.name)
    digests = {
        component: stage.hanse_json("image", "push", str(file))["digest"]
        for component, file in example.images(say).items()
    }
    file = stage.directory / f"{play.name}.yaml"
    file.write_text(example.application(digests), encoding="utf-8")
    say(stage.hanse("plan", str(file)).rstrip())
    stage.hanse("apply", str(file), "--yes")
    found = stage.hanse_json("status", play.name)["endpoints"]
    return {each["component"]: f"http://{each['address']}:{each['port']}" for each in found}


def site_of(stage: Stage, application: str, component: str) -> str:
    """Where a component is served."""
    components = stage.hanse_json("status", application)["components"]
    return str(next(each["site"] for each in components if each["component"] == component))


def move(stage: Stage, application: str, component: str) -> None:
    """To another site that the file's rules allow, then back."""
    what = f"{application}/{component}"
    before = site_of(stage, application, component)
    refused = ""
    for site in (company.site_id for company in COMPANIES if company.site_id != before):
        try:
            stage.hanse("move", what, "--to", site, "--dry-run")
        except CommandError as error:
            refused = str(error)
            continue
        timed(f"{what} moved to {site}", lambda: stage.hanse("move", what, "--to", site, "--yes"))  # noqa: B023
        timed(f"{what} moved back to {before}", lambda: stage.hanse("move", what, "--back", "--yes"))
        return
    raise CommandError(f"{what} may move nowhere:\n{refused}")


def timed(title: str, act: Callable[[], object]) -> None:
    """Do it and say how long it took."""
    began = time.monotonic()
    act()
    say(f"{title} in {time.monotonic() - began:.1f} s")


def work_on(clients: Sequence[Client]) -> None:
    """Until each client got so many more answers. Raises SceneryError for one that gets none."""
    began = time.monotonic()
    for client in clients:
        while client.good_since(began) < WRITES_BETWEEN:
            if time.monotonic() - began > WRITES_SECONDS:
                last = client.answers[-1].status if client.answers else "no answer"
                raise SceneryError(f"client `{client.name}` gets no further: its last answer was {last}")
            time.sleep(0.1)


def perform(stage: Stage, play: Play) -> dict[str, Any]:
    """One example from its image to its retirement; what its clients saw."""
    clients = play.clients(place(stage, play))
    try:
        for client in clients:
            client.begin()
        work_on(clients)
        for component in play.moving:
            move(stage, play.name, component)
            work_on(clients)
    finally:
        for client in clients:
            client.finish()
    verdict = judge(play.name, clients)
    stage.hanse("retire", play.name, "--erase-now", "--yes")
    return verdict


def judge(name: str, clients: Sequence[Client]) -> dict[str, Any]:
    """From what the clients were told, and from reading everything again that was acknowledged."""
    acknowledged = lost = 0
    for client in clients:
        failed = [answer.status for answer in client.answers if not answer.good] or "none"
        say(f"{client.name}: {len(client.answers)} requests, failed: {failed}, gap {client.gap_ms} ms")
        if client.holds:
            gone = [number for number in client.acknowledged if not client.holds(number)]
            if gone:
                say(f"{client.name}: lost are numbers {gone}")
            acknowledged, lost = acknowledged + len(client.acknowledged), lost + len(gone)
    sessions = [client.reconnect_ms for client in clients if client.session]
    return {
        "name": name,
        "writes_acknowledged": acknowledged,
        "writes_lost": lost,
        "client_errors": sum(client.failures for client in clients if client.repeatable),
        "client_repeats": sum(client.failures for client in clients if not client.repeatable),
        "gap_ms_max": max(client.gap_ms for client in clients),
        "reconnect_ms": max(sessions) if sessions else None,
    }


def good(verdict: dict[str, Any]) -> bool:
    """Nothing lost, and no failure where the endpoint promises none."""
    return bool(verdict["writes_acknowledged"]) and not verdict["writes_lost"] + verdict["client_errors"]


def chosen(names: Sequence[str]) -> list[Play]:
    """The plays of these names; all without one. Raises SceneryError for a name that there is not."""
    unknown = set(names) - {play.name for play in PLAYS}
    if unknown:
        known = ", ".join(play.name for play in PLAYS)
        raise SceneryError(f"there is no example {', '.join(sorted(unknown))} to run; there are {known}")
    return [play for play in PLAYS if not names or play.name in names]


def run(plays: Sequence[Play]) -> bool:
    """All of them on one stage, which is struck whatever happens."""
    stage, fine = Stage.claim(), True
    try:
        say("Building three sites of three invented providers …")
        stage.network.build(len(COMPANIES))
        stage.start_hub()
        stage.join_sites()
        for play in plays:
            signal.alarm(LIMIT_SECONDS)
            verdict = perform(stage, play)
            signal.alarm(0)
            print(json.dumps(verdict), flush=True)
            fine = fine and good(verdict)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # whoever ends us twice leaves nothing behind either
        stage.strike()
    return fine


def _interrupted(number: int, _frame: object) -> NoReturn:
    if number == signal.SIGALRM:
        raise SceneryError(f"the example was not done after {LIMIT_SECONDS} s and is given up")
    raise KeyboardInterrupt


def main() -> int:
    """0 if every example lost nothing and failed nowhere."""
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, _interrupted)
    try:
        return 0 if run(chosen(sys.argv[1:])) else 1
    except (SceneryError, CommandError, RuntimeError) as error:
        print(f"examples: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
