"""Databases, owners and logins inside a primary. Everything may be done again."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, LiteralString

from hanse.drivers.postgres.record import Record
from hanse.drivers.postgres.server.cluster import Cluster
from hanse.drivers.postgres.server.settings import ADMIN_DATABASE, FOLLOWERS, OWNER, READERS
from hanse.drivers.postgres.session import library, session

if TYPE_CHECKING:
    from psycopg import AsyncConnection

_SETUP_SECONDS = 60.0
_GRANT_SECONDS = 15.0
_OURS = "select rolname from pg_roles where rolname ~ '^(u|f)_[0-9a-f]{16}$'"
"""Logins made by `new_user`; there are no others than these and the superuser."""
_LOCK_OUT = """
do $$ declare who text; begin
  for who in select rolname from pg_roles where rolname ~ '^u_' and rolcanlogin loop
    execute format('alter role %I nologin', who);
  end loop;
end $$;
select pg_terminate_backend(pid) from pg_stat_activity
where pid <> pg_backend_pid() and backend_type = 'client backend' and usename ~ '^u_'
"""
_COPYING: tuple[LiteralString, ...] = (
    "pg_backup_start(text, boolean)",
    "pg_backup_stop(boolean)",
    "pg_ls_dir(text, boolean, boolean)",
    "pg_stat_file(text, boolean)",
    "pg_read_binary_file(text, bigint, bigint, boolean)",
)
"""What followers may do besides streaming: read files inside the data directory, nowhere else."""


def user_prefix(name: str) -> str:
    """How logins of this grant's kind begin."""
    return "f" if name.startswith("follower@") else "u"


def slot_of(site: str) -> str:
    """Name of the slot in which a source keeps its log for the follower at a site."""
    return "hanse_" + hashlib.sha256(site.encode()).hexdigest()[:24]


async def furnish(cluster: Cluster, record: Record) -> None:
    """Everything that the specification names is in the cluster; nothing is ever taken away."""
    port = record.port
    async with session(cluster, port, "template1", _SETUP_SECONDS) as connection:
        await _run(connection, _missing_roles(), ())
        await _database(connection, ADMIN_DATABASE, None)
        for name in ("template1", "postgres"):
            await _run(connection, "revoke all on database {} from public", (name,))
        for name in record.spec.databases:
            await _database(connection, name, OWNER)
    async with session(cluster, port, ADMIN_DATABASE, _SETUP_SECONDS) as connection:
        await _run(connection, "grant connect on database {} to {}", (ADMIN_DATABASE, FOLLOWERS))
        for function in _COPYING:
            statement: LiteralString = "grant execute on function " + function + " to {}"
            await _run(connection, statement, (FOLLOWERS,))
    for name in record.spec.databases:
        async with session(cluster, port, name, _SETUP_SECONDS) as connection:
            for extension in record.spec.extensions:
                await _run(connection, "create extension if not exists {} cascade", (extension,))


async def enforce(cluster: Cluster, record: Record) -> None:
    """Exactly the record's credentials are accepted; whoever else is logged in is thrown out."""
    wanted = {one["user"]: one for one in record.credentials}
    dependent = []
    async with session(cluster, record.port, ADMIN_DATABASE, _GRANT_SECONDS) as connection:
        there = {str(row[0]) for row in await _rows(connection, _OURS)}
        stale = sorted(there - wanted.keys())
        made = [_login(connection, one, is_new=user not in there) for user, one in wanted.items()]
        made += [_composed("alter role {} nologin noreplication", (user,)) for user in stale]
        if made:
            await connection.execute(library().sql.SQL("; ").join(made))
        await connection.execute("set synchronous_commit = off")
        await _expel(connection, stale)
        await _drop_slots(connection, [one["name"] for one in wanted.values()])
        for user in stale:
            try:
                await _run(connection, "drop role {}", (user,))
            except library().errors.DependentObjectsStillExist:
                dependent.append(user)
    for user in dependent:
        await _bequeath(cluster, record, user)


async def lock_out(cluster: Cluster, port: int, seconds: float) -> None:
    """Clients cannot log in any more, and those who are in are thrown out. Followers stay."""
    words = {"options": "-c synchronous_commit=off"}  # the server is stopped next, which waits for the disk
    async with session(cluster, port, ADMIN_DATABASE, seconds, **words) as connection:
        await connection.execute(_LOCK_OUT)


