"""What is wrong with an application file, said so that its writer can mend it."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from pydantic import Field

from hanse.model.shape import Shape

SHOWN_MAX = 60


class Mark(NamedTuple):
    """A place in a text; both count from 1."""

    line: int
    column: int


Lines = Mapping[str, Mark]
"""Where each field stands: `policy.apart[0].at` to its mark."""


class Mistake(Shape):
    """One thing that is wrong, where, and what is allowed instead."""

    line: int = Field(ge=1)
    column: int = Field(ge=1)
    field: str
    """`components.web.size.vcpu`; empty where the text as a whole is meant."""
    what: str
    allowed: str

    def words(self) -> str:
        """`12:5: policy.budget: what is wrong; allowed: …`."""
        field = f"{self.field}: " if self.field else ""
        return f"{self.line}:{self.column}: {field}{self.what}; allowed: {self.allowed}"


class Unreadable(Shape):
    """A file that cannot be used, with all its mistakes in the order of the text."""

    outcome: Literal["unreadable"] = "unreadable"
    place: str
    """Name of the file, for messages."""
    mistakes: tuple[Mistake, ...] = Field(min_length=1)

    def words(self) -> tuple[str, ...]:
        """One line a mistake: `clinic.yaml:12:5: policy.budget: what is wrong; allowed: …`."""
        return tuple(f"{self.place}:{mistake.words()}" for mistake in self.mistakes)


def shown(text: str) -> str:
    """A value as a message quotes it: one line, at most 60 characters."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_MAX else f"{line[: SHOWN_MAX - 1]}…"


def mark_of(lines: Lines, field: str) -> Mark:
    """Mark of a field, or of the nearest thing around it that the file says; line 1 otherwise."""
    while field:
        if field in lines:
            return lines[field]
        field = field[: max(field.rfind("."), field.rfind("["), 0)]
    return Mark(1, 1)
