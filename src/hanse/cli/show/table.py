"""Text tables and the words for amounts."""

from collections.abc import Iterable, Sequence

MICRO = 1_000_000
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()) -> list[str]:
    """Lines with aligned columns, two spaces apart; `right`: numbers of columns that align right."""
    every = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in every) for column in range(len(header))]
    to_right = set(right)

    def line(row: Sequence[str]) -> str:
        cells = (
            cell.rjust(width) if column in to_right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join(cells).rstrip()

    return [line(row) for row in every]


def eur(micro_eur: int | None, digits: int = 2) -> str:
    """`12.34`; `?` where it is not known."""
    return "?" if micro_eur is None else f"{micro_eur / MICRO:.{digits}f}"


def size(count: float | None) -> str:
    """`3.2 MiB`; `?` where it is not known."""
    if count is None:
        return "?"
    amount = float(count)
    for unit in _UNITS[:-1]:
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} {_UNITS[-1]}"


def duration(seconds: float) -> str:
    """`4 s`, `3 min`, `26 h`, `12 d`."""
    for limit, unit, of in ((120, "s", 1), (7200, "min", 60), (2 * 86400, "h", 3600)):
        if seconds < limit:
            return f"{seconds / of:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"


def moment(text: str | None) -> str:
    """`2026-01-31 12:00:59` of an ISO moment in UTC; `never` without one."""
    return text[:19].replace("T", " ") if text else "never"


def number(value: float | None) -> str:
    """`4`, `0.5`; `?` where it is not known."""
    return "?" if value is None else f"{value:g}"
