"""`hanse logs`: what a component writes, asked of its site and sealed for this command alone."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from hanse.cli.finding import open_hub
from hanse.cli.names import split_component
from hanse.cli.show.operations import failure_lines
from hanse.cli.show.table import moment
from hanse.cli.speaking import Json, make_app, say, say_json
from hanse.ports import Permanent, Temporary

if TYPE_CHECKING:
    from hanse.wire.api_client import ApiClient

LINES_MAX = 10_000
READY_SECONDS = 20.0
LOOK_SECONDS = 0.15
FOLLOW_SECONDS = 1.0
SILENCE_SECONDS = 60.0

Document = Mapping[str, Any]
Lines = Annotated[int, Parameter(help="The last so many; 1 to 10000, 48 KiB at most.")]
Follow = Annotated[bool, Parameter(name="--follow", negative="", help="Go on until Ctrl-C.")]

commands = make_app("hanse")


@commands.command
def logs(component: str, *, lines: Lines = 100, follow: Follow = False, json: Json = False) -> int:
    """The last lines that a component wrote.

    Its site is asked; what it answers is sealed for this command, so the hub does not read it. Of a
    component that does not run any more: what its site sent with the failure. `--follow` goes on at the
    new place when the component moves; with `--json` it prints one document a line.

    Examples: `hanse logs clinic/web`, `hanse logs clinic/web --lines 20 --follow`

    Parameters
    ----------
    component:
        APP/COMPONENT.
    """
    application, name = split_component(component)
    if not 1 <= lines <= LINES_MAX:
        raise Permanent("lines-malformed", f"--lines {lines} is not between 1 and {LINES_MAX:,}.")
    path = f"/v1/applications/{application}/components/{name}/logs"
    with open_hub() as client:
        kept = client.get(path)
        if not kept["live"]:
            _tell_kept(kept, as_json=json)
            return 0
        reader = _Reader(client, path, component, lines, follows=follow)
        if follow:
            return _follow(reader, as_json=json)
        with reader.reading() as look:
            site, text = look()
    written = text.splitlines()
    if json:
        say_json({**kept, "site": site, "lines": written})
        return 0
    say(written or [f"{component} at {site} has written nothing."])
    for piece in kept["pieces"]:
        print(f"{piece['site']}: {piece['code']}: {piece['message']}", file=sys.stderr)
    return 0


def _tell_kept(kept: Document, *, as_json: bool) -> None:
    if as_json:
        say_json({**kept, "site": None, "lines": []})
        return
    for piece in reversed(kept["pieces"]):
        say(f"{moment(piece['at'])} UTC at {piece['site']}: {piece['code']}: {piece['message']}")
        say(f"  | {line}" for line in piece["text"].splitlines())
    say(kept["says"])


Look = Callable[[], tuple[str, str]]
"""Site and text, as of now."""


class _Reader:
    """One who reads: the sealing key is made here and ends with the command."""

    def __init__(self, client: "ApiClient", path: str, component: str, lines: int, *, follows: bool) -> None:
        from hanse.trust.keys import make_sealing_key
        from hanse.trust.sealing import KeySealer

        self._client, self._path, self._component = client, path, component
        self._sealer = KeySealer(make_sealing_key())
        self._asked = {"sealing_key": self._sealer.public_key, "lines": lines, "follows": follows}

    @contextmanager
    def reading(self) -> Iterator[Look]:
        """Ask the site, and end that in any case. The look waits for the first answer.

        It raises Permanent(`site-silent`), and Permanent(`moved`) once the component is elsewhere.
        """
        where = f"{self._path}/{self._client.send('POST', self._path, self._asked)['id']}"
        try:
            yield lambda: self._look(where)
        finally:
            with suppress(Permanent, Temporary):
                self._client.send("DELETE", where)

    def _look(self, where: str) -> tuple[str, str]:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            found = self._client.get(where)
            if found["ready"]:
                text = self._sealer.open(found["sealed"]).decode(errors="replace")
                if found["moved"]:
                    raise Permanent("moved", f"{self._component} is not at {found['site']} any more.")
                return str(found["site"]), text
            if found["failure"] or time.monotonic() > deadline:
                raise self._silent(found)
            time.sleep(LOOK_SECONDS)

    def _silent(self, found: Document) -> Permanent:
        words = " ".join(failure_lines(found["failure"])) or found["why"]
        application = self._component.partition("/")[0]
        return Permanent(
            "site-silent",
            f"the lines of {self._component} cannot be read: {words.rstrip('.')}. "
            f"`hanse status {application}` shows how it stands; then try again.",
        )


def _follow(reader: _Reader, *, as_json: bool) -> int:
    """Until Ctrl-C. A move, an hour's end and a short silence of the hub are followed through."""
    told: list[str] = []
    last = time.monotonic()
    with suppress(KeyboardInterrupt):
        while True:
            try:
                with reader.reading() as look:
                    while True:
                        site, text = look()
                        last = time.monotonic()
                        told = _tell_new(site, told, text.splitlines(), as_json=as_json)
                        time.sleep(FOLLOW_SECONDS)
            except (Permanent, Temporary) as failure:
                if failure.code not in ("moved", "reading-unknown", "site-silent", "hub-unreachable"):
                    raise
                if time.monotonic() - last > SILENCE_SECONDS:
                    raise
                time.sleep(FOLLOW_SECONDS)
    return 0


def _tell_new(site: str, told: Sequence[str], now: list[str], *, as_json: bool) -> list[str]:
    for line in news(told, now):
        if as_json:
            say_json({"site": site, "line": line})
        else:
            say(line)
    return now


def news(told: Sequence[str], now: Sequence[str]) -> Sequence[str]:
    """The lines at the end of `now` that come after all of `told`; both are the end of one text."""
    for dropped in range(len(told) + 1):
        kept = told[dropped:]
        if list(now[: len(kept)]) == list(kept):
            return now[len(kept) :]
    return now
