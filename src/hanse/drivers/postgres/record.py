"""What a site keeps of each database replica on disk: role, port, user, credentials. Mode 0600."""

import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from hanse.drivers.contract import Credential
from hanse.drivers.identity import write_file
from hanse.model.replica.role import ReplicaKey, ReplicaRole
from hanse.model.replica.spec import PostgresSpec
from hanse.ports import Permanent

_UID_FIRST, _UID_COUNT = 1_600_000_000, 100_000_000

Content = Literal["none", "making", "seeding", "whole"]
"""What the data directory holds: nothing, a cluster that is not finished, part of a copy, a cluster."""


@dataclass(frozen=True, slots=True)
class Login:
    """How a standby logs in at its source, and the slot there that keeps the log for it."""

    user: str
    password: str = field(repr=False)
    slot: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One replica as it should be. Written before anything is done about it."""

    role: ReplicaRole
    spec: PostgresSpec
    uid: int
    port: int
    major: int
    """Major version of PostgreSQL that the data belongs to."""
    content: Content = "none"
    login: Login | None = None
    """Set from the first pass of a standby until it is primary."""
    furnished: str = ""
    """Databases and extensions that are known to be there."""
    position: str = ""
    """Final position, once fenced."""
    credentials: tuple[dict[str, str], ...] = field(default=(), repr=False)
    """`name`, `access`, `user`, `password` of each grant."""

    def with_grants(self, credentials: Iterable[Credential]) -> "Record":
        """The same with exactly these credentials accepted."""
        kept = tuple({"name": one.name, "access": one.access, **dict(one.fields)} for one in credentials)
        return replace(self, credentials=kept)


_RECORD: TypeAdapter[Record] = TypeAdapter(Record)


class Shelf:
    """All replicas of one driver: a directory each, found again after a restart."""

    def __init__(self, directory: Path, address: str, ports: range) -> None:
        self.directory = directory
        self._address = address
        self._ports = ports

    def place(self, key: ReplicaKey) -> Path:
        """Directory of a replica. Names hold no dot, so no two keys share one."""
        return self.directory / f"{key.application}.{key.component}.{key.ordinal}.{key.realm}"

    def load(self, key: ReplicaKey) -> Record | None:
        """The record, or None if this replica never was or was erased."""
        return _read(self.place(key))

    def save(self, key: ReplicaKey, record: Record) -> Record:
        """Durable when it returns."""
        place = self.place(key)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(place / "record.json", _RECORD.dump_json(record))
        return record

    def note(self, key: ReplicaKey, record: Record) -> Record:
        """The same without waiting for the disk: for what would be found out again."""
        draft = self.place(key) / "record.json.note"
        draft.touch(mode=0o600)
        draft.write_bytes(_RECORD.dump_json(record))
        draft.replace(self.place(key) / "record.json")
        return record

    def fresh(self, role: ReplicaRole, spec: PostgresSpec, major: int) -> Record:
        """A record with a port and a user of its own. Raises Permanent(`no-ports`)."""
        uid = _UID_FIRST + secrets.randbelow(_UID_COUNT)
        return Record(role=role, spec=spec, uid=uid, port=self.free_port(), major=major)

    def free_port(self) -> int:
        """A port that no other replica has and nobody listens at. Raises Permanent(`no-ports`).

        The last ones first: other drivers of the site take theirs from the front.
        """
        taken = {one.port for one in self._records()}
        for port in reversed(self._ports):
            if port not in taken and _is_free(self._address, port):
                return port
        raise Permanent(
            "no-ports",
            f"A database needs a free TCP port; of {self._ports.start} to {self._ports.stop - 1} none is. "
            "Give this site more ports or take a component away.",
        )

    def _records(self) -> list[Record]:
        if not self.directory.is_dir():
            return []
        found = (_read(place) for place in sorted(self.directory.iterdir()))
        return [one for one in found if one is not None]


def _read(place: Path) -> Record | None:
    try:
        return _RECORD.validate_json((place / "record.json").read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_free(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
