"""The application file, from text to the application or to everything that is wrong with it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from hanse.model.application.consistency import flaws_of
from hanse.model.application.file import (
    COMPONENTS_MAX,
    Application,
    BucketComponent,
    ContainerComponent,
    Policy,
    PostgresComponent,
)
from hanse.model.application.mistake import Lines, Mark, Mistake, Unreadable, mark_of, shown
from hanse.model.application.quantities import DURATION_WORDS, duration_words
from hanse.model.application.schema import DURATIONS, allowed_at, names_at, nearest
from hanse.model.application.text import read_tree
from hanse.model.application.values import Values, field_name, values_of
from hanse.model.shape import Shape

MISTAKES_MAX: Final = 100
NO_VOLUME: Final = "containers that keep a volume (state: volume) are not built yet"
KINDS: Final = "container, bucket or postgres"
_SHAPES: Final[Mapping[str, type[Shape]]] = {
    "container": ContainerComponent,
    "bucket": BucketComponent,
    "postgres": PostgresComponent,
}
_STAND_INS: Final[Mapping[type[Shape], Mapping[str, Any]]] = {
    ContainerComponent: {"image": f"sha256:{'0' * 64}", "size": {"vcpu": 1, "memory_gib": 1}},
    BucketComponent: {"size": {"storage_gib": 1}},
    PostgresComponent: {"size": {"vcpu": 1, "memory_gib": 1, "storage_gib": 1}},
}
"""For fields that must be there, so that the others are looked at although these are wrong."""
_REFERRING: Final = {"env", "command"}
"""They refer to `uses`: what is wrong there is not told again of each of them."""
FieldPath = tuple[str | int, ...]
ShapeT = TypeVar("ShapeT", bound=Shape)


@dataclass(frozen=True, slots=True)
class ReadApplication:
    """An application, and the line and column of each of its fields for the origins of requirements."""

    application: Application
    lines: Lines


def read_bytes(data: bytes, place: str) -> ReadApplication | Unreadable:
    """Like `read_application`, for the bytes of a file."""
    try:
        return read_application(data.decode("utf-8-sig"), place)
    except UnicodeDecodeError as error:
        before = data[: error.start]
        mark = Mark(before.count(b"\n") + 1, len(before) - before.rfind(b"\n"))
        return _unreadable(place, [_mistake(mark, "", "a byte that is not UTF-8", "text in UTF-8")])


def read_application(text: str, place: str) -> ReadApplication | Unreadable:
    """The application that a text holds, or all its mistakes in the order of the text.

    `place` is the file's name for messages. Never raises; at most 1 MiB is looked at.
    """
    tree = read_tree(text)
    if tree.root is None or not tree.complete:
        return _unreadable(place, list(tree.mistakes))
    values = values_of(tree.root)
    mistakes = [*tree.mistakes, *values.mistakes]
    application = _application(values, mistakes)
    mistakes.extend(_flaws(values))
    if application is None or mistakes:
        return _unreadable(place, mistakes)
    return ReadApplication(application, values.keys)


def _unreadable(place: str, mistakes: list[Mistake]) -> Unreadable:
    ordered = sorted(set(mistakes), key=lambda one: (one.line, one.column, one.field, one.what))
    more = len(ordered) - MISTAKES_MAX
    if more > 0:
        last = ordered[MISTAKES_MAX]
        rest = _mistake(Mark(last.line, last.column), "", "and more mistakes", "see those before")
        ordered = [*ordered[:MISTAKES_MAX], rest]
    return Unreadable(place=place, mistakes=tuple(ordered))


def _mistake(mark: Mark, name: str, what: str, allowed: str) -> Mistake:
    return Mistake(line=mark.line, column=mark.column, field=name, what=what, allowed=allowed)


def _application(values: Values, mistakes: list[Mistake]) -> Application | None:
    if not isinstance(values.data, dict):
        what = "the file is not a set of fields with values"
        mistakes.append(_mistake(values.marks[""], "", what, allowed_at(())))
        return None
    try:
        return Application.model_validate_json(json.dumps(values.data), strict=True)
    except ValidationError as error:
        for detail in error.errors(include_url=False)[: 10 * MISTAKES_MAX]:
            mistakes.extend(_translated(detail, values))
        return None


def _translated(detail: ErrorDetails, values: Values) -> Iterator[Mistake]:
    """One of pydantic's errors as a mistake; nothing for the branch of a union that was not meant."""
    path, value, branch = _resolved(detail["loc"], values.data)
    if branch == "literal" and isinstance(value, list):
        return
    if branch == "tuple" and not isinstance(value, list) and path[-1:] == ("countries",):
        return
    missing = detail["type"] == "missing"
    written = tuple(_written(part) for part in path)
    name = field_name((*written, detail["loc"][-1]) if missing else written)
    if values.is_spoilt(name):
        return
    what, allowed = _words(detail, (written, value), values)
    is_name = detail["type"] == "extra_forbidden" or detail["loc"][-1] == "[key]" or missing
    mark = mark_of(values.keys if is_name else values.marks, name)
    yield _mistake(mark, name, what, allowed)


