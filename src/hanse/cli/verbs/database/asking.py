"""What stands in a database, asked by SQL. Nothing is changed, and no right to write is needed."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hanse.ports import Permanent

if TYPE_CHECKING:
    import psycopg

CONNECT_SECONDS = 10
_PEOPLES = """
n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and not exists (
  select from pg_depend d where d.classid = x.tableoid and d.objid = x.oid and d.deptype = 'e'
)
"""
"""Of people, neither of the server nor of extensions."""
_RELATIONS = f"""
with relations (name, oid, kind, space, part) as (
  select quote_ident(n.nspname) || '.' || quote_ident(x.relname), x.oid, x.relkind, n.oid, x.relispartition
  from pg_class x join pg_namespace n on n.oid = x.relnamespace
  where x.relkind in ('r', 'p', 'v', 'm', 'S', 'f') and {_PEOPLES}
)
"""  # noqa: S608 - texts of this file
_TABLES = "select name from relations where kind = 'r' order by 1"
_UNREADABLE = """
select name from relations where kind in ('r', 'p', 'S')
and not (has_schema_privilege(space, 'usage') and has_table_privilege(oid, 'select')) order by 1
"""
_FILTERED = "select name from relations where kind in ('r', 'p') and row_security_active(oid) order by 1"
_WITHOUT_KEY = """
select name from relations where kind in ('r', 'p') and not part and not exists (
  select from pg_index i where i.indrelid = relations.oid and i.indisprimary
) order by 1
"""
_PRESENT = f"""
select name from relations where kind <> 'S' union all
select 'the function ' || x.oid::regproc
from pg_proc x join pg_namespace n on n.oid = x.pronamespace where {_PEOPLES} union all
select 'the schema ' || quote_ident(n.nspname)
from pg_namespace n join pg_namespace x on x.oid = n.oid where n.nspname <> 'public' and {_PEOPLES} union all
select 'large objects' where exists (select from pg_largeobject_metadata)
"""  # noqa: S608 - texts of this file
_EXTENSIONS = """
select e.extname, n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace
where e.extname <> 'plpgsql' order by 1
"""
_LANGUAGES = f"""
select distinct l.lanname from pg_proc x join pg_language l on l.oid = x.prolang
join pg_namespace n on n.oid = x.pronamespace where not l.lanpltrusted and {_PEOPLES}
"""  # noqa: S608 - texts of this file
_POLICY_ROLES = "select distinct one from pg_policies, unnest(roles) one where one <> 'public' order by 1"
_POLICIES = "select distinct schemaname || '.' || tablename from pg_policies order by 1"
_LARGE_OBJECTS = """
select count(*), count(*) filter (where not pg_has_role(lomowner, 'usage') and not exists (
  select from aclexplode(lomacl) one
  where one.privilege_type = 'SELECT' and (one.grantee = 0 or pg_has_role(one.grantee, 'usage'))
)) from pg_largeobject_metadata
"""
_LEFT_OUT = """
select 'the event trigger ' || evtname from pg_event_trigger
union all select 'the publication ' || pubname from pg_publication
"""
_SETTINGS = """
select distinct split_part(unnest(setconfig), '=', 1) from pg_db_role_setting s
join pg_database d on d.oid = s.setdatabase where d.datname = current_database() order by 1
"""
_ABOUT = """
select current_setting('server_version_num')::int / 10000, pg_database_size(current_database()),
pg_encoding_to_char(encoding)::text, datcollate::text from pg_database where datname = current_database()
"""


@dataclass(frozen=True, slots=True)
class Found:
    """One database as it is now. Sizes in bytes; names as SQL writes them."""

    major: int
    size_bytes: int
    encoding: str
    collation: str
    tables: tuple[str, ...]
    """Those that hold rows: partitions, not what they are partitions of."""
    present: tuple[str, ...]
    """Everything of people's that an import would meet."""
    unreadable: tuple[str, ...]
    filtered: tuple[str, ...]
    """Tables of which row-level security hides rows from this user."""
    without_key: tuple[str, ...]
    extensions: Mapping[str, str]
    """Each with its schema."""
    languages: tuple[str, ...]
    """Untrusted ones that functions are written in."""
    policies: tuple[str, ...]
    """Tables with row-level security."""
    policy_roles: tuple[str, ...]
    left_out: tuple[str, ...]
    """What belongs to a server, not to data."""
    settings: tuple[str, ...]
    """Names of settings made by ALTER DATABASE."""
    large_objects: int
    large_unreadable: int


@contextmanager
def session(what: str, where: Mapping[str, Any]) -> "Iterator[psycopg.Connection[Any]]":
    """Each statement its own transaction. No password is in the words of libpq that failures have.

    Raises Permanent(`database-unreachable`, `database-refused`).
    """
    import psycopg

    settings = {"connect_timeout": CONNECT_SECONDS, "client_encoding": "UTF8", **where}
    try:
        connection = psycopg.connect(**settings, autocommit=True)
    except psycopg.Error as error:
        raise Permanent(
            "database-unreachable",
            f"{what} cannot be connected to: {_one_line(error)}. Check address, user and password.",
        ) from error
    try:
        with closing(connection):
            yield connection
    except (psycopg.Error, UnicodeError) as error:
        raise Permanent(
            "database-refused", f"{what} did not answer as it should: {_one_line(error)}. Try again."
        ) from error


def look(connection: "psycopg.Connection[Any]") -> Found:
    """Everything at once."""

    def names(query: str) -> tuple[str, ...]:
        return tuple(str(row[0]) for row in connection.execute(query).fetchall())

    major, size_bytes, encoding, collation = connection.execute(_ABOUT).fetchone() or (0, 0, "", "")
    large_objects, large_unreadable = connection.execute(_LARGE_OBJECTS).fetchone() or (0, 0)
    return Found(
        major=major,
        size_bytes=size_bytes,
        encoding=encoding,
        collation=collation,
        tables=tables_of(connection),
        present=names(_RELATIONS + _PRESENT),
        unreadable=names(_RELATIONS + _UNREADABLE),
        filtered=names(_RELATIONS + _FILTERED),
        without_key=names(_RELATIONS + _WITHOUT_KEY),
        extensions=dict(connection.execute(_EXTENSIONS).fetchall()),
        languages=names(_LANGUAGES),
        policies=names(_POLICIES),
        policy_roles=names(_POLICY_ROLES),
        left_out=names(_LEFT_OUT),
        settings=names(_SETTINGS),
        large_objects=large_objects,
        large_unreadable=large_unreadable,
    )


def tables_of(connection: "psycopg.Connection[Any]") -> tuple[str, ...]:
    """Tables that hold rows."""
    return tuple(str(row[0]) for row in connection.execute(_RELATIONS + _TABLES).fetchall())


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".?")
