"""What one component has to buy, and every requirement on it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from hanse.model.application.file import (
    Application,
    BucketComponent,
    ContainerComponent,
    Countries,
    PostgresComponent,
)
from hanse.model.application.mistake import Lines
from hanse.model.application.requirement import (
    AllOf,
    AnyOf,
    Compare,
    Demand,
    Expression,
    Origin,
    Requirement,
    Scalar,
)
from hanse.rules.countries import GROUP_NAMES, GROUPS
from hanse.rules.facts import rtt_fact

FILE_RULE = "application file"
DEFAULT_RULE = "hanse default"
Test = Literal["eq", "ne", "lt", "le", "gt", "ge", "in", "not_in"]


@dataclass(frozen=True, slots=True)
class Sources:
    """What requirements are made from: the application, its line numbers, its latency rules' places."""

    application: Application
    lines: Lines
    points: tuple[tuple[float, float], ...]

    def origin(self, field: str) -> Origin:
        """The line of a field, or the default where the file does not state it."""
        mark = self.lines.get(field)
        return Origin(rule=FILE_RULE, line=None if mark is None else mark.line)

    def origin_or_default(self, field: str, *, stated: bool) -> Origin:
        """The line of a field if the buyer stated it."""
        return self.origin(field) if stated else Origin(rule=DEFAULT_RULE)


@dataclass(frozen=True, slots=True)
class _Draft:
    what: str
    says: str
    expression: Expression
    origin: Origin


def demands_of(name: str, sources: Sources) -> tuple[Demand, ...]:
    """The component's own demand, and one for its endpoint if it is exposed."""
    component = sources.application.components[name]
    if isinstance(component, BucketComponent):
        return (
            Demand(
                component=name,
                kind="bucket",
                offer_kinds=("bucket",),
                storage_gib=component.size.storage_gib,
                requirements=_named(name, _bucket(name, sources)),
            ),
        )
    if isinstance(component, PostgresComponent):
        return (
            Demand(
                component=name,
                kind="postgres",
                offer_kinds=("vm", "postgres"),
                storage_gib=component.size.storage_gib,
                requirements=_named(name, _postgres(name, component, sources)),
            ),
        )
    own = Demand(
        component=name,
        kind="container",
        offer_kinds=("vm",),
        storage_gib=component.size.disk_gib,
        requirements=_named(name, _container(name, component, sources)),
    )
    return (own,) if component.expose is None else (own, _endpoint(name, sources))


def _endpoint(owner: str, sources: Sources) -> Demand:
    name = f"{owner}-endpoint"
    drafts = (_runs(name, "endpoint"), *_where(name, owner, sources))
    return Demand(component=name, kind="endpoint", offer_kinds=(), requirements=_named(name, drafts))


def _named(name: str, drafts: Iterator[_Draft] | tuple[_Draft, ...]) -> tuple[Requirement, ...]:
    return tuple(
        Requirement(
            id=f"{name}.{draft.what}",
            component=name,
            says=draft.says,
            expression=draft.expression,
            origin=draft.origin,
        )
        for draft in drafts
    )


def _container(name: str, component: ContainerComponent, sources: Sources) -> Iterator[_Draft]:
    yield from _offer(name, ("vm",), "container")
    yield from _size(name, (component.size.vcpu, component.size.memory_gib), sources)
    stated = "disk_gib" in component.size.model_fields_set
    origin = sources.origin_or_default(f"components.{name}.size.disk_gib", stated=stated)
    yield _disk(name, component.size.disk_gib, origin, _APART)
    yield from _egress(name, sources)
    yield from _where(name, name, sources)


def _postgres(name: str, component: PostgresComponent, sources: Sources) -> Iterator[_Draft]:
    """Managed offers too: that they cannot be moved from is judged where something is bought."""
    yield from _offer(name, ("vm", "postgres"), "postgres")
    yield from _size(name, (component.size.vcpu, component.size.memory_gib), sources)
    origin = sources.origin(f"components.{name}.size.storage_gib")
    yield _disk(name, component.size.storage_gib, origin, (_is("offer.kind", "vm"), *_APART))
    yield from _egress(name, sources)
    yield from _where(name, name, sources)


def _bucket(name: str, sources: Sources) -> Iterator[_Draft]:
    yield from _offer(name, ("bucket",), "bucket")
    yield from _egress(name, sources)
    yield from _where(name, name, sources)


def _offer(name: str, offer_kinds: tuple[str, ...], kind: str) -> Iterator[_Draft]:
    default = Origin(rule=DEFAULT_RULE)
    says = f"{name} ({kind}) is carried by an offer of kind {_either(offer_kinds)}"
    carries = (
        _is("offer.kind", offer_kinds[0])
        if len(offer_kinds) == 1
        else Compare(fact="offer.kind", test="in", value=offer_kinds)
    )
    yield _Draft("kind", says, carries, default)
    yield _Draft("price", f"the price of {name}'s offer is known", _is("offer.price_known", True), default)
    yield _Draft("free", f"{name}'s offer has a free unit", _is("offer.available", True), default)
    yield _runs(name, kind)


