"""Rows of one CSV file, and the mistakes found in them, each with its line and column."""

import csv
import io
import re
from collections.abc import Sequence
from decimal import Decimal

from hanse.model.shape import Shape

MISTAKES_MAX = 200
"""More are counted, not listed."""
CELL_MAX = 1000

_NUMBER = re.compile(r"-?\d{1,18}(?:\.\d{1,18})?(?:[eE][+-]?\d{1,2})?")


class RowMistake(Shape):
    """One thing wrong in one cell, row or file. `line` counts from 1, the header included; 0 is the file."""

    file: str
    line: int
    column: str
    what: str


class Mistakes:
    """Collects mistakes in the order they are found."""

    def __init__(self) -> None:
        self.found: list[RowMistake] = []
        self._unlisted = 0

    def add(self, file: str, line: int, column: str, what: str) -> None:
        """Note one; beyond `MISTAKES_MAX` only its number is kept."""
        if len(self.found) < MISTAKES_MAX:
            self.found.append(RowMistake(file=file, line=line, column=column, what=what))
        else:
            self._unlisted += 1

    def all(self) -> tuple[RowMistake, ...]:
        """Everything found, by file and line, with a last one for what is not listed."""
        files = list(dict.fromkeys(each.file for each in self.found))
        ordered = sorted(self.found, key=lambda each: (files.index(each.file), each.line))
        if not self._unlisted:
            return tuple(ordered)
        rest = RowMistake(file="", line=0, column="", what=f"and {self._unlisted} more mistakes")
        return (*ordered, rest)


class Row:
    """One record; reading a cell notes what is wrong with it."""

    def __init__(self, file: str, line: int, cells: dict[str, str], mistakes: Mistakes) -> None:
        self.file = file
        self.line = line
        self._cells = cells
        self._mistakes = mistakes
        self.sound = True
        """False once a mistake was noted."""

    def wrong(self, column: str, what: str) -> None:
        """Note a mistake of this row."""
        self.sound = False
        self._mistakes.add(self.file, self.line, column, what)

    def raw(self, column: str) -> str:
        """The cell as it is written."""
        return self._cells[column]

    def text(self, column: str, *, blank: bool = False) -> str:
        """Printable text of bounded length."""
        value = self._cells[column]
        if not value.strip() and not blank:
            self.wrong(column, "is blank; a value is needed")
        elif len(value) > CELL_MAX:
            self.wrong(column, f"has {len(value)} characters; at most {CELL_MAX}")
        elif any(ord(letter) < 32 or ord(letter) == 127 for letter in value):
            self.wrong(column, "holds a control character or a line break")
        return value

    def match(self, column: str, pattern: re.Pattern[str], allowed: str) -> str:
        """Text that matches the whole pattern; `allowed` says it in words."""
        value = self._cells[column]
        if not pattern.fullmatch(value):
            self.wrong(column, f"{value!r} is not {allowed}")
        return value

    def choice(self, column: str, allowed: Sequence[str]) -> str:
        """One of a few words."""
        value = self._cells[column]
        if value not in allowed:
            words = ", ".join(word or "blank" for word in allowed)
            self.wrong(column, f"{value!r} is not one of: {words}")
        return value

    def number(self, column: str, low: str, high: str) -> Decimal | None:
        """A number within bounds, or None where the cell is blank: the source does not say."""
        value = self._cells[column]
        if value == "":
            return None
        if not _NUMBER.fullmatch(value):
            self.wrong(column, f"{value!r} is not a number")
            return None
        number = Decimal(value)
        if not Decimal(low) <= number <= Decimal(high):
            self.wrong(column, f"{value} is outside {low} to {high}")
            return None
        return number


def read_sheet(file: str, text: str, columns: Sequence[str], mistakes: Mistakes) -> list[Row]:
    """All records of a file with exactly these columns. Line numbers are those of the text."""
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    rows: list[Row] = []
    try:
        header = next(reader, [])
        if tuple(header) != tuple(columns):
            mistakes.add(file, 1, "", f"the first line must be: {','.join(columns)}")
            return []
        line = reader.line_num + 1
        for cells in reader:
            if len(cells) == len(columns):
                rows.append(Row(file, line, dict(zip(columns, cells, strict=True)), mistakes))
            elif cells:
                mistakes.add(file, line, "", f"has {len(cells)} fields; {len(columns)} are needed")
            else:
                mistakes.add(file, line, "", "is an empty line")
            line = reader.line_num + 1
    except csv.Error as error:
        mistakes.add(file, reader.line_num, "", f"is not readable as CSV: {error}")
    return rows
