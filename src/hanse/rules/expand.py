"""From an application to its mandate: everything that must hold, each with the place it came from."""

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence

from hanse.model.application.file import Application, ContainerComponent, GroupRule, Place
from hanse.model.application.mistake import Lines, Mark, Mistake, Unreadable, mark_of, shown
from hanse.model.application.requirement import Demand, GroupRequirement, Mandate, Origin, Traffic
from hanse.rules.demand import FILE_RULE, Sources, demands_of

MICRO = 1_000_000
NAME_MAX = 60
Coordinates = tuple[float, float]


def expand(
    application: Application,
    lines: Lines,
    places: Mapping[str, Coordinates],
    *,
    providers: Collection[str] | None = None,
) -> Mandate | Unreadable:
    """Every demand and requirement of an application.

    `lines` comes from `read_application` and gives requirements their line numbers (may be empty).
    `places` maps the cities that the catalogue knows to (latitude, longitude); `providers` are the ids
    that it knows, None to accept any. A city or a provider that it does not know is a mistake of the
    file: these are the ones that need a catalogue to be seen.
    """
    known = {city.casefold(): where for city, where in places.items()}
    strangers = () if providers is None else _unknown_providers(application, lines, sorted(providers))
    mistakes = (*strangers, *_unknown_cities(application, lines, known, tuple(places)))
    if mistakes:
        ordered = tuple(sorted(mistakes, key=lambda one: (one.line, one.column)))
        return Unreadable(place=application.name, mistakes=ordered)
    points = tuple(_point(rule.to, known) for rule in application.policy.latency)
    sources = Sources(application, lines, points)
    demands: list[Demand] = []
    for name in application.components:
        demands.extend(demands_of(name, sources))
    assumed = application.policy.assume_egress_eur_per_gib
    return Mandate(
        application=application.name,
        demands=tuple(demands),
        group=tuple(_group(application, lines)),
        traffic=tuple(_traffic(application)),
        assume_egress_micro_eur_per_gib=None if assumed is None else round(assumed * MICRO),
    )


def _point(place: Place, known: Mapping[str, Coordinates]) -> Coordinates:
    if place.city is not None:
        return known[place.city.casefold()]
    return (place.latitude or 0.0, place.longitude or 0.0)


def _unknown_providers(application: Application, lines: Lines, known: list[str]) -> Iterator[Mistake]:
    policy = application.policy
    for list_name, listed in (
        ("providers", policy.providers),
        ("exclude_providers", policy.exclude_providers),
    ):
        for index, provider in enumerate(listed or ()):
            if provider not in known:
                field = f"policy.{list_name}[{index}]"
                what = f"the catalogue knows no provider {provider}"
                yield _mistake(
                    lines, field, what, f"{_nearest(provider, known)}an id that `hanse providers` lists"
                )


def _unknown_cities(
    application: Application, lines: Lines, known: Mapping[str, Coordinates], cities: tuple[str, ...]
) -> Iterator[Mistake]:
    for index, rule in enumerate(application.policy.latency):
        city = rule.to.city
        if city is not None and city.casefold() not in known:
            what = f"no site of the catalogue is in a city named {shown(city)}, so its position is not known"
            allowed = (
                f"{_nearest(city, cities)}a city of the catalogue, or latitude and longitude in its place"
            )
            yield _mistake(lines, f"policy.latency[{index}].to.city", what, allowed)


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name[:NAME_MAX], known, n=3)
    return f"{' or '.join(near)}, or " if near else ""


def _mistake(lines: Lines, field: str, what: str, allowed: str) -> Mistake:
    mark = mark_of(lines, field)
    return Mistake(line=mark.line, column=mark.column, field=field, what=what, allowed=allowed)


def _origin(lines: Lines, field: str) -> Origin:
    mark: Mark | None = lines.get(field)
    return Origin(rule=FILE_RULE, line=None if mark is None else mark.line)


def _group(application: Application, lines: Lines) -> Iterator[GroupRequirement]:
    policy = application.policy
    for index, rule in enumerate(policy.apart):
        yield GroupRequirement(
            id=f"apart-{index + 1}",
            kind="apart",
            components=rule.components,
            level=rule.at,
            says=f"{_names(rule)} stand at different {_plural(rule.at)}",
            origin=_origin(lines, f"policy.apart[{index}]"),
        )
    for index, rule in enumerate(policy.together):
        yield GroupRequirement(
            id=f"together-{index + 1}",
            kind="together",
            components=rule.components,
            level=rule.at,
            says=f"{_names(rule)} stand at one {rule.at}",
            origin=_origin(lines, f"policy.together[{index}]"),
        )
    if policy.budget_eur_per_month is not None:
        yield GroupRequirement(
            id="budget",
            kind="budget",
            limit_micro_eur_per_month=round(policy.budget_eur_per_month * MICRO),
            says=f"all together cost at most {policy.budget_eur_per_month:.2f} EUR a month",
            origin=_origin(lines, "policy.budget_eur_per_month"),
        )


def _names(rule: GroupRule) -> str:
    return f"{', '.join(rule.components[:-1])} and {rule.components[-1]}"


def _plural(level: str) -> str:
    return {"country": "countries"}.get(level, f"{level}s")


def _traffic(application: Application) -> Iterator[Traffic]:
    """One of each binding, also of those that cost nothing: an endpoint keeps away from what is used."""
    for name, component in application.components.items():
        if isinstance(component, ContainerComponent):
            for use in component.uses:
                yield Traffic(
                    from_component=use.component, to_component=name, gib_per_month=use.traffic_gib_per_month
                )