def _written(part: str | int) -> str | int:
    return next((name for name, shape in DURATIONS.items() if shape == part), part)


def _resolved(location: tuple[str | int, ...], data: Any) -> tuple[FieldPath, Any, str]:
    """The path that pydantic's location means in the data, what stands there, and the union's branch."""
    path: list[str | int] = []
    branch = ""
    for index, part in enumerate(location):
        inside_mapping = isinstance(data, dict) and part in data
        inside_list = isinstance(data, list) and isinstance(part, int) and part < len(data)
        is_tag = index == 2 and location[0] == "components" and part == _kind(data)
        if (inside_mapping or inside_list) and not is_tag:
            path.append(part)
            data = data[part]
        elif isinstance(part, str) and part.startswith(("literal[", "tuple[", "constrained-")):
            branch = part.partition("[")[0]
    return tuple(path), data, branch


def _kind(component: Any) -> str:
    kind = component.get("kind", "") if isinstance(component, dict) else ""
    return kind if isinstance(kind, str) else ""


def _words(detail: ErrorDetails, at: tuple[FieldPath, Any], values: Values) -> tuple[str, str]:
    """What is wrong and what is allowed."""
    path, value = at
    kind = _kind(values.data["components"][path[1]]) if _in_component(path) else ""
    allowed = allowed_at(path, kind)
    name = field_name(path)
    match detail["type"]:
        case "missing":
            absent = str(detail["loc"][-1])
            return f"the field {absent} is missing", allowed_at((*path, absent), kind)
        case "extra_forbidden":
            here = str(path[-1])
            return f"there is no field {shown(here)}", nearest(here, names_at(path[:-1], kind))
        case "union_tag_not_found":
            return "the field kind is missing", f"kind: {KINDS}"
        case "union_tag_invalid":
            return f"there is no kind {shown(kind)}", KINDS
        case "literal_error" if value == "volume" and path[-1] == "state":
            return NO_VOLUME, "none"
        case "string_type" if name in values.unquoted:
            written = values.unquoted[name]
            return f"{written} without quotes is not text", f'write "{written}"'
        case "less_than_equal" if path[-1] in DURATIONS:
            return "this is too long", f"{DURATION_WORDS}, at most {duration_words(detail['ctx']['le'])}"
        case "string_pattern_mismatch" if detail["loc"][-1] == "[key]":
            names = "a variable's name" if "env" in path else "a name"
            return f"{shown(str(path[-1]))} cannot be {names}", _name_words("env" in path)
        case "too_short" | "too_long":
            return f"{len(value)} of them", f"{_bounds(detail)}; {allowed}"
    return f"{_quoted(value)} does not fit", allowed


def _in_component(path: FieldPath) -> bool:
    return len(path) > 1 and path[0] == "components"


def _name_words(variable: bool) -> str:
    if variable:
        return "letters, digits and underscores, no digit first"
    return allowed_at(("name",))


def _bounds(detail: ErrorDetails) -> str:
    context: Mapping[str, Any] = detail.get("ctx", {})
    if "min_length" in context:
        return f"at least {context['min_length']}"
    return f"at most {context.get('max_length')}"


def _quoted(value: Any) -> str:
    if isinstance(value, str):
        return f'"{shown(value)}"'
    if isinstance(value, dict):
        return "a set of fields"
    return "a list" if isinstance(value, list) else f"{value}".lower()


def _flaws(values: Values) -> Iterator[Mistake]:
    """What is wrong between fields, as far as these can be read one by one."""
    data = values.data if isinstance(values.data, dict) else {}
    raw = data.get("components")
    raw = raw if isinstance(raw, dict) and len(raw) <= COMPONENTS_MAX else {}
    read = {name: _readable_part(_SHAPES.get(_kind(one)), one) for name, one in raw.items()}
    components = {
        name: one
        for name, one in read.items()
        if isinstance(one, ContainerComponent | BucketComponent | PostgresComponent)
    }
    policy = _readable_part(Policy, data.get("policy")) if raw else None
    for flaw in islice(flaws_of(components, frozenset(raw), policy or Policy()), MISTAKES_MAX):
        if not values.is_spoilt(flaw.field):
            yield _mistake(mark_of(values.marks, flaw.field), flaw.field, flaw.what, flaw.allowed)


def _readable_part(shape: type[ShapeT] | None, data: Any) -> ShapeT | None:
    """A shape from those of its fields that can be read; the others get a default. None if that fails."""
    if shape is None or not isinstance(data, dict):
        return None
    try:
        return shape.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        wrong = {str(detail["loc"][0]) for detail in error.errors(include_url=False, include_input=False)}
    wrong |= _REFERRING if "uses" in wrong else set()
    rest = {key: value for key, value in data.items() if key not in wrong}
    try:
        return shape.model_validate_json(json.dumps({**_STAND_INS.get(shape, {}), **rest}), strict=True)
    except ValidationError:
        return None
