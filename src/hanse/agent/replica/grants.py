"""Who may use a replica: credentials made once, sealed for their readers, taken away in time."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from hanse.agent.parts import Parts
from hanse.agent.replica.memory import Replica
from hanse.drivers.contract import Credential, Driver, Granting
from hanse.model.replica.role import ReplicaKey
from hanse.model.replica.spec import Grant
from hanse.ports import Permanent

_TABLE = "credential"
_FOLLOWER = "follower@"


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

    def take_over(self, replica: Replica, handed: Sequence[dict[str, Any]]) -> None:
        """Keep the source's live credentials, so that consumers need no new ones."""
        for entry in handed:
            kept = {field: entry[field] for field in _HANDED_OVER}
            kept["sealed"] = ""
            self._seal(replica, str(entry["name"]), kept)
            self._journal.put(_TABLE, _row(replica.key, str(entry["name"])), kept)

    def forget(self, key: ReplicaKey) -> None:
        """Nothing of a replica's credentials is left here."""
        self._enforced.pop(key, None)
        for name, _ in self._entries(key):
            self._journal.delete(_TABLE, _row(key, name))

    def _keep(self, replica: Replica, grant: Grant, driver: Driver) -> None:
        row = _row(replica.key, grant.name)
        entry = self._journal.get(_TABLE, row)
        if entry is None or entry["access"] != grant.access:
            fields = (
                dict(driver.new_credential(grant.name, grant.access).fields)
                if isinstance(driver, Granting)
                else {}
            )
            entry = {"fields": fields, "sealing_key": "", "sealed": ""}
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


def open_credential(parts: Parts, sealed: str) -> dict[str, str]:
    """The fields of a credential that was sealed for this site. Raises Permanent(`sealed-for-another`)."""
    try:
        fields = json.loads(parts.sealer.open(sealed))["fields"]
        return {str(name): str(value) for name, value in fields.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Permanent(
            "credential-malformed",
            "A credential that was sealed for this site does not hold what it should."
            " The site that made it runs another version; update both.",
        ) from error


def _known_fields(replica: Replica) -> dict[str, str]:
    spec = replica.spec
    return {"bucket": spec.bucket, "region": "us-east-1"} if spec.kind == "bucket" else {}


def _row(key: ReplicaKey, name: str) -> str:
    return f"{key}|{name}"
