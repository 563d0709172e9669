"""Endpoints as the status tells them: the stable address, and those that it had before."""

from hanse.hub.records import ApplicationRecord, ComponentRecord
from hanse.hub.views import Known, known_about
from hanse.model.application.file import ContainerComponent
from hanse.model.replica.observation import Failure, RouteState
from hanse.model.shape import MicroEur, Moment, Shape, SiteId
from hanse.ports import Transaction


class OldAddress(Shape):
    """An address that the endpoint had before it moved; it leads to the same place until then."""

    site: SiteId
    address: str = ""
    port: int = 0
    until: Moment
    price_micro_eur_per_month: MicroEur
    """As long as it stands."""


class EndpointStatus(Shape):
    """The stable address of an exposed component."""

    component: str
    site: SiteId
    protocol: str
    address: str = ""
    port: int = 0
    upstream_site: SiteId | None = None
    epoch: int = 0
    ready: bool = False
    failure: Failure | None = None
    old_addresses: tuple[OldAddress, ...] = ()
    """Oldest first."""


def endpoint_status(
    tx: Transaction, record: ApplicationRecord, name: str, placed: ComponentRecord
) -> EndpointStatus:
    """The endpoint of one exposed component."""
    site = placed.placement.site
    wanted = record.application.components[name]
    exposed = wanted.expose if isinstance(wanted, ContainerComponent) else None
    known = known_about(tx, f"route/{record.name}/{name}")
    here = known.get(site, Known(None, None))
    state = here.state(RouteState)
    return EndpointStatus(
        component=name,
        site=site,
        protocol=exposed.protocol if exposed else "tcp",
        address=state.address if state else "",
        port=state.port if state else 0,
        upstream_site=state.upstream_site if state else None,
        epoch=state.epoch if state else 0,
        ready=bool(state and state.ready),
        failure=here.observed.failure if here.observed else None,
        old_addresses=tuple(_old(record, name, {at: each.state(RouteState) for at, each in known.items()})),
    )


def _old(record: ApplicationRecord, component: str, states: dict[str, RouteState | None]) -> list[OldAddress]:
    found = []
    for kept in record.kept_addresses:
        if kept.component == component:
            state = states.get(kept.placement.site)
            old = OldAddress(
                site=kept.placement.site,
                address=state.address if state else "",
                port=state.port if state else 0,
                until=kept.until,
                price_micro_eur_per_month=sum(line.micro_eur_per_month for line in kept.placement.price),
            )
            found.append(old)
    return found
