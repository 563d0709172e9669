"""What must agree between the fields of an application file."""

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from hanse.model.application.file import (
    Component,
    ContainerComponent,
    Countries,
    GroupRule,
    Place,
    Policy,
    PostgresComponent,
    databases_of,
)
from hanse.model.application.mistake import shown
from hanse.model.country import COUNTRY_CODES, OFTEN_MEANT

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "bucket": ("endpoint", "bucket", "access_key", "secret_key", "region"),
    "postgres": ("host", "port", "user", "password", "database", "url"),
}
"""What `${component.field}` may name, by kind of the component that is used."""
SECRET_FIELDS: Final = ("access_key", "secret_key", "password", "url")
RESERVED_DATABASES: Final = ("postgres", "template0", "template1")
"""Every PostgreSQL server has these for itself."""
NAME_MAX: Final = 40
_PLACE: Final = "city, or latitude and longitude"
_REFERENCE: Final = re.compile(r"\$\{([^}]*)(\}?)")
Components = Mapping[str, Component]


@dataclass(frozen=True, slots=True)
class Flaw:
    """A mistake without its place in the text."""

    field: str
    what: str
    allowed: str


def flaws_of(components: Components, names: Collection[str], policy: Policy) -> Iterator[Flaw]:
    """Every disagreement. `components`: those that can be read; `names`: all that the file has."""
    yield from _policy(policy, names)
    for name, component in components.items():
        if component.countries is not None:
            yield from _countries(f"components.{name}.countries", component.countries)
        if isinstance(component, ContainerComponent):
            yield from _uses(name, component, components, names)
            yield from _references(name, component, components)
            yield from _endpoint(name, component, names)
        if isinstance(component, PostgresComponent):
            yield from _databases(name, component)


def _policy(policy: Policy, names: Collection[str]) -> Iterator[Flaw]:
    if policy.countries is not None:
        yield from _countries("policy.countries", policy.countries)
    for what in ("apart", "together"):
        rules: tuple[GroupRule, ...] = getattr(policy, what)
        for index, rule in enumerate(rules):
            yield from _members(f"policy.{what}[{index}].components", rule.components, names)
    for index, latency in enumerate(policy.latency):
        if latency.component not in names:
            yield _no_component(f"policy.latency[{index}].component", latency.component, names)
        yield from _place(f"policy.latency[{index}].to", latency.to)
    both = sorted(set(policy.providers or ()) & set(policy.exclude_providers))
    for index, provider in enumerate(policy.exclude_providers):
        if provider in both:
            what = f"{provider} is also in policy.providers"
            yield Flaw(f"policy.exclude_providers[{index}]", what, "each provider in one of the two lists")


def _countries(field: str, countries: Countries) -> Iterator[Flaw]:
    if isinstance(countries, str):
        return
    for index, code in enumerate(countries):
        if code not in COUNTRY_CODES:
            group = "; for all its countries write `countries: EU`" if code == "EU" else ""
            meant = f'did you mean "{OFTEN_MEANT[code]}"?' if code in OFTEN_MEANT else "a code of ISO 3166-1"
            yield Flaw(f"{field}[{index}]", f"{code} is the code of no country", meant + group)


def _members(field: str, members: tuple[str, ...], names: Collection[str]) -> Iterator[Flaw]:
    for index, member in enumerate(members):
        if member not in names:
            yield _no_component(f"{field}[{index}]", member, names)
        elif member in members[:index]:
            yield Flaw(f"{field}[{index}]", f"{member} is named twice", "each component once")


def _no_component(field: str, name: str, names: Collection[str]) -> Flaw:
    near = difflib.get_close_matches(name[:NAME_MAX], names, n=1)
    allowed = f"did you mean {near[0]}?" if near else f"one of {shown(', '.join(sorted(names)))}"
    return Flaw(field, f"there is no component {shown(name)}", allowed)


def _place(field: str, place: Place) -> Iterator[Flaw]:
    point = (place.latitude, place.longitude)
    given = sum(one is not None for one in point)
    if (place.city is None) == (given == 0) or given == 1:
        yield Flaw(field, "a place is a city or a point, and this is neither or both", _PLACE)


