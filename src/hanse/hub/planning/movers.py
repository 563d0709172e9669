"""Which parts of an application a wish concerns. Pure."""

from collections.abc import Callable, Mapping, Sequence

from hanse.hub.planning.parts import Part
from hanse.hub.planning.prefixes import provider_of
from hanse.hub.records import ApplicationRecord, MoveRequest
from hanse.model.country import COUNTRY_CODES, OFTEN_MEANT
from hanse.model.market.offer import Catalogue
from hanse.ports import Permanent

Parts = Sequence[Part]


def movers_of(
    record: ApplicationRecord, parts: Mapping[str, Part], request: MoveRequest, catalogue: Catalogue
) -> tuple[Part, ...]:
    """The parts that must leave their place; may be empty where only ways back end.

    Raises Permanent(`component-unknown`, `site-unknown`, `provider-unknown`, `country-unknown`, `same-site`,
    `no-way-back`, `nothing-to-move`).
    """
    asked = _asked(record, parts, request.component)
    what = record.name if request.component is None else f"{record.name}/{request.component}"
    if request.back:
        return _back(asked, what)
    if request.away_from is not None:
        return _away(asked, what, request.away_from, catalogue)
    if request.country is not None:
        country = request.country
        _require_country(country)
        return _to(asked, what, country, lambda site: _country_of(site, catalogue) == country)
    to = request.to or ""
    if "/" in to:
        _require_site(to, catalogue)
        return _to(asked, what, to, lambda site: site == to)
    _require_provider(to, catalogue)
    return _to(asked, what, to, lambda site: provider_of(site) == to)


def ways_back_ended(parts: Mapping[str, Part], request: MoveRequest, movers: Parts) -> tuple[str, ...]:
    """Parts that stay, but whose old place stands at the provider that is left; and old addresses there."""
    moving = {part.name for part in movers}
    return tuple(
        part.name
        for part in parts.values()
        if request.away_from is not None
        and request.component in (None, part.name)
        and (part.is_endpoint or part.name not in moving)
        and any(provider_of(each.site) == request.away_from for each in part.ways_back)
    )


def _asked(record: ApplicationRecord, parts: Mapping[str, Part], component: str | None) -> Parts:
    if component is None:
        return tuple(parts.values())
    if component not in parts:
        known = ", ".join(parts)
        raise Permanent("component-unknown", f"{record.name} has no component {component}; it has {known}.")
    return (parts[component],)


def _back(asked: Parts, what: str) -> tuple[Part, ...]:
    found = tuple(part for part in asked if part.way_back_site is not None)
    if not found:
        raise Permanent(
            "no-way-back",
            f"Nothing follows {what} at an old site any more. Move it with `--to SITE` instead.",
        )
    return found


def _away(asked: Parts, what: str, provider: str, catalogue: Catalogue) -> tuple[Part, ...]:
    _require_provider(provider, catalogue)
    found = tuple(part for part in asked if provider_of(part.site) == provider)
    back = {provider_of(each.site) for part in asked for each in part.ways_back}
    if not found and provider not in back:
        raise Permanent(
            "nothing-to-move",
            f"Nothing of {what} stands with {provider}: no component, no endpoint and no way back.",
        )
    return found


def _to(asked: Parts, what: str, to: str, there: Callable[[str], bool]) -> tuple[Part, ...]:
    found = tuple(part for part in asked if not there(part.site))
    if not found:
        all_of = "All of " if len(asked) > 1 else ""
        raise Permanent("same-site", f"{all_of}{what} is at {to} already. Name another place.")
    return found


def _country_of(site: str, catalogue: Catalogue) -> str:
    return next((each.country for each in catalogue.sites if each.site == site), "")


def _require_country(country: str) -> None:
    if country in COUNTRY_CODES:
        return
    meant = f" {OFTEN_MEANT[country]} is usually meant." if country in OFTEN_MEANT else ""
    raise Permanent(
        "country-unknown",
        f"{country} is no country code of ISO 3166-1.{meant} Two capital letters, such as IT or NO.",
    )


def _require_site(site: str, catalogue: Catalogue) -> None:
    if site not in catalogue.runs:
        known = ", ".join(sorted(catalogue.runs)) or "none"
        raise Permanent("site-unknown", f"No site {site} has joined this hub. Joined: {known}.")


def _require_provider(provider: str, catalogue: Catalogue) -> None:
    if all(each.provider != provider for each in catalogue.providers):
        raise Permanent("provider-unknown", f"No provider {provider} is known here. See `hanse providers`.")
