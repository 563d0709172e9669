"""How commands speak: lines for people, one JSON document for programs, questions with a safe default."""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from cyclopts import App, Parameter

from hanse.ports import Permanent

Json = Annotated[bool, Parameter(name="--json", negative="", help="One JSON document as the last line.")]
Yes = Annotated[bool, Parameter(name="--yes", negative="", help="Do not ask; for scripts.")]


def make_app(name: str, words: str = "") -> App:
    """A command, or a group of them, whose functions return the exit code."""
    return App(
        name=name,
        help=words,
        version_flags=[],
        result_action="return_value",
        help_formatter="plain",
        help_format="plaintext",
        default_parameter=Parameter(negative="", show_default=False),
    )


def say(lines: str | Iterable[str]) -> None:
    """Lines on the standard output, at once."""
    text = lines if isinstance(lines, str) else "\n".join(lines)
    print(text, flush=True)


def say_aside(lines: str | Iterable[str]) -> None:
    """Lines on the standard error, at once: progress beside a document."""
    text = lines if isinstance(lines, str) else "\n".join(lines)
    print(text, file=sys.stderr, flush=True)


def say_json(document: Mapping[str, Any]) -> None:
    """One document on one line."""
    print(json.dumps(document, ensure_ascii=False), flush=True)


def confirm(question: str) -> bool:
    """A yes from the person at the terminal; anything else is a no. Raises Permanent(`nobody-to-ask`)."""
    if not sys.stdin.isatty():
        raise Permanent(
            "nobody-to-ask",
            f"{question} Nobody can be asked here, so nothing was done. Add --yes to say yes in a script.",
        )
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline().strip().casefold()
    if answer in ("y", "yes"):
        return True
    say("Nothing was done.")
    return False
