"""Tells each reason once: what was told is not told again, later lines only point to it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Document = Mapping[str, Any]
ABOVE = "see above"
SHORT_CHARS = 24
"""Shorter reasons are no burden, and might be part of other words."""


class Once:
    """What a person has read already in this command."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._told: set[str] = set()

    def hear(self, reasons: Iterable[str]) -> None:
        """Reasons that lines may hold."""
        self._known.update(reason for reason in reasons if len(reason) >= SHORT_CHARS)

    def tell(self, line: str) -> str:
        """The line, with every reason that stood in an earlier one shortened."""
        held = sorted((each for each in self._known if _stands(each).search(line)), key=len, reverse=True)
        for reason in held:
            if reason in self._told:
                line = _stands(reason).sub(lambda found: found[1] + ABOVE, line)
        self._told.update(held)
        return line


def _stands(reason: str) -> re.Pattern[str]:
    """The reason as one of its own, not as the end of other words."""
    return re.compile(rf"(^|: |\(){re.escape(reason)}")


def reasons_of(found: Document) -> list[str]:
    """Every reason that a status holds, also those of its operations, components and endpoints."""
    return [reason for reason in _reasons(found) if reason]


def _reasons(found: Document) -> Iterator[str]:
    yield found.get("reason") or ""
    failure = found.get("failure")
    if failure:
        yield failure["message"]
    for part in ("operations", "components", "replicas", "endpoints"):
        for each in found.get(part, ()):
            yield from _reasons(each)
