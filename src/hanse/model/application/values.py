"""From the marked tree to plain values, by the core rules of YAML 1.2, with the place of each."""

import math
import re
from dataclasses import dataclass, field
from typing import Any, Final

from hanse.model.application.mistake import Mark, Mistake, shown
from hanse.model.application.quantities import DURATION_WORDS, duration_seconds
from hanse.model.application.schema import DURATIONS
from hanse.model.application.text import MappingNode, Node, ScalarNode, SequenceNode, is_ambiguous

NUMBER: Final = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?", re.ASCII)
OTHER_NUMBER: Final = re.compile(r"[-+]?(0[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+|\.(inf|Inf|INF|nan|NaN|NAN))")
"""Numbers to YAML 1.2 that are text, or other numbers, to other readers."""
DIGITS_MAX: Final = 30
_DURATION_PATH: Final = 3
"""`components.NAME.way_back`."""


def field_name(path: tuple[str | int, ...]) -> str:
    """`policy.apart[0].at`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


@dataclass(slots=True)
class Values:
    """What the file says as plain values, where each stands, and what cannot be a value at all."""

    data: Any = None
    keys: dict[str, Mark] = field(default_factory=dict)
    """Where each field begins: its name, or the item of a list."""
    marks: dict[str, Mark] = field(default_factory=dict)
    """Where each value begins."""
    unquoted: dict[str, str] = field(default_factory=dict)
    """Plain scalars that are no text, as they are written."""
    spoilt: set[str] = field(default_factory=set)
    """Fields already complained about."""
    mistakes: list[Mistake] = field(default_factory=list)

    def say(self, path: tuple[str | int, ...], mark: Mark, what: str, allowed: str) -> None:
        """Note a mistake, and that nothing more needs to be said of this field."""
        name = field_name(path)
        self.spoilt.add(name)
        self.mistakes.append(
            Mistake(line=mark.line, column=mark.column, field=name, what=what, allowed=allowed)
        )

    def is_spoilt(self, name: str) -> bool:
        """Whether a field, or what it stands in, was complained about."""
        while name:
            if name in self.spoilt:
                return True
            name = name[: max(name.rfind("."), name.rfind("["), 0)]
        return False


def values_of(root: Node) -> Values:
    """All values of a tree. Never raises."""
    values = Values()
    values.data = _value(root, (), values)
    return values


def _value(node: Node, path: tuple[str | int, ...], values: Values) -> Any:
    name = field_name(path)
    values.marks[name] = node.mark
    values.keys.setdefault(name, node.mark)
    if isinstance(node, SequenceNode):
        return [_value(item, (*path, index), values) for index, item in enumerate(node.items)]
    if isinstance(node, MappingNode):
        entries = (_entry((*path, key), mark, child, values) for key, (mark, child) in node.entries.items())
        return dict(entry for entry in entries if entry is not None)
    return _scalar(node, path, values)


def _entry(here: tuple[str | int, ...], mark: Mark, child: Node, values: Values) -> tuple[str, Any] | None:
    key = str(here[-1])
    values.keys[field_name(here)] = mark
    is_component = len(here) == _DURATION_PATH and here[0] == "components"
    if is_component and key in DURATIONS:
        return DURATIONS[key], _duration(child, here, values)
    if is_component and key in DURATIONS.values():
        written = next(name for name, shape in DURATIONS.items() if shape == key)
        values.say(here, mark, f"there is no field {key}", f"did you mean {written}?")
        return None
    return key, _value(child, here, values)


def _duration(node: Node, path: tuple[str | int, ...], values: Values) -> int | None:
    values.marks[field_name(path)] = node.mark
    seconds = duration_seconds(node.text) if isinstance(node, ScalarNode) else None
    if seconds is None:
        written = shown(node.text) if isinstance(node, ScalarNode) else "this"
        values.say(path, node.mark, f"{written or 'nothing'} is no duration", f"{DURATION_WORDS}, or 0")
    return seconds


def _scalar(node: ScalarNode, path: tuple[str | int, ...], values: Values) -> Any:
    text = node.text
    if not node.plain:
        return text
    if text in ("", "~", "null", "Null", "NULL"):
        values.say(path, node.mark, "there is no value", "a value, or leave the field out")
        return None
    if is_ambiguous(text):
        what = f"{text} without quotes is text to some programs and a truth value to others"
        values.say(path, node.mark, what, f'write "{text}"')
        return text
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        values.unquoted[field_name(path)] = text
        return text.lower() == "true"
    return _number(node, path, values) if NUMBER.fullmatch(text) else _text(node, path, values)


def _number(node: ScalarNode, path: tuple[str | int, ...], values: Values) -> Any:
    values.unquoted[field_name(path)] = node.text
    if len(node.text) > DIGITS_MAX or not math.isfinite(float(node.text)):
        values.say(path, node.mark, f"{shown(node.text)} is too long for a number", "fewer digits")
        return None
    return int(node.text) if re.fullmatch(r"[-+]?[0-9]+", node.text) else float(node.text)


def _text(node: ScalarNode, path: tuple[str | int, ...], values: Values) -> str:
    if OTHER_NUMBER.fullmatch(node.text):
        what = f"{node.text} is read differently by different programs"
        values.say(path, node.mark, what, f'a decimal number, or "{node.text}" where text is meant')
    return node.text
