"""`hanse COMMAND --help`: a command's docstring and options as text, without loading what paints screens."""

import inspect
import re
import shutil
import textwrap
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from cyclopts import App, Parameter

WORDS = frozenset({"--help", "-h"})
WIDTH_MAX = 100
_SECTION = "Parameters\n----------"
_KEPT_SPACE = "\x00"
_VALUES = {int: "N", float: "NUMBER"}

Rows = Sequence[tuple[str, str]]


def wants_help(words: Sequence[str]) -> bool:
    """A help word stands among a command's own words, not among those after `--`."""
    own = words[: words.index("--")] if "--" in words else words
    return not WORDS.isdisjoint(own)


def is_group(app: App, words: Sequence[str]) -> bool:
    """These words name a group of commands and none of them."""
    _, apps, rest = app.parse_commands(words)
    return not rest and apps[-1].default_command is None


def help_lines(app: App, words: Sequence[str], called: str = "hanse") -> list[str]:
    """The help of the command that these words name, or of a group of commands; `called`: how `app` is."""
    names, apps, _ = app.parse_commands([word for word in words if word not in WORDS])
    called, command = " ".join([called, *names]), apps[-1]
    if command.default_command is None:
        return [*_group(called, command)]
    return [*_command(called, command.default_command)]


def _group(called: str, group: App) -> Iterator[str]:
    yield f"Usage: {called} COMMAND …"
    yield ""
    yield from _paragraphs(group.help or "")
    yield ""
    yield "Commands:"
    shown = [name for name in group if not name.startswith("-") and group[name].show]
    yield from _table([(name, _first_sentence(group[name])) for name in shown])


def _first_sentence(command: App) -> str:
    function = command.default_command
    return (inspect.getdoc(function) or "").split("\n\n", 1)[0] if function else command.help or ""


def _command(called: str, function: Callable[..., Any]) -> Iterator[str]:
    said, _, section = (inspect.getdoc(function) or "").partition(_SECTION)
    told = _told(section)
    arguments, options = [], []
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        kind, annotated = _unpacked(parameter.annotation)
        words = told.get(name) or annotated.help or ""
        if parameter.kind is not parameter.KEYWORD_ONLY:
            arguments.append((_argument(name, parameter), words))
        else:
            flag = next(iter(annotated.name or ()), f"--{name.replace('_', '-')}")
            options.append((f"{flag} {_value(kind)}".rstrip(), words + _default(parameter.default)))
    yield " ".join(
        ["Usage:", called, *(shown for shown, _ in arguments), *(["[OPTIONS]"] if options else [])]
    )
    yield ""
    yield from _paragraphs(said)
    for title, rows in (("Arguments:", arguments), ("Options:", options)):
        if rows:
            yield ""
            yield title
            yield from _table(rows)


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.strip().split("\n\n")):
        yield from [""] if number else []
        yield from _wrapped(paragraph, _width())


def _told(section: str) -> dict[str, str]:
    """Parameter to words, of a docstring's section."""
    told: dict[str, list[str]] = {}
    name = ""
    for line in section.strip().splitlines():
        if line and not line.startswith(" "):
            name = line.partition(":")[0].strip()
            told[name] = []
        elif name:
            told[name].append(line.strip())
    return {name: " ".join(lines).strip() for name, lines in told.items()}


def _unpacked(annotation: Any) -> tuple[Any, Parameter]:
    """The bare type, and what stands beside it for the command line."""
    found = Parameter()
    if get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        found = next((each for each in more if isinstance(each, Parameter)), found)
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = next(each for each in get_args(annotation) if each is not type(None))
    return annotation, found


def _argument(name: str, parameter: inspect.Parameter) -> str:
    shown = name.upper().replace("_", "-")
    if parameter.kind is parameter.VAR_POSITIONAL:
        return f"[{shown} …]"
    return shown if parameter.default is parameter.empty else f"[{shown}]"


def _value(kind: Any) -> str:
    if kind is bool:
        return ""
    return _VALUES.get(kind) or ("PATH" if getattr(kind, "__name__", "") == "Path" else "TEXT")


def _default(default: Any) -> str:
    shown = isinstance(default, int | float) and not isinstance(default, bool) and default
    return f" Default: {default}." if shown else ""


def _table(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    rows = list(rows)
    column = min(max(len(shown) for shown, _ in rows), 24) + 4
    for shown, words in rows:
        lines = _wrapped(words, _width() - column) or [""]
        head = f"  {shown}".ljust(column)
        if len(shown) + 4 > column:
            yield head
            head = " " * column
        yield f"{head}{lines[0]}".rstrip()
        yield from (" " * column + line for line in lines[1:])


def _wrapped(text: str, width: int) -> list[str]:
    """Lines that break between words, never inside a command in backticks."""
    text = re.sub(r"`[^`]*`", lambda found: found[0].replace(" ", _KEPT_SPACE), " ".join(text.split()))
    lines = textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)
    return [line.replace(_KEPT_SPACE, " ") for line in lines]


def _width() -> int:
    return min(shutil.get_terminal_size().columns, WIDTH_MAX)
