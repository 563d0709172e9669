"""A level order against what a site durably knows: which role must it hold now?"""

from dataclasses import dataclass

from hanse.model.replica.order import ReplicaOrder
from hanse.model.replica.role import ReplicaRole


@dataclass(frozen=True, slots=True)
class Standing:
    """What a site's journal says of one replica, whatever was ordered since."""

    role: ReplicaRole = ReplicaRole.ABSENT
    epoch: int = 0
    """Highest epoch that this site served, followed or was ordered."""
    served_epoch: int = 0
    """Highest epoch that this site had the right to serve; 0: none."""
    relinquished_epoch: int = 0
    """Highest epoch that this site gave away; 0: none."""
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
    """
    raise NotImplementedError