def _uses(
    name: str, component: ContainerComponent, components: Components, names: Collection[str]
) -> Iterator[Flaw]:
    usable = sorted(one for one, other in components.items() if other.kind in FIELDS)
    for index, use in enumerate(component.uses):
        field = f"components.{name}.uses[{index}]"
        used = components.get(use.component)
        if use.component not in names:
            yield _no_component(f"{field}.component", use.component, names)
        elif used is not None and used.kind not in FIELDS:
            allowed = f"one of {', '.join(usable)}" if usable else "a component of kind bucket or postgres"
            what = f"{use.component} is a {used.kind}; only buckets and databases can be used so far"
            yield Flaw(f"{field}.component", what, allowed)
        elif use.component in [other.component for other in component.uses[:index]]:
            yield Flaw(f"{field}.component", f"{use.component} is used twice", "each component once")
        if use.clients is not None and used is not None and used.kind != "postgres":
            what = f"clients says how a database is used, and {use.component} is a {used.kind}"
            yield Flaw(f"{field}.clients", what, "leave it out here")


def _databases(name: str, component: PostgresComponent) -> Iterator[Flaw]:
    for index, database in enumerate(databases_of(name, component)):
        where = f"databases[{index}]" if component.databases else "databases"
        if database in RESERVED_DATABASES:
            what = f"every PostgreSQL server has a database {database} for itself"
            yield Flaw(f"components.{name}.{where}", what, "another name for the database, in `databases`")
        elif database in component.databases[:index]:
            yield Flaw(f"components.{name}.{where}", f"{database} is named twice", "each database once")
    for index, extension in enumerate(component.extensions):
        if extension in component.extensions[:index]:
            field = f"components.{name}.extensions[{index}]"
            yield Flaw(field, f"{extension} is named twice", "each extension once")


def _references(name: str, component: ContainerComponent, components: Components) -> Iterator[Flaw]:
    texts = {f"components.{name}.env.{key}": value for key, value in component.env.items()}
    used = {use.component for use in component.uses}
    known = {one: components[one].kind for one in used if one in components}
    known = {one: kind for one, kind in known.items() if kind in FIELDS}
    for field, text in texts.items():
        yield from _referenced(field, text, used, known)
    for index, text in enumerate(component.command):
        field = f"components.{name}.command[{index}]"
        yield from _referenced(field, text, used, known)
        for match in _REFERENCE.finditer(text):
            if match.group(1).rpartition(".")[2] in SECRET_FIELDS:
                what = f"${{{match.group(1)}}} is a secret, and commands can be read by others on the machine"
                yield Flaw(field, what, "pass it in env")


def _referenced(field: str, text: str, used: Collection[str], known: Mapping[str, str]) -> Iterator[Flaw]:
    for match in _REFERENCE.finditer(text):
        target, _, part = match.group(1).rpartition(".")
        written = f"${{{shown(match.group(1))}{match.group(2)}"
        if not match.group(2) or not target:
            yield Flaw(field, f"{written} refers to nothing", "${component.field} of a component in `uses`")
        elif target not in used:
            allowed = f"one of {', '.join(sorted(used))}" if used else "a component that `uses` names"
            yield Flaw(field, f"{written}: {shown(target)} is not in this component's `uses`", allowed)
        elif target in known and part not in FIELDS[known[target]]:
            allowed = f"one of {', '.join(FIELDS[known[target]])}"
            yield Flaw(field, f"{written}: a {known[target]} has no field {shown(part)}", allowed)


def _endpoint(name: str, component: ContainerComponent, names: Collection[str]) -> Iterator[Flaw]:
    if component.expose is None:
        return
    endpoint = f"{name}-endpoint"
    if endpoint in names:
        what = f"its endpoint is called {endpoint}, and so is a component"
        yield Flaw(f"components.{name}.expose", what, f"another name than {endpoint} for that component")
    if len(endpoint) > NAME_MAX:
        what = f"its endpoint would be called {endpoint}, which is too long"
        allowed = f"a name of at most {NAME_MAX - len('-endpoint')} characters for the component"
        yield Flaw(f"components.{name}.expose", what, allowed)
