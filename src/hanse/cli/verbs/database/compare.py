"""Whether a copy has what its source has, and whether the source was written to meanwhile."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hanse.cli.verbs.database.asking import tables_of

if TYPE_CHECKING:
    import psycopg

_SNAPSHOT = "select txid_current_snapshot()::text"
_ROWS = """
select count(*), count(*) filter (
  where (xmin::text::bigint - {first}) & 4294967295 < {width}
  and not txid_visible_in_snapshot({first} + ((xmin::text::bigint - {first}) & 4294967295), '{moment}')
) from only {table}
"""
"""A row's `xmin` is the lower half of the number of the transaction that wrote it as it is now."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Of one table."""

    count: int
    written: int
    """How many of them were inserted or changed since the moment asked about."""


def moment(connection: "psycopg.Connection[Any]") -> str:
    """Which transactions have ended, as the server writes it; also from a standby."""
    return str(_one(connection, _SNAPSHOT)[0])


def rows(connection: "psycopg.Connection[Any]", since: str) -> dict[str, Rows]:
    """Every table read once, whole."""
    first, now = int(since.partition(":")[0]), int(moment(connection).split(":")[1])
    found = {}
    for table in tables_of(connection):
        query = _ROWS.format(first=first, width=max(0, now - first), moment=since, table=table)
        count, written = _one(connection, query)
        found[table] = Rows(count, written)
    return found


def counts(connection: "psycopg.Connection[Any]") -> dict[str, int]:
    """Rows of each table."""
    query = "select count(*) from only "
    return {table: int(_one(connection, query + table)[0]) for table in tables_of(connection)}


def differences(source: Mapping[str, Rows], copy: Mapping[str, int]) -> tuple[str, ...]:
    """What the source has that the copy does not, in words; none if they agree and nothing was written."""
    return tuple(_told(source, copy))


def _told(source: Mapping[str, Rows], copy: Mapping[str, int]) -> Iterable[str]:
    for table in sorted(source.keys() | copy.keys()):
        if table not in copy:
            yield f"{table} was made meanwhile"
        elif table not in source:
            yield f"{table} is gone there"
        elif source[table].count != copy[table]:
            yield f"{table} has {source[table].count:,} rows there and {copy[table]:,} here"
        elif source[table].written:
            yield f"{source[table].written:,} rows of {table} were written anew"


def _one(connection: "psycopg.Connection[Any]", query: str) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None  # noqa: S101 - an aggregate always has a row
    return tuple(row)
