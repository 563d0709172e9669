"""YAML text to a tree of marked nodes: the part of YAML 1.2 that an application file may use.

Refused: anchors, aliases, tags, directives, duplicate keys, keys that are not text, several documents,
more than 1 MiB, more than 32 levels, more than 20,000 values. Nothing is resolved or constructed.
"""

import math
import re
from dataclasses import dataclass, field
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    ScalarEvent,
)
from ruamel.yaml.reader import ReaderError

from hanse.model.application.mistake import Mark, Mistake, shown

BYTES_MAX: Final = 1024 * 1024
START: Final = Mark(1, 1)
DEPTH_MAX: Final = 32
NODES_MAX: Final = 20_000
NUMBER: Final = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?", re.ASCII)
OTHER_NUMBER: Final = re.compile(r"[-+]?(0[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+|\.(inf|Inf|INF|nan|NaN|NAN))")
"""Numbers to YAML 1.2 that are text, or other numbers, to other readers."""
DIGITS_MAX: Final = 30
NO_VALUE: Final = ("", "~", "null", "Null", "NULL")
_NOT_TEXT: Final = re.compile("[\ud800-\udfff\x00]")


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """One value. `plain`: written without quotes and not as a block."""

    mark: Mark
    text: str
    plain: bool


@dataclass(frozen=True, slots=True)
class SequenceNode:
    """A list."""

    mark: Mark
    items: "list[Node]" = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class MappingNode:
    """Keys and values, in the order of the text; each key once."""

    mark: Mark
    entries: "dict[str, tuple[Mark, Node]]" = field(default_factory=dict)


Node = ScalarNode | SequenceNode | MappingNode


@dataclass(frozen=True, slots=True)
class Tree:
    """What the text says, as far as it could be read, and what is wrong with it as YAML."""

    root: Node | None
    mistakes: tuple[Mistake, ...]
    complete: bool
    """False: reading stopped at the last mistake, so that what is missing may stand further on."""


class _Stop(Exception):  # noqa: N818 - not an error: the text is not worth reading on
    pass


