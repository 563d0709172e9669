"""What the hub may order a site to do. Every order is a level to hold, never an edge to fire."""

from typing import Annotated, Literal

from pydantic import Field

from hanse.model.replica.role import ReplicaKey, ReplicaRole
from hanse.model.replica.spec import BindingSpec, Grant, Peer, ReplicaSpec, Stream, Upstream
from hanse.model.shape import Digest, MicroEur, Moment, Name, Shape


class HoldLine(Shape):
    """Units of one offer at the stated price."""

    offer: str
    units: int = Field(ge=1)
    price_micro_eur_per_month: MicroEur


class HoldOrder(Shape):
    """Keep capacity aside until it is accepted, released or expired."""

    order: Literal["hold"] = "hold"
    hold: str
    lines: tuple[HoldLine, ...]
    wanted: Literal["held", "accepted", "released"]
    expires_at: Moment


class ReplicaOrder(Shape):
    """Hold a role for a component."""

    order: Literal["replica"] = "replica"
    key: ReplicaKey
    role: ReplicaRole
    epoch: int = Field(ge=0)
    """For `primary`: the epoch to serve. For `standby`: the epoch it follows."""
    mandate: Digest
    """Digest of the mandate that allows this; stored, not evaluated, until mandates are signed."""
    spec: ReplicaSpec
    bindings: tuple[BindingSpec, ...] = ()
    grants: tuple[Grant, ...] = ()
    """Who may use this replica while it is primary (clients) or follow it (followers)."""
    follow: Stream | None = None
    """For `standby`: the stream of the replica that is followed."""
    sealed_follow_credential: str = ""
    retain_until: Moment | None = None
    """For `retained`: erased after this moment."""
    handed_over_from: int | None = None
    """A stateful primary needs a relinquishment of this epoch, except where it is None: first deploy."""


class Ticket(Shape):
    """A single-use right to hand the primary role over, epoch e to e+1 (DESIGN section 5)."""

    ticket: str
    key: ReplicaKey
    from_epoch: int
    source: Peer
    target: Peer
    routes: tuple[Peer, ...] = ()
    """Sites whose routes to this component switch once the target serves."""
    holding: tuple[Name, ...] = ()
    """Consumers with clients of their own that must wait meanwhile: their endpoints hold new requests."""
    target_stream: Stream
    """Where clients find the target once it serves."""
    deadline_seconds: float = 60.0
    """On the source's monotonic clock, from acceptance; afterwards the source resumes serving."""


class TicketOrder(Shape):
    """Perform a cut-over; the agents finish it alone."""

    order: Literal["ticket"] = "ticket"
    ticket: Ticket
    wanted: Literal["cut-over", "abort"] = "cut-over"
    relinquishment: str = ""
    """The source's JWS, relayed by the hub to the target and the routes once the source has shown it."""


class RouteOrder(Shape):
    """Hold a stable address for clients and send its traffic to the primary."""

    order: Literal["route"] = "route"
    application: Name
    component: Name
    protocol: Literal["http", "tcp"]
    upstream: Upstream | None
    """None takes the route away."""
    standby_upstream: Upstream | None = None
    listen_port: int | None = None
    """Wished port at the site's endpoint address; None: the site picks from its range and keeps it."""
    retries_unavailable: bool = False
    """http: a request that may be repeated is tried again when the program answers 503, as one does that
    has just lost its database connections."""


class ReachOrder(Shape):
    """Measure which peers' data addresses this site reaches, and let these peers talk to us."""

    order: Literal["reach"] = "reach"
    peers: tuple[Peer, ...]


class LogReader(Shape):
    """Somebody who reads what a component writes, for a while."""

    reader: str
    sealing_key: str
    """X25519 public key, a JWK as JSON text: what the component wrote is sealed to it."""
    lines: int = Field(ge=1, le=10_000)
    follows: bool = False
    """True: told anew whenever there is something new; False: once."""
    expires_at: Moment


class LogsOrder(Shape):
    """Tell these readers the last lines that a component wrote."""

    order: Literal["logs"] = "logs"
    key: ReplicaKey
    readers: tuple[LogReader, ...] = Field(max_length=16)


Order = Annotated[
    HoldOrder | ReplicaOrder | TicketOrder | RouteOrder | ReachOrder | LogsOrder, Field(discriminator="order")
]


def subject_of(order: HoldOrder | ReplicaOrder | TicketOrder | RouteOrder | ReachOrder | LogsOrder) -> str:
    """What an order is about. A newer generation for the same subject replaces the older one."""
    match order:
        case HoldOrder():
            return f"hold/{order.hold}"
        case ReplicaOrder():
            return f"replica/{order.key}"
        case TicketOrder():
            return f"ticket/{order.ticket.ticket}"
        case RouteOrder():
            return f"route/{order.application}/{order.component}"
        case ReachOrder():
            return "reach"
        case LogsOrder():
            return f"logs/{order.key}"