def _runs(name: str, kind: str) -> _Draft:
    expression = AnyOf(parts=(_is("site.joined", False), _is("site.runs", kind)))
    says = f"{name}'s site, if it has joined, can run a component of kind {kind}"
    return _Draft("runs", says, expression, Origin(rule=DEFAULT_RULE))


def _size(name: str, wanted: tuple[float, float], sources: Sources) -> Iterator[_Draft]:
    field = f"components.{name}.size"
    vcpu, memory_gib = wanted
    yield _Draft(
        "vcpu",
        f"{name} gets at least {vcpu:g} vCPU",
        _at_least("offer.vcpu", vcpu),
        sources.origin(f"{field}.vcpu"),
    )
    yield _Draft(
        "memory",
        f"{name} gets at least {memory_gib:g} GiB of memory",
        _at_least("offer.memory_gib", memory_gib),
        sources.origin(f"{field}.memory_gib"),
    )


def _disk(name: str, disk_gib: float, origin: Origin, apart: tuple[Compare, ...]) -> _Draft:
    """In the offer, or beside it where `apart` holds."""
    says = f"{name} gets at least {disk_gib:g} GiB of disk, in its offer or as a volume bought beside it"
    return _Draft(
        "disk", says, AnyOf(parts=(_at_least("offer.disk_gib", disk_gib), AllOf(parts=apart))), origin
    )


def _egress(name: str, sources: Sources) -> Iterator[_Draft]:
    """Only where something flows out of `name` and no price may be assumed."""
    if sources.application.policy.assume_egress_eur_per_gib is not None:
        return
    for user, component in sources.application.components.items():
        uses = component.uses if isinstance(component, ContainerComponent) else ()
        for index, use in enumerate(uses):
            if use.component == name and use.traffic_gib_per_month > 0:
                says = (
                    f"the egress price of {name}'s offer is known, because {use.traffic_gib_per_month:g} GiB "
                    f"a month flow to {user}"
                )
                origin = sources.origin(f"components.{user}.uses[{index}].traffic_gib_per_month")
                yield _Draft("egress", says, _is("offer.egress_known", True), origin)
                return


def _where(name: str, owner: str, sources: Sources) -> Iterator[_Draft]:
    """What holds for every place that `owner`'s data passes through, its endpoint included."""
    policy = sources.application.policy
    own = sources.application.components[owner].countries
    if policy.countries is not None:
        yield _countries(name, "countries", policy.countries, sources.origin("policy.countries"))
    if own is not None:
        origin = sources.origin(f"components.{owner}.countries")
        yield _countries(name, "own-countries", own, origin)
    if policy.providers is not None:
        says = f"{name} is at {_either(policy.providers)}"
        expression = Compare(fact="provider.id", test="in", value=policy.providers)
        yield _Draft("providers", says, expression, sources.origin("policy.providers"))
    if policy.exclude_providers:
        says = f"{name} is not at {_either(policy.exclude_providers)}"
        expression = Compare(fact="provider.id", test="not_in", value=policy.exclude_providers)
        yield _Draft("exclude-providers", says, expression, sources.origin("policy.exclude_providers"))
    yield from _latency(name, owner, sources)


def _countries(name: str, what: str, countries: Countries, origin: Origin) -> _Draft:
    codes = GROUPS[countries] if isinstance(countries, str) else countries
    group = f"{GROUP_NAMES[countries]} ({len(codes)} countries)" if isinstance(countries, str) else ""
    says = f"{name} stands in {group or _either(codes)}"
    return _Draft(what, says, Compare(fact="site.country", test="in", value=codes), origin)


def _latency(name: str, owner: str, sources: Sources) -> Iterator[_Draft]:
    for index, rule in enumerate(sources.application.policy.latency):
        if rule.component == owner:
            place = sources.points[index]
            where = rule.to.city or f"{place[0]:g}, {place[1]:g}"
            yield _Draft(
                f"latency-{index + 1}",
                f"{name} is within {rule.max_ms:g} ms (round trip) of {where}",
                Compare(fact=rtt_fact(*place), test="le", value=rule.max_ms),
                sources.origin(f"policy.latency[{index}]"),
            )


def _either(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _is(fact: str, value: Scalar) -> Compare:
    return Compare(fact=fact, test="eq", value=value)


def _at_least(fact: str, value: float) -> Compare:
    return Compare(fact=fact, test="ge", value=value)


_APART = (_is("offer.disk_gib", 0), _is("site.volume_price_known", True))
"""Block storage is bought beside the offer."""