def read_tree(text: str) -> Tree:
    """The tree of a text. Never raises; takes time and memory in proportion to the text."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > BYTES_MAX:
        what = f"the file has {size} bytes"
        return Tree(None, (_mistake(START, what, f"at most {BYTES_MAX} bytes (1 MiB)"),), complete=False)
    builder = _Builder()
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            builder.take(event)
    except _Stop:
        return Tree(builder.root, tuple(builder.mistakes), complete=False)
    except YAMLError as error:
        builder.mistakes.append(_syntax(error, text))
        return Tree(builder.root, tuple(builder.mistakes), complete=False)
    except (ValueError, TypeError, IndexError, AttributeError, AssertionError, OverflowError) as error:
        what = f"the YAML reader gives up on this text ({type(error).__name__})"
        builder.mistakes.append(_mistake(builder.last, what, "plain YAML 1.2"))
        return Tree(builder.root, tuple(builder.mistakes), complete=False)
    if builder.root is None and not builder.mistakes:
        builder.mistakes.append(_mistake(START, "the file is empty", "an application, see the example"))
    return Tree(builder.root, tuple(builder.mistakes), complete=True)


def _mistake(mark: Mark, what: str, allowed: str) -> Mistake:
    return Mistake(line=mark.line, column=mark.column, field="", what=what, allowed=allowed)


def _syntax(error: YAMLError, text: str) -> Mistake:
    if isinstance(error, ReaderError):
        before = text[: error.position] if isinstance(error.position, int) else ""
        mark = Mark(before.count("\n") + 1, len(before) - before.rfind("\n"))
        return _mistake(mark, "a character that no text file holds", "letters, digits, punctuation, spaces")
    if not isinstance(error, MarkedYAMLError):
        return _mistake(START, f"not YAML: {shown(str(error))}", "YAML 1.2")
    where = error.problem_mark or error.context_mark
    mark = START if where is None else Mark(where.line + 1, where.column + 1)
    what = " ".join(part for part in (error.context, error.problem) if part)
    tab = "\\t" in what
    allowed = "spaces, not tabs, to indent" if tab else "YAML 1.2: `name: value`, indented by spaces"
    return _mistake(mark, f"not YAML: {shown(what)}", allowed)


@dataclass(slots=True)
class _Builder:
    """Takes events one by one and puts nodes where they belong."""

    root: Node | None = None
    mistakes: list[Mistake] = field(default_factory=list)
    last: Mark = START
    _open: list[MappingNode | SequenceNode] = field(default_factory=list)
    _keys: list[tuple[Mark, str] | None] = field(default_factory=list)
    """For each open collection: the key that waits for its value."""
    _nodes: int = 0
    _documents: int = 0
    _skipping: int = 0
    """How many collections are open inside something that has no place."""

    def take(self, event: Event) -> None:
        """One more event. Raises _Stop where reading on makes no sense."""
        start = event.start_mark
        self.last = Mark(start.line + 1, start.column + 1)
        match event:
            case DocumentStartEvent():
                self._document(event)
            case AliasEvent():
                self._say(f"*{shown(str(event.anchor))} is an alias", "the value itself, written out")
                self._put(ScalarNode(self.last, "", plain=False))
            case ScalarEvent():
                self._count(event)
                self._scalar(event)
            case CollectionStartEvent():
                self._count(event)
                self._start(event)
            case CollectionEndEvent():
                self._end()

    def _say(self, what: str, allowed: str) -> None:
        self.mistakes.append(_mistake(self.last, what, allowed))

    def _document(self, event: DocumentStartEvent) -> None:
        self._documents += 1
        if event.version is not None or event.tags:
            self._say("a % directive", "no directives: the file is YAML 1.2")
        if self._documents > 1:
            self._say("a second document begins", "one document in a file")
            raise _Stop

    def _count(self, event: ScalarEvent | CollectionStartEvent) -> None:
        self._nodes += 1
        if self._nodes > NODES_MAX:
            self._say(f"more than {NODES_MAX} values", "a smaller file")
            raise _Stop
        if event.anchor is not None:
            self._say(f"&{shown(event.anchor)} is an anchor", "the value without an anchor")
        if event.ctag is not None and str(event.ctag):
            self._say(f"{shown(str(event.ctag))} is a tag", "the value without a tag")

    def _scalar(self, event: ScalarEvent) -> None:
        if _NOT_TEXT.search(event.value):
            self._say("a character that no text holds", "text without NUL and without half characters")
            raise _Stop
        self._put(ScalarNode(self.last, event.value, plain=event.style in (None, "")))

    def _start(self, event: CollectionStartEvent) -> None:
        if len(self._open) + self._skipping >= DEPTH_MAX:
            self._say(f"more than {DEPTH_MAX} levels", "a flatter file")
            raise _Stop
        is_mapping = isinstance(event, MappingStartEvent)
        node = MappingNode(self.last) if is_mapping else SequenceNode(self.last)
        if self._skipping or not self._put(node):
            self._skipping += 1
            return
        self._open.append(node)
        self._keys.append(None)

    def _end(self) -> None:
        if self._skipping:
            self._skipping -= 1
            return
        self._open.pop()
        self._keys.pop()

    def _put(self, node: Node) -> bool:
        """Puts a node where it belongs; False if it has no place, because it stands where a key must."""
        if self._skipping:
            return False
        if not self._open:
            self.root = node
            return True
        parent = self._open[-1]
        if isinstance(parent, SequenceNode):
            parent.items.append(node)
            return True
        key = self._keys[-1]
        if key is None:
            return self._key(node)
        self._keys[-1] = None
        if key[1] not in parent.entries:
            parent.entries[key[1]] = (key[0], node)
        return True

    def _key(self, node: Node) -> bool:
        text = node.text if isinstance(node, ScalarNode) else ""
        parent = self._open[-1]
        if not isinstance(node, ScalarNode):
            self._say("a list or a mapping stands where a name must", "a name")
        elif isinstance(parent, MappingNode) and text in parent.entries:
            first = parent.entries[text][0].line
            self._say(f"{shown(text)} is written twice, first in line {first}", "each name once")
        elif node.plain and is_ambiguous(text):
            self._say(f"{text} without quotes is not text to every program", f'write "{text}"')
        self._keys[-1] = (node.mark, text)
        return isinstance(node, ScalarNode)


def scalar_of(node: ScalarNode) -> tuple[Any, tuple[str, str] | None]:
    """The value by the core rules of YAML 1.2; and what is odd about it, and allowed instead.

    None where there is no value, or none that can be held.
    """
    text = node.text
    if not node.plain:
        return text, None
    if text in NO_VALUE:
        return None, ("there is no value", "a value, or leave the field out")
    if is_ambiguous(text):
        what = f"{text} without quotes is text to some programs and a truth value to others"
        return text, (what, f'write "{text}"')
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return text.lower() == "true", None
    if NUMBER.fullmatch(text):
        if len(text) > DIGITS_MAX or not math.isfinite(float(text)):
            return None, (f"{shown(text)} is too long for a number", "fewer digits")
        return (int if re.fullmatch(r"[-+]?[0-9]+", text) else float)(text), None
    if OTHER_NUMBER.fullmatch(text):
        what = f"{text} is read differently by different programs"
        return text, (what, f'a decimal number, or "{text}" where text is meant')
    return text, None


def is_ambiguous(text: str) -> bool:
    """Whether some YAML readers take this plain text for a truth value."""
    return text.lower() in ("y", "n", "yes", "no", "on", "off")
