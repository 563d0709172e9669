"""A pooler's configuration as text: pure, and impossible to inject into.

`transaction-safe` clients share upstream connections, one transaction at a time. What a client
leaves in its connection is then not there in its next transaction: no `PREPARE` and no prepared
statements of the protocol (psycopg 3: `prepare_threshold=None`), no session `SET`, advisory locks of
the session, `LISTEN`, temporary tables, cursors `WITH HOLD`. A program that needs any of these says
`session`: each of its connections has one upstream for itself, and a switch drops it.
"""

import hashlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from hanse.drivers.contract import Pool
from hanse.ports import Permanent

ADMIN = "hanse_agent"
"""Commands the pooler through its own unix socket, which lies where nobody else may look."""
INI, USERS, RULES = "pgbouncer.ini", "users.txt", "hba.conf"
WAIT_SECONDS = 60
"""How long a statement waits for an upstream before its client is told `query_wait_timeout`."""
_CLIENTS_MAX = 400
_UPSTREAM_MAX = {"transaction-safe": 20, "session": 30}
"""Connections upstream for each database; a site's database takes 40 or more from all its consumers."""
_MODES = {"transaction-safe": "transaction", "session": "session"}
_IGNORED = ("extra_float_digits", "jit")
"""What drivers send when they connect, and is no more than a wish. Everything else that a pooler cannot
pass on (`search_path`, `options`, `statement_timeout` …) is refused by name: without it the program would
read or write something else than it thinks."""
_LENGTH_MAX = {"user": 63, "password": 512}
_PORT_MAX = 65535

_TEXT = """\
[databases]
* = host={host} port={port} user={user} password={password}
[pgbouncer]
listen_addr = {listen_address}
listen_port = {listen_port}
listen_backlog = 512
unix_socket_dir = .
unix_socket_mode = 0700
auth_type = hba
auth_hba_file = {rules}
auth_file = {users}
admin_users = {admin}
pool_mode = {mode}
default_pool_size = {size}
max_client_conn = {clients}
client_tls_sslmode = disable
server_tls_sslmode = disable
ignore_startup_parameters = {ignored}
query_wait_timeout = {wait}
client_login_timeout = {wait}
server_connect_timeout = {patience}
server_login_retry = 0.1
server_fast_close = 1
log_connections = 0
log_disconnections = 0
log_stats = 0
"""


@dataclass(frozen=True, slots=True)
class Rendered:
    """The pooler's files, and `shape`: what only a new process can change."""

    files: Mapping[str, bytes]
    shape: str
    digest: str


def render(pool: Pool) -> Rendered:
    """Same input, same bytes. Raises Permanent(`pool-invalid`) for a value that no pool can have."""
    own, login = _login(pool, pool.own), _login(pool, pool.login)
    if own["user"] == ADMIN:
        raise _invalid(pool, f"{ADMIN} is the pooler's own user")
    files = {
        INI: _text(pool, login).encode(),
        USERS: _users(own).encode(),
        RULES: _rules(own["user"]).encode(),
    }
    fixed = (pool.listen, pool.clients, files[USERS], files[RULES])
    return Rendered(files, _digest(fixed), _digest(files))


def _text(pool: Pool, login: Mapping[str, str]) -> str:
    if pool.clients not in _MODES:
        raise _invalid(pool, f"its clients are {pool.clients[:20]!r}; known are transaction-safe and session")
    listen, upstream = _address(pool, pool.listen), _address(pool, pool.upstream)
    return _TEXT.format(
        host=upstream[0],
        port=upstream[1],
        user=_value(login["user"]),
        password=_value(login["password"]),
        listen_address=listen[0],
        listen_port=listen[1],
        rules=RULES,
        users=USERS,
        admin=ADMIN,
        mode=_MODES[pool.clients],
        size=_UPSTREAM_MAX[pool.clients],
        clients=_CLIENTS_MAX,
        ignored=", ".join(_IGNORED),
        wait=WAIT_SECONDS,
        patience=WAIT_SECONDS + 5,
    )


def _users(own: Mapping[str, str]) -> str:
    """The password itself: with only what it is checked against, pgbouncer 1.18 would log in upstream
    with the keys of this password instead of the other one.
    """
    return f'{_word(own["user"])} {_word(own["password"])}\n{_word(ADMIN)} ""\n'


def _rules(user: str) -> str:
    """One user from the network, by password; the agent by the socket, which only its own user reaches."""
    return (
        f"local pgbouncer {_word(ADMIN)} trust\n"
        "host pgbouncer all 0.0.0.0/0 reject\nhost pgbouncer all ::/0 reject\n"
        f"host all {_word(user)} 0.0.0.0/0 scram-sha-256\nhost all {_word(user)} ::/0 scram-sha-256\n"
    )


def _login(pool: Pool, fields: Mapping[str, str]) -> dict[str, str]:
    found = {name: fields.get(name, "") for name in ("user", "password")}
    for name, value in found.items():
        if not value or len(value.encode()) > _LENGTH_MAX[name] or not value.isprintable():
            raise _invalid(pool, f"a {name} is missing, too long or has characters that cannot be typed")
    return found


def _address(pool: Pool, address: tuple[str, int]) -> tuple[str, int]:
    host, port = address
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        raise _invalid(pool, f"{host[:80]!r} is not an IP address") from None
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port <= _PORT_MAX:
        raise _invalid(pool, f"{port!r} is not a TCP port")
    return str(ip), port


def _value(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _word(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()


def _invalid(pool: Pool, why: str) -> Permanent:
    return Permanent("pool-invalid", f"The way into a database {pool.name[:200]!r} was not changed: {why}.")
