"""What the hub knows when it decides the next step: a snapshot, nothing remembered."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from hanse.model.replica.instruction import Generation
from hanse.model.replica.observation import CutOverState, Failure, ReplicaState, RouteState
from hanse.model.replica.order import ReplicaOrder, RouteOrder, TicketOrder
from hanse.model.replica.role import ReplicaKey, ReplicaRole
from hanse.model.replica.spec import Clients, Peer, ReplicaSpec
from hanse.model.shape import Moment, SiteId

LIVE_ROLES = (ReplicaRole.PRIMARY, ReplicaRole.STANDBY)


@dataclass(frozen=True, slots=True)
class Told:
    """How far a site is with the newest order on one subject."""

    ordered: Generation | None = None
    """Generation of the newest order that was issued; None: never ordered."""
    ordered_at: Moment | None = None
    """`issued_at` of that instruction."""
    answered: Generation | None = None
    """Generation that the newest observation answers; None: not heard of."""
    failure: Failure | None = None
    """Of the newest observation."""

    @property
    def is_answered(self) -> bool:
        """True when the site has spoken about the newest order."""
        return self.ordered is not None and self.answered is not None and not self.answered < self.ordered


@dataclass(frozen=True, slots=True)
class ReplicaView:
    """One replica at one site: the newest order, the newest observation (also for absent ones)."""

    order: ReplicaOrder | None = None
    state: ReplicaState | None = None
    told: Told = Told()


@dataclass(frozen=True, slots=True)
class TicketView:
    """The operation's ticket at one site (source, target or a route's site)."""

    order: TicketOrder | None = None
    state: CutOverState | None = None
    told: Told = Told()


@dataclass(frozen=True, slots=True)
class EndpointView:
    """The separate endpoint of an exposed component: where it is and what it does now."""

    site: SiteId
    protocol: Literal["http", "tcp"]
    listen_port: int | None = None
    order: RouteOrder | None = None
    state: RouteState | None = None
    told: Told = Told()
    retries_unavailable: bool = False
    """The program may answer 503 for a moment because it has lost its database connections."""
    others: tuple["EndpointView", ...] = ()
    """Every other site that was ever ordered to hold its address: new ones, old ones, ended ones."""

    @property
    def is_live(self) -> bool:
        """True while its site is ordered to send requests somewhere."""
        return self.order is not None and self.order.upstream is not None

    @property
    def old(self) -> tuple["EndpointView", ...]:
        """Addresses beside this one that lead to the component too."""
        return tuple(other for other in self.others if other.is_live)

    @property
    def sites(self) -> tuple[SiteId, ...]:
        """Every site whose address leads to the component."""
        return (self.site, *(other.site for other in self.old))

    def at(self, site: SiteId) -> "EndpointView":
        """The same endpoint at a site; nothing ordered if it never stood there."""
        known = {each.site: each for each in (self, *self.others)}
        return known.get(site) or replace(self, site=site, order=None, state=None, told=Told(), others=())


@dataclass(frozen=True, slots=True)
class ComponentView:
    """A component and all its replicas that were ever ordered, by site."""

    key: ReplicaKey
    kind: Literal["container", "bucket", "fake", "postgres"]
    replicas: Mapping[SiteId, ReplicaView] = field(default_factory=dict)
    clients: Clients = "transaction-safe"
    """Among `uses`: how the operation's component uses it. Among `consumers`: how it uses that one."""
    endpoint: EndpointView | None = None
    """Among `consumers`: its endpoint, if it is exposed."""

    def primary_site(self) -> SiteId | None:
        """Where the newest order `primary` stands; the highest epoch wins."""
        holders = [
            (view.order.epoch, site)
            for site, view in self.replicas.items()
            if view.order is not None and view.order.role is ReplicaRole.PRIMARY
        ]
        return max(holders)[1] if holders else None

    def live_sites(self) -> tuple[SiteId, ...]:
        """Sites ordered to be primary or standby, sorted."""
        return tuple(
            sorted(s for s, v in self.replicas.items() if v.order is not None and v.order.role in LIVE_ROLES)
        )

    def highest_epoch(self) -> int:
        """Highest epoch that any order or observation names; 0 if there is none."""
        orders = [v.order.epoch for v in self.replicas.values() if v.order is not None]
        states = [v.state.epoch for v in self.replicas.values() if v.state is not None]
        return max([0, *orders, *states])


@dataclass(frozen=True, slots=True)
class View:
    """Everything one step of one operation may look at."""

    component: ComponentView
    """The component that the operation is about."""
    spec: ReplicaSpec
    """As the mandate in force wants it."""
    peers: Mapping[SiteId, Peer]
    """Every joined site that is named anywhere in this view."""
    uses: tuple[ComponentView, ...] = ()
    """Components that this one uses (a container's buckets and databases)."""
    consumers: tuple[ComponentView, ...] = ()
    """Components that use this one."""
    endpoint: EndpointView | None = None
    """None where the component is not exposed."""
    tickets: Mapping[SiteId, TicketView] = field(default_factory=dict)
    """For `operation.ticket`, by site; empty while there is no ticket."""
    reach: Mapping[str, bool] = field(default_factory=dict)
    """Measured reach, key `from-site>to-site`; a pair that is not named is not measured yet."""

    def replica(self, site: SiteId | None) -> ReplicaView:
        """The operation's component at `site`; an empty view if nothing was ever ordered there."""
        return self.component.replicas.get(site, ReplicaView()) if site is not None else ReplicaView()
