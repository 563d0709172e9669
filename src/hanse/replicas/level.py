"""A level order against what a site durably knows: which role must it hold now?"""

from dataclasses import dataclass

from hanse.model.replica.order import ReplicaOrder
from hanse.model.replica.role import ReplicaRole

PRIMARY, STANDBY, FENCED, ABSENT = (
    ReplicaRole.PRIMARY,
    ReplicaRole.STANDBY,
    ReplicaRole.FENCED,
    ReplicaRole.ABSENT,
)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a site's journal says of one replica, whatever was ordered since."""

    role: ReplicaRole = ABSENT
    """The role that was last held."""
    epoch: int = 0
    """Highest epoch that this site served, followed or was ordered."""
    served_epoch: int = 0
    """Highest epoch that this site had the right to serve; 0: none."""
    relinquished_epoch: int = 0
    """Highest epoch that this site gave away, or gave up by being retained or erased; 0: none."""
    used_tickets: frozenset[str] = frozenset()

    @property
    def holds_epoch(self) -> int:
        """The epoch that this site has the right to serve now; 0: none."""
        return self.served_epoch if self.served_epoch > self.relinquished_epoch else 0


@dataclass(frozen=True, slots=True)
class Hold:
    """Hold this role for this epoch."""

    role: ReplicaRole
    epoch: int
    why: str = ""
    """Not empty where this differs from the order: the order is older than what happened."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Do nothing and decline, with a stable code and words."""

    code: str
    message: str


def judge(
    order: ReplicaOrder, standing: Standing, *, stateful: bool, relinquished_to_us: int = 0
) -> Hold | Refused:
    """The role to hold under the newest order (the package's docstring has the rules).

    `relinquished_to_us`: highest epoch that somebody relinquished to this site with a verified document.
    Refuses `epoch-passed`, `still-primary` and `no-relinquishment`. Before a refused or overruled order is
    answered, the observation still tells the true role and epoch.
    """
    held = standing.holds_epoch
    if stateful and order.epoch < held:
        return Hold(PRIMARY, held, f"serves epoch {held} by right; the order is for epoch {order.epoch}")
    if stateful and order.role is PRIMARY:
        return _primary(order, standing, relinquished_to_us)
    if order.epoch < standing.epoch:
        return _passed(order, standing)
    if stateful and held and (order.role is STANDBY or order.epoch > held):
        return _still_primary(order, held)
    return Hold(order.role, order.epoch)


def _still_primary(order: ReplicaOrder, held: int) -> Refused:
    """An order for a later epoch means that somebody else serves: only this site's own word makes it so."""
    message = f"{order.key} is primary of epoch {held} here and becomes {order.role} only after a cut-over"
    return Refused("still-primary", message)


def _primary(order: ReplicaOrder, standing: Standing, relinquished_to_us: int) -> Hold | Refused:
    given = standing.relinquished_epoch
    if order.epoch <= given:
        truth = FENCED if standing.role is PRIMARY else standing.role
        return Hold(truth, standing.epoch, f"epoch {given} was given up here and is never served again")
    if order.epoch == standing.holds_epoch:
        return Hold(PRIMARY, order.epoch)
    if order.epoch < standing.epoch:
        return _passed(order, standing)
    if order.handed_over_from is None:
        return _first(order, standing)
    if relinquished_to_us == order.handed_over_from == order.epoch - 1:
        return Hold(PRIMARY, order.epoch)
    why = f"waits for the relinquishment of epoch {order.handed_over_from}"
    if standing.role is STANDBY:
        return Hold(STANDBY, standing.epoch, why)
    return Refused("no-relinquishment", f"{order.key} {why} and is {standing.role} here")


def _first(order: ReplicaOrder, standing: Standing) -> Hold | Refused:
    if standing.role is ABSENT or (standing.role is PRIMARY and not standing.served_epoch):
        return Hold(PRIMARY, order.epoch)
    message = f"{order.key} is {standing.role} here; a first deploy needs a site without a replica of it"
    return Refused("no-relinquishment", message)


def _passed(order: ReplicaOrder, standing: Standing) -> Refused:
    message = f"the order is for epoch {order.epoch} of {order.key}; this site knows epoch {standing.epoch}"
    return Refused("epoch-passed", message)
