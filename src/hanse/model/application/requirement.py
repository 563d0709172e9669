"""A requirement: a named predicate over facts, with the place it came from.

One expression tree, several readers. Facts are looked up by dotted name on a candidate
(an offer at a site): `site.country`, `provider.id`, `offer.kind`, `offer.vcpu`,
`rtt_ms:45.46,9.19`, … (the list is in `hanse.rules.facts`); what a candidate does not say is
unknown, and unknown never satisfies.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from hanse.model.shape import MicroEur, Name, Shape


class Truth(StrEnum):
    """Four values: a fact can be missing, and two sources can disagree."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"
    CONTESTED = "contested"


Scalar = str | int | float | bool


class Compare(Shape):
    """A fact against a constant."""

    node: Literal["compare"] = "compare"
    fact: str
    test: Literal["eq", "ne", "lt", "le", "gt", "ge", "in", "not_in"]
    value: Scalar | tuple[Scalar, ...]


class AllOf(Shape):
    """True when every part is."""

    node: Literal["all"] = "all"
    parts: tuple["Expression", ...]


class AnyOf(Shape):
    """True when some part is."""

    node: Literal["any"] = "any"
    parts: tuple["Expression", ...]


class Negated(Shape):
    """True when its part is false; unknown and contested stay what they are."""

    node: Literal["not"] = "not"
    part: "Expression"


Expression = Annotated[Compare | AllOf | AnyOf | Negated, Field(discriminator="node")]


class Origin(Shape):
    """Where a requirement came from."""

    rule: str
    """`application file`, `hanse default`, or a pack's rule."""
    line: int | None = None
    article: str = ""


class Requirement(Shape):
    """What must hold for one component, wherever it is placed."""

    id: str
    """`component.what`, for example `images.country`; unique within a mandate."""
    component: Name
    says: str
    """In words, for a person."""
    expression: Expression
    origin: Origin


class GroupRequirement(Shape):
    """What must hold between the placements of several components."""

    id: str
    kind: Literal["apart", "together", "budget", "latency-between"]
    components: tuple[Name, ...] = ()
    level: Literal["site", "provider", "country"] | None = None
    limit_micro_eur_per_month: MicroEur | None = None
    limit_ms: float | None = None
    says: str
    origin: Origin


class Traffic(Shape):
    """Bytes that flow from a used component to its user and back, charged as egress between providers."""

    from_component: Name
    to_component: Name
    gib_per_month: float = Field(ge=0)


class Demand(Shape):
    """One thing to buy: a component, an endpoint, or the standby of a way back."""

    component: Name
    kind: Literal["container", "bucket", "postgres", "endpoint"]
    offer_kinds: tuple[str, ...]
    """Kinds of offer that can carry it; empty for an endpoint, which costs what its site states."""
    storage_gib: float | None = None
    """For offers priced per GiB and month.

    Of a container: its disk, to be bought as a `volume` of the site where the `vm` offer has disk 0.
    """
    requirements: tuple[Requirement, ...]


class Mandate(Shape):
    """The application expanded to what must hold. Stored by digest; not signed yet."""

    application: Name
    demands: tuple[Demand, ...]
    group: tuple[GroupRequirement, ...] = ()
    traffic: tuple[Traffic, ...] = ()
    assume_egress_micro_eur_per_gib: MicroEur | None = None
