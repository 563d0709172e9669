"""The parts of an application that can move: its components, and the endpoints of those it exposes. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from hanse.hub.records import ApplicationRecord, ComponentRecord
from hanse.hub.spec import consumers_of, used_by
from hanse.model.market.plan import Placement
from hanse.model.shape import SiteId

ENDPOINT_SUFFIX = "-endpoint"


@dataclass(frozen=True, slots=True)
class Part:
    """One component, or one endpoint."""

    name: str
    """As plans name it."""
    component: str
    """Itself, or the component that the endpoint exposes."""
    kind: str
    """`container`, `bucket`, `postgres` or `endpoint`."""
    site: SiteId
    placement: Placement
    ways_back: tuple[Placement, ...] = ()
    """Where it stood before and is still bought, newest last."""
    way_back_site: SiteId | None = None
    """Where `--back` leads."""
    way_back_hold: str = ""

    @property
    def is_endpoint(self) -> bool:
        """True for the stable address of a component."""
        return self.kind == "endpoint"


def endpoint_name(component: str) -> str:
    """What plans call the endpoint of an exposed component."""
    return component + ENDPOINT_SUFFIX


def parts_of(record: ApplicationRecord) -> dict[str, Part]:
    """Every part by name: components first, then endpoints."""
    parts = [_component(name, each) for name, each in sorted(record.components.items())]
    parts += [_endpoint(record, name, each) for name, each in sorted(record.endpoints.items())]
    return {part.name: part for part in parts}


def bindings_of(record: ApplicationRecord) -> list[tuple[str, str]]:
    """(consumer, provider) between parts; an endpoint uses what it exposes."""
    found = [(name, used) for name in record.components for used in used_by(record.application, name)]
    return found + [(endpoint_name(name), name) for name in record.endpoints]


def neighbours(record: ApplicationRecord, part: Part) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Parts that this one must reach, and parts that must reach it."""
    if part.is_endpoint:
        return (part.component,), ()
    users = consumers_of(record.application, part.name)
    if part.name in record.endpoints:
        users += (endpoint_name(part.name),)
    return used_by(record.application, part.name), users


def price_of(placement: Placement) -> int:
    """Micro-euros a month."""
    return sum(line.micro_eur_per_month for line in placement.price)


def sites_of(parts: Mapping[str, Part]) -> dict[str, SiteId]:
    """Where every part is now."""
    return {name: part.site for name, part in parts.items()}


def _component(name: str, each: ComponentRecord) -> Part:
    back = each.way_back_placement
    return Part(
        name=name,
        component=name,
        kind=each.placement.kind,
        site=each.primary or each.placement.site,
        placement=each.placement,
        ways_back=(back,) if back is not None else (),
        way_back_site=each.way_back_site,
        way_back_hold=each.way_back_hold,
    )


def _endpoint(record: ApplicationRecord, component: str, each: ComponentRecord) -> Part:
    kept = tuple(one.placement for one in record.kept_addresses if one.component == component)
    return Part(
        name=each.placement.component,
        component=component,
        kind="endpoint",
        site=each.placement.site,
        placement=each.placement,
        ways_back=kept,
        way_back_site=kept[-1].site if kept else None,
    )
