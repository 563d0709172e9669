"""Who may use a replica: credentials made once, sealed for their readers, taken away in time."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hanse.agent.parts import Parts
from hanse.agent.replica.memory import Replica
from hanse.drivers.contract import Credential, Driver, Granting
from hanse.model.replica.role import ReplicaKey
from hanse.model.replica.spec import BucketSpec, Grant, PostgresSpec
from hanse.ports import Permanent

_TABLE = "credential"
_FOLLOWER = "follower@"


@dataclass(frozen=True, slots=True)
class Opened:
    """A credential that was sealed for this site."""

    fields: Mapping[str, str] = field(repr=False)
    epoch: int
    """That it was made for: kinds that rotate make another one with each epoch. 0: it does not say."""


class Grants:
    """The grants of every replica here, in the journal (a file that only its owner reads)."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._journal = parts.journal
        self._enforced: dict[ReplicaKey, tuple[Credential, ...]] = {}

    def settle(self, replica: Replica, ordered: Sequence[Grant], driver: Driver) -> datetime | None:
        """Make what is missing, take away what is not ordered or has expired; next expiry, if any."""
        now = self._parts.clock.now()
        live = [grant for grant in ordered if grant.expires_at is None or grant.expires_at > now]
        for grant in live:
            self._keep(replica, grant, driver)
        wanted = {grant.name for grant in live}
        for name, _ in self._entries(replica.key):
            if name not in wanted:
                self._journal.delete(_TABLE, _row(replica.key, name))
        return min((grant.expires_at for grant in live if grant.expires_at is not None), default=None)

    async def enforce(self, key: ReplicaKey, driver: Driver, *, again: bool = False) -> None:
        """Let the driver accept exactly the credentials of this replica; `again`: even if it was told."""
        wanted = self.credentials(key)
        if isinstance(driver, Granting) and (again or self._enforced.get(key) != wanted):
            await driver.grant(key, wanted)
            self._enforced[key] = wanted

    def credentials(self, key: ReplicaKey) -> tuple[Credential, ...]:
        """Every credential of a replica, by name."""
        return tuple(
            Credential(name=name, access=entry["access"], fields=entry["fields"])
            for name, entry in self._entries(key)
            if entry["fields"]
        )

    def sealed(self, key: ReplicaKey) -> dict[str, str]:
        """Grant name to the credential sealed for its reader."""
        return {name: entry["sealed"] for name, entry in self._entries(key) if entry["sealed"]}

    def certificates(self, key: ReplicaKey, *, followers: bool) -> tuple[str, ...]:
        """Certificates that the gate lets in to clients, or to followers."""
        return tuple(
            sorted(
                {
                    str(entry["certificate_pem"])
                    for name, entry in self._entries(key)
                    if name.startswith(_FOLLOWER) is followers
                }
            )
        )

    def live(self, key: ReplicaKey) -> list[dict[str, Any]]:
        """What a cut-over hands to the target inside the channel: all but the followers'."""
        return [
            {"name": name, **{field: entry[field] for field in _HANDED_OVER}}
            for name, entry in self._entries(key)
            if not name.startswith(_FOLLOWER)
        ]

    def take_over(
        self, replica: Replica, handed: Sequence[dict[str, Any]], driver: Driver, epoch: int
    ) -> None:
        """Take the source's live grants, to be enforced once this replica serves `epoch`.

        Their credentials stay, so that consumers need no new ones; a kind that rotates makes its own, the
        same ones however often this is done for one epoch. What is left of an earlier tenure here is gone.
        """
        rotates = isinstance(driver, Granting) and driver.rotates
        names = {str(entry["name"]) for entry in handed}
        for name, _ in self._entries(replica.key):
            if name not in names:
                self._journal.delete(_TABLE, _row(replica.key, name))
        for entry in handed:
            name = str(entry["name"])
            kept = {one: entry[one] for one in _HANDED_OVER} | {"sealed": "", "epoch": epoch}
            known = self._journal.get(_TABLE, _row(replica.key, name)) or {}
            if rotates and known.get("epoch") == epoch and known.get("access") == kept["access"]:
                kept["fields"] = known["fields"]
            elif rotates:
                kept["fields"] = _new_fields(driver, name, kept["access"])
            if {**kept, "sealed": known.get("sealed")} != known:
                self._seal(replica, name, kept)
                self._journal.put(_TABLE, _row(replica.key, name), kept)

    def forget(self, key: ReplicaKey) -> None:
        """Nothing of a replica's credentials is left here."""
        self._enforced.pop(key, None)
        for name, _ in self._entries(key):
            self._journal.delete(_TABLE, _row(key, name))

    def _keep(self, replica: Replica, grant: Grant, driver: Driver) -> None:
        row = _row(replica.key, grant.name)
        entry = self._journal.get(_TABLE, row)
        if entry is None or entry["access"] != grant.access:
            fields = _new_fields(driver, grant.name, grant.access)
            entry = {"fields": fields, "sealing_key": "", "sealed": "", "epoch": replica.epoch}
        before = dict(entry)
        stale = entry["sealing_key"] != grant.sealing_key or not entry["sealed"]
        entry |= {
            "access": grant.access,
            "certificate_pem": grant.certificate_pem,
            "sealing_key": grant.sealing_key,
            "expires_at": None if grant.expires_at is None else grant.expires_at.isoformat(),
        }
        if stale:
            self._seal(replica, grant.name, entry)
        if entry != before:
            self._journal.put(_TABLE, row, entry)

    def _seal(self, replica: Replica, name: str, entry: dict[str, Any]) -> None:
        if not entry["fields"]:
            return
        secret = {
            "name": name,
            "access": entry["access"],
            "fields": {**_known_fields(replica), **entry["fields"]},
            "epoch": entry.get("epoch", 0),
        }
        text = json.dumps(secret, sort_keys=True, separators=(",", ":"))
        entry["sealed"] = self._parts.sealer.seal(text.encode(), str(entry["sealing_key"]))

    def _entries(self, key: ReplicaKey) -> list[tuple[str, dict[str, Any]]]:
        prefix = f"{key}|"
        return [
            (row.removeprefix(prefix), entry)
            for row, entry in self._journal.items(_TABLE)
            if row.startswith(prefix)
        ]


_HANDED_OVER = ("access", "fields", "certificate_pem", "sealing_key", "expires_at")


def open_grant(parts: Parts, sealed: str) -> Opened:
    """A credential that was sealed for this site. Raises Permanent(`sealed-for-another`, …)."""
    try:
        secret = json.loads(parts.sealer.open(sealed))
        fields = {str(name): str(value) for name, value in secret["fields"].items()}
        return Opened(fields, int(secret.get("epoch", 0)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Permanent(
            "credential-malformed",
            "A credential that was sealed for this site does not hold what it should."
            " The site that made it runs another version; update both.",
        ) from error


def open_credential(parts: Parts, sealed: str) -> dict[str, str]:
    """The fields of a credential that was sealed for this site. Raises as `open_grant`."""
    return dict(open_grant(parts, sealed).fields)


def _new_fields(driver: Driver, name: str, access: str) -> dict[str, str]:
    return dict(driver.new_credential(name, access).fields) if isinstance(driver, Granting) else {}


def _known_fields(replica: Replica) -> dict[str, str]:
    match replica.spec:
        case BucketSpec(bucket=bucket):
            return {"bucket": bucket, "region": "us-east-1"}
        case PostgresSpec(databases=databases):
            return {"database": databases[0]}
        case _:
            return {}


def _row(key: ReplicaKey, name: str) -> str:
    return f"{key}|{name}"