async def drop_all_slots(cluster: Cluster, port: int) -> None:
    """Nobody's log is kept here any more."""
    async with session(cluster, port, ADMIN_DATABASE, _GRANT_SECONDS) as connection:
        await _drop_slots(connection, [])


def _login(connection: "AsyncConnection[Any]", one: dict[str, str], *, is_new: bool) -> Any:
    """Statements that make or renew a login; the password leaves this process only as its verifier."""
    user = one["user"]
    is_follower = user.startswith("f_")
    group = FOLLOWERS if is_follower else OWNER if one["access"] == "write" else READERS
    pq = connection.pgconn
    secret = pq.encrypt_password(one["password"].encode(), user.encode(), b"scram-sha-256").decode()
    sql = library().sql
    parts = [_composed("create role {}", (user,))] if is_new else []
    words = "alter role {} login replication password " if is_follower else "alter role {} login password "
    parts.append(_composed(words, (user,)) + sql.Literal(secret))
    parts.append(_composed("grant {} to {}", (group, user)))
    if not is_follower:
        parts.append(_composed("alter role {} set role to {}", (user, group)))
    return sql.SQL("; ").join(parts)


async def _expel(connection: "AsyncConnection[Any]", users: list[str]) -> None:
    if users:
        query = "select pg_terminate_backend(pid, 2000) from pg_stat_activity where usename = any(%s)"
        await connection.execute(query, (users,))


async def _bequeath(cluster: Cluster, record: Record, user: str) -> None:
    """What a login made for itself belongs to all clients from now on."""
    async with session(cluster, record.port, ADMIN_DATABASE, _GRANT_SECONDS) as connection:
        rows = await _rows(connection, "select datname from pg_database where datallowconn")
    for row in rows:
        async with session(cluster, record.port, str(row[0]), _GRANT_SECONDS) as connection:
            await _run(connection, "reassign owned by {} to {}", (user, OWNER))
            await _run(connection, "drop owned by {}", (user,))
    async with session(cluster, record.port, ADMIN_DATABASE, _GRANT_SECONDS) as connection:
        await _run(connection, "drop role if exists {}", (user,))


async def _drop_slots(connection: "AsyncConnection[Any]", grants: Iterable[str]) -> None:
    kept = [slot_of(name.partition("@")[2]) for name in grants if name.startswith("follower@")]
    await connection.execute(
        "select pg_terminate_backend(active_pid, 2000) from pg_replication_slots"
        " where slot_name <> all(%s) and active_pid is not null",
        (kept,),
    )
    await connection.execute(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots"
        " where slot_name <> all(%s) and not active",
        (kept,),
    )


async def _database(connection: "AsyncConnection[Any]", name: str, owner: str | None) -> None:
    found = await _rows(connection, "select 1 from pg_database where datname = %s", (name,))
    if not found:
        await _run(connection, "create database {} template template0", (name,))
    if owner is not None:
        await _run(connection, "alter database {} owner to {}", (name, owner))
        await _run(connection, "grant connect on database {} to {}", (name, READERS))
    await _run(connection, "revoke all on database {} from public", (name,))


def _missing_roles() -> LiteralString:
    """Groups; made once."""
    made: LiteralString = "do $$ begin"
    for role in (OWNER, READERS, FOLLOWERS):
        made += " if to_regrole('" + role + "') is null then create role " + role + "; end if;"
    made += " grant pg_read_all_data to " + READERS + "; grant pg_read_all_stats to " + FOLLOWERS + ";"
    return made + " end $$"


def _composed(statement: LiteralString, names: Sequence[str]) -> Any:
    sql = library().sql
    return sql.SQL(statement).format(*(sql.Identifier(name) for name in names))


async def _run(connection: "AsyncConnection[Any]", statement: LiteralString, names: Sequence[str]) -> None:
    await connection.execute(_composed(statement, names) if names else statement)


async def _rows(
    connection: "AsyncConnection[Any]", query: LiteralString, values: Sequence[object] | None = None
) -> list[tuple[Any, ...]]:
    return await (await connection.execute(query, values)).fetchall()
