"""What a site signs with its own key."""

from typing import Literal

from hanse.model.replica.role import ReplicaKey
from hanse.model.shape import Moment, Shape, SiteId


class Relinquishment(Shape):
    """The holder of an epoch gives the next one to another site: the point of no return."""

    claim: Literal["relinquishment"] = "relinquishment"
    ticket: str
    key: ReplicaKey
    from_epoch: int
    to_epoch: int
    source: SiteId
    target: SiteId
    position: str
    at: Moment


class Erasure(Shape):
    """A site's word that nothing of a replica is left. Not a proof: disks can have been copied."""

    claim: Literal["erasure"] = "erasure"
    key: ReplicaKey
    site: SiteId
    erased_bytes: int
    at: Moment
