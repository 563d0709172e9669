"""The snapshot that a step looks at, read from what was ordered and what was observed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from hanse.hub.context import ERA
from hanse.hub.membership import joined_market, peers_of
from hanse.hub.records import ApplicationRecord, ObservedRecord, OrderedRecord, load_all
from hanse.hub.spec import clients_of, consumers_of, keeps_sessions, key_of, spec_of, used_by
from hanse.model.application.file import ContainerComponent
from hanse.model.replica.instruction import Generation
from hanse.model.replica.observation import CutOverState, Observation, ReplicaState, RouteState
from hanse.model.replica.operation import Operation
from hanse.model.replica.order import ReplicaOrder, RouteOrder, TicketOrder
from hanse.model.shape import Shape
from hanse.ports import Transaction
from hanse.replicas.view import ComponentView, EndpointView, ReplicaView, TicketView, Told, View

StateT = TypeVar("StateT", bound=Shape)


@dataclass(frozen=True, slots=True)
class Known:
    """The newest order and the newest observation of one subject at one site."""

    ordered: OrderedRecord | None
    observed: Observation | None

    def state(self, shape: type[StateT]) -> StateT | None:
        """The observed state, if it is of this kind."""
        found = self.observed.state if self.observed else None
        return found if isinstance(found, shape) else None

    def told(self) -> Told:
        """How far the site is with the order."""
        ordered, observed = self.ordered, self.observed
        return Told(
            ordered=Generation(era=ERA, number=ordered.generation) if ordered else None,
            ordered_at=ordered.issued_at if ordered else None,
            answered=observed.generation if observed else None,
            failure=observed.failure if observed else None,
        )


def known_about(tx: Transaction, subject: str) -> Mapping[str, Known]:
    """Everything known of a subject, by site."""
    ordered = {
        stored.value.site: stored.value
        for stored in load_all(tx, "ordered", OrderedRecord, prefix=f"{subject} ")
    }
    observed = {
        stored.value.observation.site: stored.value.observation
        for stored in load_all(tx, "observed", ObservedRecord, prefix=f"{subject} ")
    }
    return {
        site: Known(ordered.get(site), observed.get(site))
        for site in sorted(ordered.keys() | observed.keys())
    }


def view_of(tx: Transaction, record: ApplicationRecord, operation: Operation) -> View:
    """What `replicas.step` may look at for this operation."""
    application, component = record.application, operation.key.component
    return View(
        component=component_view(tx, record, component),
        spec=spec_of(application, component),
        peers=peers_of(tx),
        uses=tuple(
            replace(component_view(tx, record, used), clients=clients_of(application, component, used))
            for used in used_by(application, component)
        ),
        consumers=tuple(
            replace(
                component_view(tx, record, consumer),
                clients=clients_of(application, consumer, component),
                endpoint=endpoint_view(tx, record, consumer),
            )
            for consumer in consumers_of(application, component)
        ),
        endpoint=endpoint_view(tx, record, component),
        tickets=_tickets(tx, operation.ticket),
        reach=joined_market(tx).reach,
    )


def component_view(tx: Transaction, record: ApplicationRecord, component: str) -> ComponentView:
    """A component and all its replicas that were ever ordered; what others say of it counts nothing."""
    key = key_of(record.name, component)
    replicas = {}
    for site, known in known_about(tx, f"replica/{key}").items():
        order = known.ordered.order if known.ordered else None
        if isinstance(order, ReplicaOrder):
            replicas[site] = ReplicaView(order=order, state=known.state(ReplicaState), told=known.told())
    return ComponentView(key=key, kind=record.application.components[component].kind, replicas=replicas)


def endpoint_view(tx: Transaction, record: ApplicationRecord, component: str) -> EndpointView | None:
    """The separate endpoint of an exposed component; None where it is not exposed."""
    wanted, placed = record.application.components[component], record.endpoints.get(component)
    if not isinstance(wanted, ContainerComponent) or wanted.expose is None or placed is None:
        return None
    bare = EndpointView(
        site=placed.placement.site,
        protocol=wanted.expose.protocol,
        listen_port=wanted.expose.listen_port,
        retries_unavailable=keeps_sessions(record.application, component),
    )
    known = known_about(tx, f"route/{record.name}/{component}")
    views = {site: _endpoint_at(bare, site, each) for site, each in known.items()}
    here = views.pop(bare.site, bare)
    return replace(here, others=tuple(views.values()))


def _endpoint_at(bare: EndpointView, site: str, known: Known) -> EndpointView:
    order = known.ordered.order if known.ordered else None
    return replace(
        bare,
        site=site,
        order=order if isinstance(order, RouteOrder) else None,
        state=known.state(RouteState),
        told=known.told(),
    )


def _tickets(tx: Transaction, ticket: str | None) -> dict[str, TicketView]:
    if ticket is None:
        return {}
    found = {}
    for site, known in known_about(tx, f"ticket/{ticket}").items():
        order = known.ordered.order if known.ordered else None
        found[site] = TicketView(
            order=order if isinstance(order, TicketOrder) else None,
            state=known.state(CutOverState),
            told=known.told(),
        )
    return found
