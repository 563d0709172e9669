"""What the site durably knows of each replica: its role, its epochs, where it is served."""

from hanse.model.replica.role import ReplicaKey, ReplicaRole
from hanse.model.replica.spec import ReplicaSpec
from hanse.model.shape import Shape
from hanse.ports import Journal
from hanse.replicas.level import Standing

_TABLE = "replica"
_GIVEN_TO_US = "given"


class Replica(Shape):
    """One replica. Frozen: changed by `model_copy` and saved whole, in one write."""

    key: ReplicaKey
    spec: ReplicaSpec
    role: ReplicaRole = ReplicaRole.ABSENT
    epoch: int = 0
    """The epoch served, followed or fenced."""
    highest: int = 0
    """Highest epoch that this site served, followed or was ordered."""
    served: int = 0
    """Highest epoch that this site had the right to serve."""
    given_away: int = 0
    """Highest epoch that this site relinquished."""
    clients: tuple[str, int] | None = None
    """Where the gate finds the service on this machine."""
    followers: tuple[str, int] | None = None
    position: str = ""
    relinquishment: str = ""
    """The document that gave `given_away` away."""
    erasure: str = ""

    @property
    def keeps_state(self) -> bool:
        """False for kinds whose epoch belongs to the route."""
        return self.spec.kind in ("bucket", "postgres") or (
            self.spec.kind == "fake" and not self.spec.stateless
        )

    @property
    def is_pooled(self) -> bool:
        """Its consumers reach it through poolers, which can hold statements and change credentials."""
        return self.spec.kind == "postgres"

    @property
    def has_clients(self) -> bool:
        """False for a container that listens nowhere."""
        return self.spec.kind != "container" or self.spec.port is not None


class Memory:
    """Replicas by key, and what was relinquished to this site, in the journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def get(self, key: ReplicaKey) -> Replica | None:
        """The replica, or None if this site never had one."""
        value = self._journal.get(_TABLE, str(key))
        return None if value is None else Replica.model_validate(value)

    def save(self, replica: Replica) -> Replica:
        """Durable when this returns; gives the replica back, with `highest` raised."""
        replica = replica.model_copy(update={"highest": max(replica.highest, replica.epoch)})
        self._journal.put(_TABLE, str(replica.key), replica.model_dump(mode="json"))
        return replica

    def all(self) -> tuple[Replica, ...]:
        """Every replica that this site ever had, by key."""
        return tuple(Replica.model_validate(value) for _, value in self._journal.items(_TABLE))

    def standing(self, key: ReplicaKey, used_tickets: frozenset[str] = frozenset()) -> Standing:
        """The replica as `hanse.replicas` judges it."""
        replica = self.get(key)
        if replica is None:
            return Standing(used_tickets=used_tickets)
        return Standing(
            role=replica.role,
            epoch=replica.highest,
            served_epoch=replica.served,
            relinquished_epoch=replica.given_away,
            used_tickets=used_tickets,
        )

    def given_to_us(self, key: ReplicaKey) -> tuple[int, str]:
        """Highest epoch that another site verifiably relinquished to this one (0: none), and the document."""
        value = self._journal.get(_GIVEN_TO_US, str(key))
        return (0, "") if value is None else (int(value["epoch"]), str(value["document"]))

    def keep_given(self, key: ReplicaKey, epoch: int, document: str) -> None:
        """Remember a verified relinquishment of `epoch` to this site."""
        if epoch > self.given_to_us(key)[0]:
            self._journal.put(_GIVEN_TO_US, str(key), {"epoch": epoch, "document": document})
