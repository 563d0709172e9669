"""A plan, or the reasons why there is none. Both are values; nothing is raised."""

from typing import Literal

from hanse.model.application.requirement import Origin
from hanse.model.shape import Digest, MicroEur, Name, Shape, SiteId


class PriceLine(Shape):
    """One thing that makes up a price."""

    what: str
    micro_eur_per_month: MicroEur
    how: str
    """The arithmetic in words: `0.0104 EUR/h × 730 h`."""


class Placement(Shape):
    """A component, or its endpoint, at a site on an offer."""

    component: Name
    kind: Literal["container", "bucket", "postgres", "endpoint"]
    site: SiteId
    offer: str
    """Offer id; empty for an endpoint."""
    volume: str = ""
    """Offer id of the volume bought beside it, where the offer's own disk is 0."""
    bookable: bool
    price: tuple[PriceLine, ...]
    notes: tuple[str, ...] = ()
    """What a person should know: an assumed egress price, a distance that stands for a measured RTT."""


class Rejections(Shape):
    """How many offers one requirement rejected for one component."""

    requirement: str
    component: Name
    says: str
    origin: Origin
    rejected: int
    rejected_alone: int
    """Offers that fail this requirement and no other: what dropping it would open."""


class Relaxation(Shape):
    """One change to the file that would open offers."""

    requirement: str
    says: str
    opens_offers: int
    saves_micro_eur_per_month: MicroEur | None = None
    """Against this plan; None when the dropped requirement has no better plan or was not planned."""


class Plan(Shape):
    """The cheapest placement that satisfies everything, with its price and its proof."""

    outcome: Literal["plan"] = "plan"
    mandate: Digest
    catalogue_version: str
    market: Literal["bookable", "all"]
    placements: tuple[Placement, ...]
    traffic: tuple[PriceLine, ...] = ()
    price_micro_eur_per_month: MicroEur
    proved_optimal: bool = True
    offers_seen: int
    rejections: tuple[Rejections, ...]
    relaxations: tuple[Relaxation, ...] = ()
    """The one change that would open most first."""


class Conflict(Shape):
    """A smallest set of requirements that cannot hold together."""

    requirements: tuple[str, ...]
    says: tuple[str, ...]
    minimal: bool = True
    """False when the search ended before it could show that every member is needed."""


class NoSolution(Shape):
    """Nothing satisfies everything; these sets of requirements are why."""

    outcome: Literal["no-solution"] = "no-solution"
    mandate: Digest
    catalogue_version: str
    market: Literal["bookable", "all"]
    proved: bool = True
    """False when the search ended before it was sure; then there may be a plan after all."""
    offers_seen: int
    conflicts: tuple[Conflict, ...]
    rejections: tuple[Rejections, ...]
    relaxations: tuple[Relaxation, ...] = ()


class OfferReasons(Shape):
    """Why one offer can or cannot carry one component."""

    component: Name
    offer: str
    failing: tuple[str, ...]
    """Requirement ids; empty when the offer is suitable."""
    unknown: tuple[str, ...] = ()
    """Those of `failing` that fail because a fact is unknown or contested."""


class Violation(Shape):
    """What the verifier found wrong with a plan."""

    what: str
    component: str = ""
