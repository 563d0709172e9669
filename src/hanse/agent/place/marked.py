"""YAML 1.2 with the line and column of every value, and the traps of YAML closed."""

from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from hanse.ports import Permanent

TEXT_BYTES_MAX = 1 << 20
DEPTH_MAX = 32
_SWITCH_WORDS = frozenset({"yes", "no", "on", "off", "y", "n"})

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Marked:
    """A value and where each part of it stands: path to (line, column), both from 1."""

    value: Any
    places: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def place(self, path: Path) -> tuple[int, int]:
        """Where `path`, or the nearest thing above it that exists, stands."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, (1, 1))


def read_marked(text: str, name: str) -> Marked:
    """Plain values of one YAML document. `name` is the file's name in messages.

    Raises Permanent(`file-unreadable`) with line and column: not YAML, two documents, an anchor,
    a key twice, too long, too deep, or a bare NO/YES/ON/OFF.
    """
    if len(text.encode()) > TEXT_BYTES_MAX:
        raise Permanent("file-unreadable", f"{name} is longer than 1 MiB. Shorten it.")
    reader = YAML(typ="safe", pure=True)
    try:
        node = reader.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        raise _wrong(name, line, column, f"this is not YAML: {error.problem or error.context}") from error
    except RecursionError:
        raise Permanent("file-unreadable", f"{name} is nested deeper than {DEPTH_MAX}.") from None
    if node is None:
        raise Permanent("file-unreadable", f"{name} is empty. `docs/sites.md` shows what belongs in it.")
    places: dict[Path, tuple[int, int]] = {}
    builder = _Builder(name, reader, places)
    return Marked(value=builder.build(node, ()), places=places)


class _Builder:
    def __init__(self, name: str, reader: YAML, places: dict[Path, tuple[int, int]]) -> None:
        self._name = name
        self._reader = reader
        self._places = places

    def build(self, node: Node, path: Path) -> Any:
        self._places[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
        if len(path) > DEPTH_MAX:
            raise self._at(node, f"nested deeper than {DEPTH_MAX}")
        if getattr(node, "anchor", None):
            raise self._at(node, "anchors (&, *) are not taken; write the value out")
        match node:
            case ScalarNode():
                return self._scalar(node)
            case SequenceNode():
                return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
            case MappingNode():
                return self._mapping(node, path)
        raise self._at(node, "something that is neither a value, a list nor a mapping")

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                raise self._at(key_node, "a key must be plain text")
            key = str(key_node.value)
            if key in built:
                raise self._at(key_node, f"`{key}` stands here twice")
            built[key] = self.build(value_node, (*path, key))
            self._places[(*path, key)] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
        return built

    def _scalar(self, node: ScalarNode) -> Any:
        if node.style is None and str(node.value).lower() in _SWITCH_WORDS:
            word = str(node.value)
            raise self._at(
                node,
                f'a bare {word} can be read as true or false. Write "{word}" in quotes,'
                " or true/false if that is meant",
            )
        try:
            return self._reader.constructor.construct_object(node, deep=True)
        except (MarkedYAMLError, ValueError) as error:
            why = getattr(error, "problem", None) or error
            raise self._at(node, f"{node.value!r} cannot be read: {why}") from error

    def _at(self, node: Node, what: str) -> Permanent:
        return _wrong(self._name, node.start_mark.line + 1, node.start_mark.column + 1, what)


def _wrong(name: str, line: int, column: int, what: str) -> Permanent:
    return Permanent("file-unreadable", f"{name}, line {line}, column {column}: {what}.")
