"""What the site signs of its replicas."""

from hanse.agent.parts import Parts
from hanse.model.document.claim import Erasure, Relinquishment
from hanse.model.replica.order import Ticket
from hanse.model.replica.role import ReplicaKey
from hanse.model.shape import canonical_bytes

RELINQUISHMENT = "hanse-relinquishment"
ERASURE = "hanse-erasure"


def sign_erasure(parts: Parts, key: ReplicaKey, erased_bytes: int) -> str:
    """The site's word that nothing of a replica is left."""
    claim = Erasure(key=key, site=parts.identity.me.site, erased_bytes=erased_bytes, at=parts.clock.now())
    return parts.signer.sign(canonical_bytes(claim), ERASURE)


def sign_relinquishment(parts: Parts, ticket: Ticket, position: str) -> str:
    """The site gives the next epoch to the ticket's target."""
    claim = Relinquishment(
        ticket=ticket.ticket,
        key=ticket.key,
        from_epoch=ticket.from_epoch,
        to_epoch=ticket.from_epoch + 1,
        source=ticket.source.site,
        target=ticket.target.site,
        position=position,
        at=parts.clock.now(),
    )
    return parts.signer.sign(canonical_bytes(claim), RELINQUISHMENT)
