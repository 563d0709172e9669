"""Watches operations until they end: one line that moves on a terminal, plain lines elsewhere."""

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TextIO

from hanse.cli.show.once import Once, reasons_of
from hanse.cli.show.operations import doing, failure_lines, is_under_way, stage, title
from hanse.ports import Permanent, Temporary

Document = Mapping[str, Any]
LOOK_SECONDS = 0.15
LOOK_LONGEST_SECONDS = 0.5
"""What goes on for long is looked at more seldom: each look costs the hub some milliseconds."""
REPEAT_SECONDS = 2.0
"""Plain lines tell progress again after so long."""
SILENCE_SECONDS = 6.0
STUCK_SECONDS = 30.0


@dataclass
class Board:
    """What the person sees, each reason once. `out` may be a terminal."""

    out: TextIO = field(default_factory=lambda: sys.stdout)
    _told: dict[str, tuple[tuple[object, ...], float, str]] = field(default_factory=dict)
    _lines: set[str] = field(default_factory=set)
    _once: Once = field(default_factory=Once)
    _live: bool = False

    def tell(self, operation: Document) -> None:
        """A plain line if something changed, new words after a while; a terminal's live line always."""
        name, now = operation["operation"], time.monotonic()
        known, at, told = self._told.get(name, ((), 0.0, ""))
        seen, line = stage(operation), f"{title(operation)}: {doing(operation)}"
        due = seen != known or (not self.out.isatty() and now - at >= REPEAT_SECONDS)
        if due and line != told:
            self._told[name] = (seen, now, line)
            self._write(line)
        elif self.out.isatty() and operation["progress"]:
            width = shutil.get_terminal_size().columns - 1
            self.out.write(f"\r\x1b[K{line[:width]}")
            self.out.flush()
            self._live = True

    def line(self, text: str) -> None:
        """A line that stays, unless exactly this was told."""
        if text not in self._lines:
            self._write(text)

    def hear(self, found: Document) -> None:
        """A status whose reasons the lines that follow may hold."""
        self._once.hear(reasons_of(found))

    def rest(self, lines: Iterable[str]) -> list[str]:
        """These lines without the reasons that were told; the caller writes them."""
        return [self._once.tell(line) for line in lines]

    def _write(self, text: str) -> None:
        if self._live:
            self.out.write("\r\x1b[K")
            self._live = False
        self._lines.add(text)
        self.out.write(f"{time.strftime('%H:%M:%S')} {self._once.tell(text)}\n")
        self.out.flush()


class Hub(Protocol):
    """What is asked again and again: `ApiClient` is one."""

    def get(self, path: str) -> Document:
        """A document."""
        ...


def follow(
    client: Hub,
    application: str,
    names: Sequence[str],
    board: Board,
    *,
    pause: Callable[[float], None] = time.sleep,
) -> Document:
    """Tell what happens until these operations have ended; the last status.

    Raises Temporary(`hub-unreachable`) if the hub stays silent, Permanent(`interrupted`,
    `operation-stuck`); the operations go on in each case.
    """
    silent = stuck = 0.0
    look, stages = LOOK_SECONDS, None
    try:
        while True:
            try:
                found = client.get(f"/v1/applications/{application}")
            except Temporary as failure:
                silent += look
                if silent > SILENCE_SECONDS:
                    raise _left_alone(failure, application) from failure
            else:
                silent = 0.0
                board.hear(found)
                ours = [each for each in found["operations"] if each["operation"] in names]
                for operation in reversed(ours):
                    board.tell(operation)
                if not any(map(is_under_way, ours)) and not _is_unsettled(found):
                    return found
                stuck = _still_stuck(ours, stuck, look)
                before, stages = stages, [(each["state"], each["phase"]) for each in ours]
                look = LOOK_SECONDS if stages != before else min(1.15 * look, LOOK_LONGEST_SECONDS)
            pause(look)
    except KeyboardInterrupt:
        raise Permanent(
            "interrupted",
            f"no longer watching; it goes on without you. Look with `hanse status {application}`.",
        ) from None


def _is_unsettled(found: Document) -> bool:
    """Being bought, or being cleared away because it could not be."""
    return found["state"] == "ordering" or (found["state"] == "retiring" and bool(found["reason"]))


def _left_alone(failure: Temporary, application: str) -> Temporary:
    return Temporary(
        failure.code,
        f"{failure.message} What was begun is not lost: sites finish a cut-over alone, and the hub goes on "
        f"when it is back. Look then with `hanse status {application}`.",
    )


def _still_stuck(operations: Sequence[Document], seconds: float, look: float) -> float:
    """For how long an operation has been stuck, seen every `look` seconds.

    Raises Permanent(`operation-stuck`) if that is too long.
    """
    stuck = next((each for each in operations if each["state"] == "stuck"), None)
    if stuck is None:
        return 0.0
    if seconds > STUCK_SECONDS:
        raise Permanent(
            "operation-stuck",
            f"{title(stuck)} does not get on: {stuck['reason']} It goes on by itself once that changes; "
            f"`hanse abort {stuck['operation']}` puts everything back.",
        )
    return seconds + look


def verdict(found: Document, names: Sequence[str]) -> tuple[bool, list[str]]:
    """Whether all went well, and what to say of those that did not."""
    ours = [each for each in found["operations"] if each["operation"] in names]
    lines: list[str] = []
    for each in ours:
        if each["state"] != "done":
            lines += [f"{title(each)}: {doing(each)}", *failure_lines(each["failure"])]
    good = all(each["state"] == "done" for each in ours)
    if found["state"] != "declined":
        return good, lines
    if any(each["kind"] != "retire" for each in ours):
        return False, [*lines, f"{found['application']} was not bought: {found['reason']}"]
    return good, [*lines, f"{found['application']} was never bought, so nothing of it is left to end"]
