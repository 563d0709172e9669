"""The JSON Schema of the application file, made from the shapes; also what messages say is allowed."""

import difflib
import json
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from hanse.model.application.file import Application
from hanse.model.application.quantities import DURATION_PATTERN, DURATION_WORDS, duration_words

NAME_MAX: Final = 60
Schema = dict[str, Any]
DURATIONS: Final = {"way_back": "way_back_seconds", "retrieval": "retrieval_seconds"}
"""Fields that the file writes as durations, and the shapes' names for them."""

_PATTERN_WORDS: Final = {
    "[a-z](?:[a-z0-9-]{0,38}": "a name: lower-case letters, digits and dashes, 1 to 40, a letter first",
    "[a-z0-9][a-z0-9.-]{0,62}": "a provider's id as the catalogue writes it",
    "[a-z_][a-z0-9_]": "a database's name: small letters, digits and underscores, 1 to 63, no digit first",
    "[A-Z]{2}": 'a country code of two capital letters, such as "DE"',
    "sha256:": "sha256: and 64 hexadecimal digits, as `hanse image push` prints them",
    "[A-Za-z_]": "a variable's name: letters, digits and underscores, no digit first",
    "(0|[1-9]": DURATION_WORDS,
}
_TYPE_WORDS: Final = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "array": "a list",
    "object": "fields with values",
    "null": "",
}


@cache
def _schema_text() -> str:
    schema = Application.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Hanse application file, version 1"
    for definition in schema["$defs"].values():
        properties = definition.get("properties", {})
        for written, name in DURATIONS.items():
            if name in properties:
                properties[written] = _duration(properties.pop(name))
        definition["properties"] = dict(sorted(properties.items()))
    schema = _without_null(schema)
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _without_null(part: Any) -> Any:
    """A field that is left out is absent; the file has no null. And names that fit no pattern are none."""
    if isinstance(part, list):
        return [_without_null(one) for one in part if one != {"type": "null"}]
    if not isinstance(part, dict):
        return part
    kept = {key: _without_null(one) for key, one in part.items() if not (key == "default" and one is None)}
    if "patternProperties" in kept:
        kept["additionalProperties"] = False
    if len(kept.get("anyOf", [])) == 1:
        kept |= kept.pop("anyOf")[0]
    return kept


def _duration(seconds: Schema) -> Schema:
    return {
        "anyOf": [{"type": "string", "pattern": DURATION_PATTERN}, {"const": 0}],
        "default": duration_words(seconds["default"]),
        "description": seconds["description"].partition(". ")[2],
        "title": seconds["title"].removesuffix(" Seconds"),
    }


def schema_text() -> str:
    """The published JSON Schema (draft 2020-12), the same bytes for the same shapes."""
    return _schema_text()


def allowed_at(path: tuple[str | int, ...], kind: str = "") -> str:
    """What may stand at a path of the file, in words; `kind`: of the component that the path leads into."""
    found = list(_at(path, kind))
    return _words(found[0]) if found else "a component: its kind, size and so on"


def names_at(path: tuple[str | int, ...], kind: str = "") -> tuple[str, ...]:
    """Names of the fields that may stand in the mapping at a path; none where names are free."""
    return tuple(name for schema in _at(path, kind) for name in schema.get("properties", ()))


def nearest(name: str, names: tuple[str, ...]) -> str:
    """`name, …` for a message: the one that was probably meant, or all of them."""
    near = difflib.get_close_matches(name[:NAME_MAX], names, n=1)
    return f"did you mean {near[0]}?" if near else f"one of {', '.join(sorted(names))}"


@cache
def _root() -> Schema:
    schema: Schema = json.loads(_schema_text())
    return schema


def _at(path: tuple[str | int, ...], kind: str) -> Iterator[Schema]:
    """The schema at a path, references resolved. Nothing if the path leads nowhere."""
    schemas = [_root()]
    for part in path:
        schemas = [
            below for schema in schemas for one in _branches(schema, kind) for below in _step(one, part)
        ]
    for schema in schemas:
        yield from _branches(schema, kind)


def _step(schema: Schema, part: str | int) -> list[Schema]:
    if isinstance(part, int):
        return [schema["items"]] if "items" in schema else []
    if part in schema.get("properties", {}):
        return [schema["properties"][part]]
    free = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
    return [one for one in free if isinstance(one, dict)]


def _branches(schema: Schema, kind: str) -> list[Schema]:
    """A schema, or the component of this kind where the schema is the union of all kinds."""
    schema = _resolved(schema)
    if "discriminator" not in schema:
        alternatives = [_resolved(one) for one in schema.get("anyOf", ())]
        structured = [one for one in alternatives if one.get("type") in ("array", "object")]
        return [{**schema, **one} for one in structured] or [schema]
    mapping = schema["discriminator"]["mapping"]
    return [_resolved({"$ref": mapping[kind]})] if kind in mapping else []


def _resolved(schema: Schema) -> Schema:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: Schema = _root()["$defs"][reference.rpartition("/")[2]]
    return found


def _words(schema: Schema) -> str:
    schema = _resolved(schema)
    if "anyOf" in schema:
        words = [_words(one) for one in schema["anyOf"]]
        return ", or ".join(dict.fromkeys(word for word in words if word))
    if "enum" in schema or "const" in schema:
        *others, last = (str(value) for value in schema.get("enum", [schema.get("const")]))
        return f"{', '.join(others)} or {last}" if others else last
    if "pattern" in schema:
        pattern = schema["pattern"].removeprefix("^")
        return next(words for start, words in _PATTERN_WORDS.items() if pattern.startswith(start))
    return _plain_words(schema)


def _plain_words(schema: Schema) -> str:
    words = _TYPE_WORDS.get(schema.get("type", ""), "")
    low, high, above = schema.get("minimum"), schema.get("maximum"), schema.get("exclusiveMinimum")
    if schema.get("type") == "array":
        return f"a list of {_words(schema['items'])}"
    if schema.get("properties"):
        return f"fields: {', '.join(sorted(schema['properties']))}"
    if low is not None or above is not None:
        start = f"from {low:,.10g}" if low is not None else f"above {above:,.10g}"
        words += f" {start}" + (f" up to {high:,.10g}" if high is not None else "")
    return words
