"""Instructions: hub to site, signed, numbered, never obeyed when older than one already seen."""

from functools import total_ordering

from hanse.model.replica.order import Order
from hanse.model.shape import Moment, Shape, SiteId


@total_ordering
class Generation(Shape):
    """The age of an order: a restored hub opens a new era, so no number is used twice."""

    era: int = 1
    number: int = 0

    def __lt__(self, other: "Generation") -> bool:
        """Eras first, numbers second."""
        return (self.era, self.number) < (other.era, other.number)


class Instruction(Shape):
    """One order for one site. Travels as JWS by the hub's key, kept as received bytes."""

    site: SiteId
    serial: int
    """Grows by one per instruction of the hub; a site pulls what came since the highest it has."""
    subject: str
    generation: Generation
    issued_at: Moment
    order: Order
