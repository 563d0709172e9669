"""What a site keeps of each bucket replica on disk: role, ports, user, credentials. Mode 0600."""

import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from hanse.drivers.contract import Credential
from hanse.drivers.identity import write_file
from hanse.model.replica.role import ReplicaKey, ReplicaRole
from hanse.ports import Permanent

PORT_NAMES = (
    *("master", "master_grpc", "volume", "volume_grpc", "filer", "filer_grpc"),
    *("clients", "clients_grpc", "followers", "followers_grpc", "inner", "inner_grpc"),
)
_UID_FIRST, _UID_COUNT = 1_500_000_000, 100_000_000


@dataclass(frozen=True, slots=True)
class PortBlock:
    """TCP ports of this machine that a driver may take: `first` and the `count - 1` after it."""

    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Record:
    """One replica as it should be. Written before anything is done about it."""

    role: ReplicaRole
    bucket: str
    disk_bytes: int
    memory_bytes: int
    uid: int
    ports: dict[str, int]
    inner_access: str
    inner_secret: str = field(repr=False)
    made: bool = False
    """The bucket itself exists in the store."""
    credentials: tuple[dict[str, str], ...] = field(default=(), repr=False)
    """`name`, `access`, `access_key`, `secret_key` of each grant."""
    slots: int = 0
    """How many grants there ever were at once."""

    def with_grants(self, credentials: Iterable[Credential]) -> "Record":
        """The same with exactly these credentials accepted."""
        kept = tuple({"name": one.name, "access": one.access, **dict(one.fields)} for one in credentials)
        return replace(self, credentials=kept, slots=max(self.slots, len(kept)))


_RECORD: TypeAdapter[Record] = TypeAdapter(Record)


class Shelf:
    """All replicas of one driver: a directory each, found again after a restart."""

    def __init__(self, directory: Path, address: str, ports: PortBlock) -> None:
        self._directory = directory
        self._address = address
        self._ports = ports

    def place(self, key: ReplicaKey) -> Path:
        """Directory of a replica. Names hold no dot, so no two keys share one."""
        return self._directory / f"{key.application}.{key.component}.{key.ordinal}.{key.realm}"

    def marks(self, key: ReplicaKey) -> Path:
        """Where it stands which processes are a replica's: beside the directory of all replicas."""
        return self._directory.with_name(f"{self._directory.name}.processes") / self.place(key).name

    def load(self, key: ReplicaKey) -> Record | None:
        """The record, or None if this replica never was or was erased."""
        return _read(self.place(key))

    def save(self, key: ReplicaKey, record: Record) -> Record:
        """Durable when it returns."""
        place = self.place(key)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(place / "record.json", _RECORD.dump_json(record))
        return record

    def fresh(self, role: ReplicaRole, **wanted: Any) -> Record:
        """A record with ports, a user and an inner secret of its own. Raises Permanent(`no-ports`)."""
        return Record(
            role=role,
            uid=_UID_FIRST + secrets.randbelow(_UID_COUNT),
            ports=self.free_ports(),
            inner_access=secrets.token_hex(10),
            inner_secret=secrets.token_urlsafe(30),
            **wanted,
        )

    def free_ports(self) -> dict[str, int]:
        """Ports that no other replica has and nobody listens at. Raises Permanent(`no-ports`)."""
        taken = {port for one in self._records() for port in one.ports.values()}
        found: list[int] = []
        for port in range(self._ports.first, self._ports.first + self._ports.count):
            if port not in taken and _is_free(self._address, port):
                found.append(port)
            if len(found) == len(PORT_NAMES):
                return dict(zip(PORT_NAMES, found, strict=True))
        last = self._ports.first + self._ports.count - 1
        raise Permanent(
            "no-ports",
            f"A bucket needs {len(PORT_NAMES)} free TCP ports; of {self._ports.first} to {last} only "
            f"{len(found)} are free. Give this site more ports or take a bucket away.",
        )

    def _records(self) -> list[Record]:
        if not self._directory.is_dir():
            return []
        found = (_read(place) for place in sorted(self._directory.iterdir()))
        return [one for one in found if one is not None]


def _read(place: Path) -> Record | None:
    try:
        return _RECORD.validate_json((place / "record.json").read_bytes())
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        return None


def _is_free(address: str, port: int) -> bool:
    """The store listens at its own address and at 127.0.0.1; both must be free."""
    for place in {address, "127.0.0.1"}:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((place, port))
            except OSError:
                return False
    return True
