"""Observations: site to hub, signed by the site; the newest one per subject is what counts."""

from typing import Literal

from pydantic import Field

from hanse.model.market.offer import SiteStatement
from hanse.model.replica.instruction import Generation
from hanse.model.replica.role import ReplicaRole
from hanse.model.replica.spec import Stream
from hanse.model.shape import Moment, Shape, SiteId


class Failure(Shape):
    """Why something is not as ordered, in words for the person who must act."""

    code: str
    """Stable, kebab-case, never reused: `image-missing`, `disk-full`, `no-capacity` …"""
    message: str
    """What happened, to which thing, why, and what to do next."""
    temporary: bool
    retry_after_seconds: float | None = None
    detail: str = ""
    """Bounded extra text, such as the last lines of a failing container's log."""


class Progress(Shape):
    """How far long work is. None where it is not known."""

    phase: str
    bytes_done: int = 0
    bytes_total: int | None = None
    objects_done: int = 0
    objects_total: int | None = None
    lag_bytes: int | None = None
    lag_objects: int | None = None
    """What a standby still lacked at the end of its last pass."""
    seconds_left: float | None = None


class ReplicaState(Shape):
    """A replica as its site sees it."""

    observed: Literal["replica"] = "replica"
    role: ReplicaRole
    epoch: int
    """Highest epoch that this replica served or follows."""
    ready: bool
    """True when the ordered role is fully held: serving, following with small lag, fenced, erased …"""
    clients: Stream | None = None
    followers: Stream | None = None
    sealed_credentials: dict[str, str] = Field(default_factory=dict)
    """Grant name to JWE sealed for its reader."""
    progress: Progress | None = None
    position: str = ""
    """Final position or content digest, for fenced and later."""
    relinquishment: str = ""
    """JWS by this site (see `document.claim.Relinquishment`), once the role is given away."""
    erasure: str = ""
    """JWS by this site (see `document.claim.Erasure`), once nothing is left."""
    used_bytes: int | None = None


class CutOverState(Shape):
    """How a ticket stands at this site."""

    observed: Literal["cut-over"] = "cut-over"
    part: Literal["source", "target", "route"]
    phase: str
    """A phase of `replicas.cutover`: prepared, closed, fenced, caught-up, relinquished, serving, done …"""
    outcome: Literal["open", "done", "aborted"]
    reason: str = ""
    relinquishment: str = ""
    dark_ms: int | None = None
    """Milliseconds from closing the source to the target serving, as this site measured it."""


class HoldState(Shape):
    """The site's own word on its capacity and price."""

    observed: Literal["hold"] = "hold"
    state: Literal["held", "accepted", "released", "declined", "expired"]
    reason: str = ""


class RouteState(Shape):
    """A route as it stands: where clients connect, and which epoch they get."""

    observed: Literal["route"] = "route"
    address: str
    port: int
    epoch: int
    upstream_site: SiteId | None
    ready: bool


class ReachState(Shape):
    """Round-trip time in milliseconds to each peer that answered with its pinned key."""

    observed: Literal["reach"] = "reach"
    rtt_ms: dict[SiteId, float]
    unreachable: dict[SiteId, str] = Field(default_factory=dict)


class LogsState(Shape):
    """What a component wrote last, for each reader who was ordered and has not expired."""

    observed: Literal["logs"] = "logs"
    sealed: dict[str, str] = Field(default_factory=dict)
    """Reader to JWE over UTF-8 text, at most 48 KiB; empty text where nothing was written."""


class StatementState(Shape):
    """What the site offers, at which price, with how much left."""

    observed: Literal["statement"] = "statement"
    statement: SiteStatement


class Declined(Shape):
    """The site refuses an instruction: too old, outside its capacity, or malformed."""

    observed: Literal["declined"] = "declined"


State = (
    ReplicaState | CutOverState | HoldState | RouteState | ReachState | LogsState | StatementState | Declined
)


class Observation(Shape):
    """What a site says of one subject. Travels as JWS by the site's key."""

    site: SiteId
    subject: str
    sequence: int
    """Grows by one per observation of this site, across restarts."""
    generation: Generation | None = None
    """The instruction that this answers."""
    at: Moment
    state: State = Field(discriminator="observed")
    failure: Failure | None = None
