"""What an import would meet, asked of both sides before anything is done."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hanse.ports import Permanent

if TYPE_CHECKING:
    import psycopg

CONNECT_SECONDS = 10
_NAMED = 5
_TABLES = """
with tables (name, oid) as (
  select quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.oid
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
)
"""
"""Of people, not of extensions. One statement begins with it, so that the source needs no right to write."""
_ALL = "select name from tables order by 1"
_UNREADABLE = "select name from tables where not has_table_privilege(oid, 'SELECT') order by 1"
_WITHOUT_KEY = """
select name from tables where not exists (
  select from pg_index i where i.indrelid = tables.oid and i.indisprimary
) order by 1
"""
_EXTENSIONS = "select extname from pg_extension where extname <> 'plpgsql' order by 1"
_LANGUAGES = """
select distinct lanname from pg_proc p join pg_language l on l.oid = p.prolang
where not lanpltrusted and lanname not in ('internal', 'c')
"""
_LARGE_OBJECTS = "select count(*) from pg_largeobject_metadata"
_ABOUT = """
select current_setting('server_version_num')::int / 10000, pg_database_size(current_database()),
pg_encoding_to_char(encoding) from pg_database where datname = current_database()
"""


@dataclass(frozen=True, slots=True)
class Found:
    """One database as it is now. Sizes in bytes; names as SQL writes them."""

    major: int
    size_bytes: int
    encoding: str
    tables: tuple[str, ...]
    unreadable: tuple[str, ...]
    without_key: tuple[str, ...]
    extensions: tuple[str, ...]
    languages: tuple[str, ...]
    """Untrusted ones that functions are written in."""
    large_objects: int


def connect(what: str, where: Mapping[str, Any]) -> "psycopg.Connection[Any]":
    """A session of its own. Raises Permanent(`database-unreachable`) in libpq's words: no password in them."""
    import psycopg

    try:
        return psycopg.connect(**where, connect_timeout=CONNECT_SECONDS, autocommit=True)
    except psycopg.Error as error:
        words = " ".join(str(error).split())
        raise Permanent("database-unreachable", f"{what} cannot be connected to: {words}.") from error


def look(connection: "psycopg.Connection[Any]") -> Found:
    """Changes nothing."""

    def names(query: str) -> tuple[str, ...]:
        return tuple(str(row[0]) for row in connection.execute(query).fetchall())

    major, size_bytes, encoding = connection.execute(_ABOUT).fetchone() or (0, 0, "")
    (large_objects,) = connection.execute(_LARGE_OBJECTS).fetchone() or (0,)
    return Found(
        major=major,
        size_bytes=size_bytes,
        encoding=encoding,
        tables=names(_TABLES + _ALL),
        unreadable=names(_TABLES + _UNREADABLE),
        without_key=names(_TABLES + _WITHOUT_KEY),
        extensions=names(_EXTENSIONS),
        languages=names(_LANGUAGES),
        large_objects=large_objects,
    )


def objections(source: Found, target: Found) -> list[str]:
    """Why the import cannot work, each with what to do; none if it can."""
    found = []
    if source.major > target.major:
        found.append(
            f"the source is PostgreSQL {source.major} and the target {target.major}, which is too old for it"
        )
    if missing := sorted(set(source.extensions) - set(target.extensions)):
        found.append(
            f"the target lacks the extensions {_some(missing)}: name them under `extensions` in the application "
            "file, if they are allowed there"
        )
    if source.unreadable:
        found.append(
            f"the source's user may not read {_some(source.unreadable)}: grant it, or import as their owner"
        )
    if source.languages:
        found.append(f"functions are written in {_some(source.languages)}, which no database here runs")
    if source.encoding != target.encoding and source.encoding == "SQL_ASCII":
        found.append("the source's encoding is SQL_ASCII: what its bytes mean is not known; convert it first")
    if target.tables or target.large_objects:
        what = _some(target.tables) if target.tables else "large objects"
        found.append(f"the target is not empty: it has {what}; import into an empty database")
    return found


def remarks(source: Found) -> list[str]:
    """What the person should know, though it does no harm now."""
    found = []
    if source.without_key:
        found.append(
            f"without a primary key: {_some(source.without_key)}; copied, but nothing tells their rows apart"
        )
    if source.large_objects:
        found.append(f"{source.large_objects} large objects are copied, too")
    return found


def counts(connection: "psycopg.Connection[Any]", tables: Iterable[str]) -> dict[str, int]:
    """Rows of each table, counted."""
    found = {}
    for table in tables:
        row = connection.execute(f"select count(*) from {table}").fetchone()  # noqa: S608 - quoted by the server
        found[table] = int(row[0]) if row else 0
    return found


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + more
