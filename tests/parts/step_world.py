"""A hub's memory and obedient sites, without time: what `replicas.step` decides is carried out at once.

An order can be met with a failure or with silence; then the next look obeys, as a real site would.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hanse.model.replica.instruction import Generation
from hanse.model.replica.observation import CutOverState, Failure, ReplicaState, RouteState
from hanse.model.replica.operation import Operation
from hanse.model.replica.order import ReplicaOrder, RouteOrder, TicketOrder, subject_of
from hanse.model.replica.role import ReplicaKey, ReplicaRole
from hanse.model.replica.spec import BucketSpec, ContainerSpec, Peer, Size, Stream
from hanse.replicas.step import (
    ComponentView,
    EndpointView,
    ReplicaView,
    Step,
    TicketView,
    Told,
    View,
    step,
)

START = datetime(2030, 1, 1, tzinfo=UTC)
MANDATE = "sha256:" + "0" * 64
FILES = ReplicaKey(application="shop", component="files")
WEB = ReplicaKey(application="shop", component="web")
SITES = ("fiction/one", "fable/two", "legend/three")
ONE, TWO, THREE = SITES


def peer(site: str) -> Peer:
    return Peer(
        site=site,
        thumbprint=f"t-{site}",
        certificate_pem=f"pem-{site}",
        sealing_key=f"seal-{site}",
        address=f"host-{site.split('/')[1]}",
        channel_port=7000,
    )


Meet = Callable[[str, object], Failure | None]


@dataclass
class Fact:
    """An order at a site, and what the site said."""

    order: object
    number: int
    at: datetime
    answered: int = 0
    state: object = None
    failure: Failure | None = None

    @property
    def told(self) -> Told:
        answered = Generation(number=self.answered) if self.answered else None
        return Told(Generation(number=self.number), self.at, answered, self.failure)


@dataclass
class StepWorld:
    """`web` uses `files` and is exposed at `endpoint`."""

    endpoint: str = THREE
    reach: dict[str, bool] = field(default_factory=dict)
    facts: dict[tuple[str, str], Fact] = field(default_factory=dict)
    now: datetime = START
    issued: list[tuple[str, object]] = field(default_factory=list)
    meet: Meet = lambda _site, _order: None
    silent: set[str] = field(default_factory=set)
    ticket_fails: int = 0
    """So many cut-overs are called off by the source."""

    def __post_init__(self) -> None:
        self.reach = self.reach or {f"{a}>{b}": True for a in SITES for b in SITES if a != b}

    # -- the hub's side ---------------------------------------------------------------------------

    def operation(self, kind: str, key: ReplicaKey, **fields: object) -> Operation:
        component_kind = "container" if key == WEB else "bucket"
        number = len(self.issued)
        fixed = {"operation": f"op-{kind}-{number}", "kind": kind, "key": key, "mandate": MANDATE}
        return Operation.model_validate(
            {**fixed, "component_kind": component_kind, "started_at": self.now, **fields}
        )

    def view(self, operation: Operation) -> View:
        of_web = operation.key == WEB
        spec = (
            ContainerSpec(size=Size(), image=MANDATE) if of_web else BucketSpec(size=Size(), bucket="files")
        )
        others = [self.address(site) for site, subject in self.facts if subject == "route/shop/web"]
        endpoint = replace(
            self.address(self.endpoint),
            others=tuple(other for other in others if other.site != self.endpoint),
        )
        return View(
            component=self.component(operation.key),
            spec=spec,
            peers={site: peer(site) for site in SITES},
            uses=(self.component(FILES),) if of_web else (),
            consumers=() if of_web else (self.component(WEB),),
            endpoint=endpoint if of_web else None,
            tickets={
                site: TicketView(fact.order, fact.state, fact.told)
                for (site, subject), fact in self.facts.items()
                if subject == f"ticket/{operation.ticket}"
            },
            reach=self.reach,
        )

    def address(self, site: str) -> EndpointView:
        route = self.facts.get((site, "route/shop/web"))
        if route is None:
            return EndpointView(site, "http")
        return EndpointView(site, "http", order=route.order, state=route.state, told=route.told)

    def component(self, key: ReplicaKey) -> ComponentView:
        replicas = {
            site: ReplicaView(fact.order, fact.state, fact.told)
            for (site, subject), fact in self.facts.items()
            if subject == f"replica/{key}"
        }
        return ComponentView(key, "container" if key == WEB else "bucket", replicas)

    def issue(self, decided: Step) -> None:
        for site, order in decided.orders:
            subject = subject_of(order)
            old = self.facts.get((site, subject))
            assert old is None or old.order != order, f"the same order twice: {order}"
            self.issued.append((site, order))
            number = (old.number if old else 0) + 1
            self.facts[site, subject] = Fact(
                order,
                number,
                self.now,
                old.answered if old else 0,
                old.state if old else None,
                old.failure if old else None,
            )

    def run(self, operation: Operation, *, limit: int = 100) -> Operation:
        """To the end, or until nothing changes for ten minutes. Every step is decided twice."""
        for _ in range(limit):
            decided = step(operation, self.view(operation), self.now)
            assert decided == step(operation, self.view(operation), self.now), "same snapshot, same step"
            self.issue(decided)
            operation = decided.operation
            if operation.state in ("done", "aborted"):
                return operation
            self.obey()
            self.now += timedelta(seconds=6)
        return operation

    # -- the sites' side --------------------------------------------------------------------------

    def obey(self) -> None:
        """Every site that is not silent answers its newest orders."""
        for (site, subject), fact in list(self.facts.items()):
            if site in self.silent or (fact.answered == fact.number and fact.failure is None):
                continue
            failure = self.meet(site, fact.order)
            fact.answered, fact.failure = fact.number, failure
            if failure is None:
                self._hold(site, subject, fact)

    def _hold(self, site: str, subject: str, fact: Fact) -> None:
        match fact.order:
            case ReplicaOrder():
                fact.state = self._replica(site, fact.order)
            case RouteOrder(upstream=upstream):
                fact.state = RouteState(
                    address="host",
                    port=8000,
                    epoch=upstream.epoch if upstream else 0,
                    upstream_site=upstream.stream.peer.site if upstream else None,
                    ready=True,
                )
            case TicketOrder():
                self._cut_over(site, subject, fact)

    def _replica(self, site: str, order: ReplicaOrder) -> ReplicaState:
        listed = order.role in (ReplicaRole.PRIMARY, ReplicaRole.STANDBY)
        streams = {
            use: Stream(name=f"{order.key}:{use}", peer=peer(site), port=port)
            for use, port in (("clients", 9000), ("followers", 9001))
        }
        return ReplicaState(
            role=order.role,
            epoch=order.epoch,
            ready=True,
            clients=streams["clients"] if listed else None,
            followers=streams["followers"] if listed else None,
            sealed_credentials={
                grant.name: f"sealed by {site} for {grant.name}"
                for grant in order.grants
                if order.role is ReplicaRole.PRIMARY
            },
        )

    def _cut_over(self, site: str, subject: str, fact: Fact) -> None:
        order = fact.order
        assert isinstance(order, TicketOrder)
        ticket = order.ticket
        part = {ticket.source.site: "source", ticket.target.site: "target"}.get(site, "route")
        source = self.facts.get((ticket.source.site, subject))
        ended = source.state if source is not None else None
        if part == "source" and ended is None:
            off = order.wanted == "abort" or self.ticket_fails > 0
            self.ticket_fails -= 0 if order.wanted == "abort" else 1
            ended = _ended("source", relinquished=not off)
            if not off:
                self._hand_over(ticket)
        if ended is not None:
            fact.state = ended if part == "source" else _ended(part, relinquished=ended.outcome == "done")

    def _hand_over(self, ticket) -> None:
        for site, role, epoch in (
            (ticket.source.site, ReplicaRole.FENCED, ticket.from_epoch),
            (ticket.target.site, ReplicaRole.PRIMARY, ticket.from_epoch + 1),
        ):
            fact = self.facts[site, f"replica/{ticket.key}"]
            assert isinstance(fact.state, ReplicaState)
            fact.state = fact.state.model_copy(update={"role": role, "epoch": epoch})

    # -- what a test asks -------------------------------------------------------------------------

    def roles(self, key: ReplicaKey) -> dict[str, tuple[str, int]]:
        """Ordered role and epoch by site; absent ones are left out."""
        return {
            site: (str(view.order.role), view.order.epoch)
            for site, view in sorted(self.component(key).replicas.items())
            if view.order is not None and view.order.role is not ReplicaRole.ABSENT
        }

    def state_orders(self) -> dict[tuple[str, str], object]:
        """Every level order but those that mean nothing: absent replicas, absent routes, tickets."""
        return {
            place: fact.order
            for place, fact in self.facts.items()
            if not isinstance(fact.order, TicketOrder)
            and not (isinstance(fact.order, ReplicaOrder) and fact.order.role is ReplicaRole.ABSENT)
            and not (isinstance(fact.order, RouteOrder) and fact.order.upstream is None)
        }


def _ended(part: str, *, relinquished: bool) -> CutOverState:
    words = {"source": "relinquished", "target": "serving", "route": "done"}
    return CutOverState.model_validate(
        {
            "part": part,
            "phase": words[part] if relinquished else "aborted",
            "outcome": "done" if relinquished else "aborted",
            "reason": "" if relinquished else "the target did not answer",
            "relinquishment": "signed" if relinquished and part != "route" else "",
        }
    )


def running_shop() -> StepWorld:
    """files at one, web at two, its endpoint at three."""
    world = StepWorld()
    assert world.run(world.operation("deploy", FILES, target=ONE)).state == "done"
    assert world.run(world.operation("deploy", WEB, target=TWO)).state == "done"
    return world
