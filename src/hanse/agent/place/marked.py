"""A site's YAML as plain values with the place of each; read by the rules of application files."""

from dataclasses import dataclass, field
from typing import Any

from hanse.model.application.mistake import Mark
from hanse.model.application.text import (
    NO_VALUE,
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    read_tree,
    scalar_of,
)
from hanse.ports import Permanent

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Marked:
    """A value and where each part of it stands: path to (line, column), both from 1."""

    value: Any
    places: dict[Path, Mark] = field(default_factory=dict)

    def place(self, path: Path) -> Mark:
        """Where `path`, or the nearest thing above it that exists, stands."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Mark(1, 1))


def read_marked(text: str, name: str) -> Marked:
    """Plain values of one YAML document. `name` is the file's name in messages.

    Raises Permanent(`file-unreadable`) with every mistake by line and column: what `read_tree` refuses, and
    values that programs read differently, such as a bare NO.
    """
    tree = read_tree(text)
    if tree.root is None and tree.complete:
        raise Permanent("file-unreadable", f"{name} is empty. `docs/sites.md` shows what belongs in it.")
    builder = _Builder()
    for mistake in tree.mistakes:
        builder.say(Mark(mistake.line, mistake.column), mistake.what, mistake.allowed)
    value = builder.build(tree.root, ()) if tree.root is not None else None
    if builder.wrong:
        lines = [f"{name}, line {mark.line}, column {mark.column}: {said}." for mark, said in builder.wrong]
        raise Permanent("file-unreadable", "\n".join(lines))
    return Marked(value=value, places=builder.places)


class _Builder:
    def __init__(self) -> None:
        self.places: dict[Path, Mark] = {}
        self.wrong: list[tuple[Mark, str]] = []

    def say(self, mark: Mark, what: str, allowed: str) -> None:
        self.wrong.append((mark, f"{what}; allowed: {allowed}"))

    def build(self, node: Node, path: Path) -> Any:
        self.places.setdefault(path, node.mark)
        match node:
            case SequenceNode():
                return [self.build(item, (*path, index)) for index, item in enumerate(node.items)]
            case MappingNode():
                return {key: self._entry(entry, (*path, key)) for key, entry in node.entries.items()}
        return self._scalar(node)

    def _entry(self, entry: tuple[Mark, Node], path: Path) -> Any:
        self.places[path] = entry[0]
        return self.build(entry[1], path)

    def _scalar(self, node: ScalarNode) -> Any:
        value, odd = scalar_of(node)
        if odd is not None and node.text not in NO_VALUE:
            self.say(node.mark, *odd)
        return value
