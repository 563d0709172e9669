"""The scalar reader: an expression over the facts of one candidate, in four-valued logic.

Truth values and how they combine (Kleene's strong logic, with `contested` beside `unknown`):

- `AllOf` takes the first that occurs of: false, contested, unknown, true. Empty: true.
- `AnyOf` takes the first that occurs of: true, contested, unknown, false. Empty: false.
- `Negated` swaps true and false; unknown and contested stay what they are.

So a missing or disputed fact never makes a whole true or false that could still turn out otherwise,
and where both doubts meet, `contested` is named: somebody has to settle a dispute, not find a fact.
"""

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeGuard

from hanse.model.application.requirement import AllOf, AnyOf, Compare, Expression, Negated, Scalar, Truth
from hanse.rules.facts import UNKNOWN, Contested, FactValue

DEPTH_MAX = 64
"""Deeper expressions are unknown: nothing that this program writes comes near."""

_ALL = (Truth.FALSE, Truth.CONTESTED, Truth.UNKNOWN)
_ORDERS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}
_ANY = (Truth.TRUE, Truth.CONTESTED, Truth.UNKNOWN)


def evaluate(expression: Expression, facts: Mapping[str, FactValue]) -> Truth:
    """Truth of `expression` for a candidate with these facts. Never raises: what does not fit is unknown."""
    return _evaluate(expression, facts, DEPTH_MAX)


def _evaluate(expression: Expression, facts: Mapping[str, FactValue], depth: int) -> Truth:
    if depth <= 0:
        return Truth.UNKNOWN
    match expression:
        case Compare():
            return compare(expression, facts.get(expression.fact, UNKNOWN))
        case AllOf(parts=parts):
            return all_of(_evaluate(part, facts, depth - 1) for part in parts)
        case AnyOf(parts=parts):
            return any_of(_evaluate(part, facts, depth - 1) for part in parts)
        case Negated(part=part):
            return negated(_evaluate(part, facts, depth - 1))


def all_of(truths: Iterable[Truth]) -> Truth:
    """Conjunction: false, contested, unknown, true, whichever of these occurs first."""
    seen = set(truths)
    return next((truth for truth in _ALL if truth in seen), Truth.TRUE)


def any_of(truths: Iterable[Truth]) -> Truth:
    """Disjunction: true, contested, unknown, false, whichever of these occurs first."""
    seen = set(truths)
    return next((truth for truth in _ANY if truth in seen), Truth.FALSE)


def negated(truth: Truth) -> Truth:
    """Swaps true and false."""
    return {Truth.TRUE: Truth.FALSE, Truth.FALSE: Truth.TRUE}.get(truth, truth)


def compare(test: Compare, value: FactValue) -> Truth:
    """One fact against the constant of `test`.

    A set is compared by membership: `eq` has the constant, `in` has one of them; `ne` and `not_in` are
    their opposites. A contested fact is true or false only if all that is said of it agrees. Unknown:
    a missing fact, another type than the constant's, an order on anything but numbers, not-a-number.
    """
    if isinstance(value, Contested):
        said = {compare(test, one) for one in value.values}
        return said.pop() if len(said) == 1 else Truth.CONTESTED if said else Truth.UNKNOWN
    if value is UNKNOWN or value is None:
        return Truth.UNKNOWN
    if test.test in ("ne", "not_in"):
        return negated(_has(test.test == "not_in", value, test.value))
    if test.test in ("eq", "in"):
        return _has(test.test == "in", value, test.value)
    return _ordered(test.test, value, test.value)


def _has(listed: bool, value: FactValue, constant: Scalar | tuple[Scalar, ...]) -> Truth:
    if listed != isinstance(constant, tuple):
        return Truth.UNKNOWN
    constants = constant if isinstance(constant, tuple) else (constant,)
    members = value if isinstance(value, frozenset) else (value,)
    return any_of(_same(member, wanted) for member in members for wanted in constants)


def _same(value: object, constant: Scalar) -> Truth:
    if _kind(value) == "" or _kind(value) != _kind(constant):
        return Truth.UNKNOWN
    return Truth.TRUE if value == constant else Truth.FALSE


def _ordered(test: str, value: FactValue, constant: Scalar | tuple[Scalar, ...]) -> Truth:
    if not (_is_number(value) and _is_number(constant)):
        return Truth.UNKNOWN
    return Truth.TRUE if _ORDERS[test](value, constant) else Truth.FALSE


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "text"
    return "number" if _is_number(value) else ""


def _is_number(value: object) -> TypeGuard[int | float]:
    """Not a boolean, and not not-a-number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
