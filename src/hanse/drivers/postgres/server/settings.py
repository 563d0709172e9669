"""A replica's configuration files as text: pure, from its size and role."""

from dataclasses import dataclass

from hanse.drivers.postgres.record import Login, Record
from hanse.model.replica.role import ReplicaRole
from hanse.model.replica.spec import GIB, MIB

ADMIN_DATABASE = "hanse_admin"
SUPERUSER = "hanse"
FOLLOWERS = "hanse_follower"
"""Group of those who may copy and stream the whole cluster."""
OWNER = "app"
"""Owner of the databases and of what is in them; clients' logins are its members."""
READERS = "app_read"
"""Group of clients that only read."""
SOCKETS = "sockets"
TUNNEL = "tunnel"
"""Directories beside the data: the server's own socket, and the way to a source."""
LOGIN_FILE = "pgpass"
"""Beside the way to a source: the server tells its settings in its log, so no password stands in them."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the texts take besides the record."""

    address: str
    agent_user: str
    """Account of this machine that may administer over the socket."""
    max_connections_least: int = 0
    """A standby must allow as many connections as its source."""


def server_text(record: Record, setting: Setting) -> str:
    """postgresql.conf."""
    values = {**_fixed(record, setting), **_sized(record, setting), **_following(record.login, record.role)}
    return "".join(f"{name} = {_quoted(value)}\n" for name, value in sorted(values.items()))


def access_text(role: ReplicaRole) -> str:
    """pg_hba.conf: who is let in while the replica has this role. Nobody administers over TCP."""
    lines = [f"local all {SUPERUSER} peer map=agent"]
    if role in {ReplicaRole.PRIMARY, ReplicaRole.FENCED}:
        lines += [
            f"host {ADMIN_DATABASE} +{FOLLOWERS} samehost scram-sha-256",
            f"host replication +{FOLLOWERS} samehost scram-sha-256",
        ]
    if role is ReplicaRole.PRIMARY:
        lines += [
            f"host {ADMIN_DATABASE} all all reject",
            f"host all +{OWNER} samehost scram-sha-256",
            f"host all +{READERS} samehost scram-sha-256",
        ]
    return "".join(f"{line}\n" for line in [*lines, "host all all all reject"])


def account_text(setting: Setting) -> str:
    """pg_ident.conf."""
    account = _quoted(setting.agent_user, '"')
    return f"agent {account} {SUPERUSER}\n"


def password_text(login: Login | None) -> str:
    """The password file of a server that follows; empty for one that does not."""
    if login is None:
        return ""
    user, password = (word.replace("\\", "\\\\").replace(":", "\\:") for word in (login.user, login.password))
    return f"*:*:*:{user}:{password}\n"


def _fixed(record: Record, setting: Setting) -> dict[str, str]:
    preload = "pg_stat_statements" if "pg_stat_statements" in record.spec.extensions else ""
    return {
        "listen_addresses": setting.address,
        "port": str(record.port),
        "unix_socket_directories": f"../{SOCKETS}",
        "unix_socket_permissions": "0700",
        "password_encryption": "scram-sha-256",
        "shared_preload_libraries": preload,
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] %d ",
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
        "log_checkpoints": "off",
        "wal_level": "replica",
        "wal_compression": "lz4",
        "hot_standby": "on",
        "hot_standby_feedback": "off",
        "max_standby_streaming_delay": "0",
        "max_wal_senders": "10",
        "max_replication_slots": "10",
        "max_prepared_transactions": "64",
        "max_worker_processes": "16",
        "wal_sender_timeout": "20s",
        "wal_receiver_timeout": "20s",
        "wal_receiver_status_interval": "1s",
        "checkpoint_completion_target": "0.9",
        "jit": "off",
        "tcp_keepalives_idle": "30",
        "tcp_keepalives_interval": "10",
        "tcp_keepalives_count": "3",
    }


def _sized(record: Record, setting: Setting) -> dict[str, str]:
    size = record.spec.size
    memory, disk, cpus = size.memory_bytes, size.disk_bytes, max(1, size.cpu_milli // 1000)
    connections = max(40, min(400, memory // (10 * MIB)), setting.max_connections_least)
    wal = max(64 * MIB, min(4 * GIB, disk // 8))
    return {
        "max_connections": str(connections),
        "shared_buffers": _kib(max(8 * MIB, min(8 * GIB, memory // 4))),
        "effective_cache_size": _kib(max(8 * MIB, memory * 3 // 4)),
        "work_mem": _kib(max(MIB, min(64 * MIB, memory // (2 * connections)))),
        "maintenance_work_mem": _kib(max(16 * MIB, min(GIB, memory // 16))),
        "max_parallel_workers": str(min(8, cpus)),
        "max_parallel_workers_per_gather": str(min(4, cpus // 2)),
        "max_parallel_maintenance_workers": str(min(4, cpus // 2)),
        "max_wal_size": _mib(wal),
        "min_wal_size": _mib(max(32 * MIB, min(GIB, disk // 32))),
        "wal_keep_size": _mib(max(64 * MIB, min(GIB, disk // 32))),
        "max_slot_wal_keep_size": _mib(max(128 * MIB, disk // 4)),
    }


def _following(login: Login | None, role: ReplicaRole) -> dict[str, str]:
    if login is None or role is not ReplicaRole.STANDBY:
        return {**dict.fromkeys(("primary_conninfo", "primary_slot_name"), ""), **_retry("60s")}
    words = {
        "host": f"/proc/self/cwd/../{TUNNEL}",
        "port": "5432",
        "user": login.user,
        "passfile": f"/proc/self/cwd/../{TUNNEL}/{LOGIN_FILE}",
        "application_name": login.slot,
        "sslmode": "disable",
        "gssencmode": "disable",
        "connect_timeout": "10",
    }
    line = " ".join(f"{name}={_escaped(value)}" for name, value in words.items())
    return {"primary_conninfo": line, "primary_slot_name": login.slot, **_retry("300ms")}


def _retry(pause: str) -> dict[str, str]:
    """How often a standby without a line looks for more log; it says so in its own log each time."""
    return {"wal_retrieve_retry_interval": pause}


def _kib(size: int) -> str:
    return f"{size // 1024}kB"


def _mib(size: int) -> str:
    return f"{size // MIB}MB"


def _quoted(value: str, mark: str = "'") -> str:
    """As the configuration files want it."""
    if "\n" in value or "\0" in value:
        raise ValueError("a setting holds a line break")
    return mark + value.replace("\\", "\\\\").replace(mark, mark * 2) + mark


def _escaped(value: str) -> str:
    """As a connection string wants it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
