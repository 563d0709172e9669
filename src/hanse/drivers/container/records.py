"""What the driver decided and must not forget: one small file per replica, and claims on uid ranges."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hanse.drivers.identity import write_file
from hanse.model.replica.role import ReplicaKey, ReplicaRole
from hanse.ports import Permanent

UID_RANGE = 65_536
_FIRST_UID = 0x7000_0000
"""Above every range that Debian, systemd and container tools hand out by themselves."""
_RANGES = 4_000


@dataclass(frozen=True, slots=True)
class Record:
    """One replica at this site."""

    key: str
    role: str
    image: str
    uid_base: int
    disk_bytes: int
    secret_names: tuple[str, ...] = ()
    """Environment variables whose values hold a secret."""

    def with_role(self, role: ReplicaRole) -> "Record":
        """The same replica in another role."""
        return replace(self, role=role.value)

    @property
    def application(self) -> str:
        """Whose network it is in."""
        return ReplicaKey.parse(self.key).application


class Records:
    """The files of one site's driver. Claims are machine-wide, so that no two sites share a uid."""

    def __init__(self, directory: Path, claims: Path) -> None:
        self._directory = directory
        self._claims = claims

    def get(self, name: str) -> Record | None:
        """What is known of a replica, by its container's name."""
        try:
            read = json.loads((self._directory / f"{name}.json").read_text())
        except FileNotFoundError:
            return None
        return Record(**{**read, "secret_names": tuple(read["secret_names"])})

    def put(self, name: str, record: Record) -> None:
        """Durable when it returns."""
        self._directory.mkdir(parents=True, exist_ok=True)
        write_file(self._directory / f"{name}.json", json.dumps(asdict(record)).encode())

    def delete(self, name: str) -> None:
        """Forget, and give the uid range back."""
        record = self.get(name)
        if record is not None:
            self._claim_file(record.uid_base).unlink(missing_ok=True)
        (self._directory / f"{name}.json").unlink(missing_ok=True)

    def all(self) -> dict[str, Record]:
        """Every replica, by container name."""
        names = sorted(path.stem for path in self._directory.glob("*.json"))
        return {name: record for name in names if (record := self.get(name)) is not None}

    def claim_uids(self, name: str, known: int | None) -> int:
        """First uid of a range that only this replica has on this machine; the `known` one if it can be.

        Raises Permanent(`no-uid-range`) if all are taken.
        """
        owner = f"{self._directory.resolve()}/{name}"
        self._claims.mkdir(parents=True, exist_ok=True, mode=0o711)
        for base in self._candidates(owner, known):
            if self._take(base, owner):
                return base
        raise Permanent(
            "no-uid-range", f"all {_RANGES} user id ranges of this machine are taken; {name} gets none"
        )

    def _candidates(self, owner: str, known: int | None) -> Iterator[int]:
        if known is not None:
            yield known
        start = int(hashlib.sha256(owner.encode()).hexdigest(), 16) % _RANGES
        for number in range(_RANGES):
            yield _FIRST_UID + (start + number) % _RANGES * UID_RANGE

    def _take(self, base: int, owner: str) -> bool:
        file = self._claim_file(base)
        for _ in range(2):
            try:
                handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                if self._owner(file) == owner:
                    return True
                if not self._is_stale(file):
                    return False
                file.unlink(missing_ok=True)
                continue
            os.write(handle, owner.encode())
            os.close(handle)
            return True
        return False

    def _owner(self, file: Path) -> str:
        with suppress(FileNotFoundError):
            return file.read_text()
        return ""

    def _is_stale(self, file: Path) -> bool:
        """The site that took it is gone: its directory no longer exists."""
        owner = self._owner(file)
        return bool(owner) and not Path(owner).parent.exists()

    def _claim_file(self, base: int) -> Path:
        return self._claims / str(base)
