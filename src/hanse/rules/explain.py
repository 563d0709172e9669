"""A mandate for a person's eyes: every requirement, what it tests, and where it came from."""

import json
import textwrap
from collections.abc import Iterator
from typing import Final

from hanse.model.application.requirement import (
    AllOf,
    AnyOf,
    Compare,
    Demand,
    Expression,
    GroupRequirement,
    Mandate,
    Negated,
    Origin,
    Scalar,
)
from hanse.rules.facts import SET_FACTS

WIDTH: Final = 110
_TESTS: Final = {
    "eq": "is",
    "ne": "is not",
    "lt": "is below",
    "le": "is at most",
    "gt": "is above",
    "ge": "is at least",
    "in": "is one of",
    "not_in": "is none of",
}
_SET_TESTS: Final = {"eq": "includes", "ne": "lacks", "in": "includes one of", "not_in": "lacks all of"}
_NOT_SIGNED: Final = "This mandate is not signed: signing comes later."


def explain_json(mandate: Mandate) -> str:
    """The mandate as JSON text, the same bytes for the same mandate."""
    return json.dumps(mandate.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def explain_lines(mandate: Mandate) -> tuple[str, ...]:
    """Every requirement with its words, its test and its origin, as lines of at most 110 characters."""
    return tuple(_lines(mandate))


def _lines(mandate: Mandate) -> Iterator[str]:
    count = sum(len(demand.requirements) for demand in mandate.demands)
    things = _count(len(mandate.demands), "thing")
    between = _count(len(mandate.group), "requirement")
    on_them = _count(count, "requirement")
    yield f"{mandate.application}: {things} to place, {on_them} on them, {between} between them."
    yield _NOT_SIGNED
    for demand in mandate.demands:
        yield ""
        yield _title(demand)
        for one in demand.requirements:
            yield from _entry(one.id, one.says, expression_words(one.expression), one.origin)
    yield from _between(mandate)


def _between(mandate: Mandate) -> Iterator[str]:
    if mandate.group:
        yield ""
        yield "between components"
    for one in mandate.group:
        yield from _entry(one.id, one.says, _group_words(one), one.origin)
    charged = [flow for flow in mandate.traffic if flow.gib_per_month]
    if charged:
        yield ""
        yield "traffic, which costs egress where the two stand at different providers"
    for flow in charged:
        yield f"  {flow.gib_per_month:g} GiB a month from {flow.from_component} to {flow.to_component}"
    if mandate.assume_egress_micro_eur_per_gib is not None:
        euros = mandate.assume_egress_micro_eur_per_gib / 1_000_000
        yield f"  where an offer does not say what egress costs, {euros:.4f} EUR a GiB is assumed"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _title(demand: Demand) -> str:
    if not demand.offer_kinds:
        return f"{demand.component}: {demand.kind}, at whatever its site states for one"
    size = "" if demand.storage_gib is None else f" with {demand.storage_gib:g} GiB"
    return f"{demand.component}: {demand.kind}{size}, on an offer of kind {' or '.join(demand.offer_kinds)}"


def _entry(identity: str, says: str, test: str, origin: Origin) -> Iterator[str]:
    yield f"  {identity}  ({_origin_words(origin)})"
    yield from textwrap.wrap(says, WIDTH, initial_indent="      ", subsequent_indent="      ")
    yield from textwrap.wrap(test, WIDTH, initial_indent="      = ", subsequent_indent="        ")


def _origin_words(origin: Origin) -> str:
    words = origin.rule if origin.line is None else f"line {origin.line}"
    return f"{words}, {origin.article}" if origin.article else words


def _group_words(one: GroupRequirement) -> str:
    if one.kind == "budget":
        return f"price of all is at most {one.limit_micro_eur_per_month} micro-euros a month"
    return (
        f"{one.level} of {', '.join(one.components)}: {'all differ' if one.kind == 'apart' else 'all equal'}"
    )


def expression_words(expression: Expression) -> str:
    """An expression in one line: `offer.disk_gib is at least 1 or (…)`."""
    match expression:
        case Compare(fact=fact, test=test, value=value):
            words = _SET_TESTS.get(test, _TESTS[test]) if fact in SET_FACTS else _TESTS[test]
            return f"{fact} {words} {_constant(value)}"
        case AllOf(parts=parts):
            return " and ".join(_part(part) for part in parts) or "always"
        case AnyOf(parts=parts):
            return " or ".join(_part(part) for part in parts) or "never"
        case Negated(part=part):
            return f"not {_part(part)}"


def _part(expression: Expression) -> str:
    words = expression_words(expression)
    return words if isinstance(expression, Compare) else f"({words})"


def _constant(value: Scalar | tuple[Scalar, ...]) -> str:
    if isinstance(value, tuple):
        return ", ".join(_constant(one) for one in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else f"{value:.10g}"
