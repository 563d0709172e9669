"""From the marked tree to plain values, by the core rules of YAML 1.2, with the place of each."""

from dataclasses import dataclass, field
from typing import Any, Final

from hanse.model.application.mistake import Mark, Mistake, shown
from hanse.model.application.quantities import DURATION_WORDS, duration_seconds
from hanse.model.application.schema import DURATIONS
from hanse.model.application.text import MappingNode, Node, ScalarNode, SequenceNode, scalar_of

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
    value, odd = scalar_of(node)
    if odd is not None:
        values.say(path, node.mark, *odd)
    elif not isinstance(value, str):
        values.unquoted[field_name(path)] = node.text
    return value
