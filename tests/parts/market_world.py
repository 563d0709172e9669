"""Small markets and mandates made from a seed, odd on purpose: blanks, few units, ties, every group rule."""

import random

from hanse.model.application.requirement import (
    AllOf,
    Compare,
    Demand,
    GroupRequirement,
    Mandate,
    Origin,
    Requirement,
    Traffic,
)
from hanse.model.market.offer import Catalogue, Offer, Provider, Site
from hanse.model.shape import canonical_bytes, digest_of

FILE = Origin(rule="application file", line=1)
COUNTRIES = ("IT", "FR", "DE")


def versioned(catalogue: Catalogue) -> Catalogue:
    return catalogue.model_copy(update={"version": digest_of(canonical_bytes(catalogue))})


def provider(name: str) -> Provider:
    return Provider(provider=name, name=name.title(), country="IT", source="a test")


def site(name: str, country: str = "IT", place: tuple[float, float] = (45.0, 9.0)) -> Site:
    return Site(
        site=name,
        provider=name.partition("/")[0],
        city=name,
        country=country,
        latitude=place[0],
        longitude=place[1],
        kind="datacentre",
        source="a test",
    )


def vm(where: str, name: str, price: int | None, **facts: object) -> Offer:
    given = {"vcpu": 2.0, "memory_gib": 4.0, "disk_gib": 20.0, "egress_micro_eur_per_gib": 0, **facts}
    return Offer.model_validate(
        {
            "site": where,
            "kind": "vm",
            "name": name,
            "price_micro_eur_per_month": price,
            "source": "a test",
            "as_of": "2026-11",
            **given,
        }
    )


def per_gib(where: str, kind: str, name: str, price: int | None, **facts: object) -> Offer:
    return Offer.model_validate(
        {
            "site": where,
            "kind": kind,
            "name": name,
            "price_micro_eur_per_gib_month": price,
            "source": "a test",
            "as_of": "2026-11",
            **facts,
        }
    )


def market(sites: list[Site], offers: list[Offer], **more: object) -> Catalogue:
    names = sorted({each.provider for each in sites})
    return versioned(
        Catalogue.model_validate(
            {
                "version": "",
                "providers": tuple(provider(name) for name in names),
                "sites": tuple(sites),
                "offers": tuple(offers),
                **more,
            }
        )
    )


def asks(component: str, what: str, fact: str, test: str, value: object) -> Requirement:
    compare = Compare.model_validate({"fact": fact, "test": test, "value": value})
    return Requirement(
        id=f"{component}.{what}",
        component=component,
        says=f"{component}: {fact} {test} {value}",
        expression=AllOf(parts=(compare,)),
        origin=FILE,
    )


def random_market(dice: random.Random) -> Catalogue:
    sites, offers = [], []
    for number in range(dice.randint(1, 4)):
        for hall in range(dice.randint(1, 2)):
            where = f"p{number}/s{hall}"
            place = (dice.choice((41.0, 45.0, 52.0)), dice.choice((2.0, 9.0, 12.0)))
            sites.append(site(where, dice.choice(COUNTRIES), place))
            offers += [_random_vm(dice, where, at) for at in range(dice.randint(0, 2))]
            offers += [_random_managed(dice, where) for _ in range(dice.randint(0, 1))]
            offers += [_random_per_gib(dice, where, "bucket", at) for at in range(dice.randint(0, 2))]
            offers += [_random_per_gib(dice, where, "volume", at) for at in range(dice.randint(0, 2))]
    joined = [each.site for each in sites if dice.random() < 0.7]
    pairs = [(one.site, other.site) for one in sites for other in sites if one is not other]
    return market(
        sites,
        offers,
        runs=dict.fromkeys(joined, ("container", "bucket", "endpoint")),
        endpoint_micro_eur_per_month={name: dice.choice((0, 5, 30)) for name in joined},
        rtt_ms={f"{one}>{other}": dice.choice((3.0, 12.0)) for one, other in pairs if dice.random() < 0.2},
    )


def _random_vm(dice: random.Random, where: str, at: int) -> Offer:
    return vm(
        where,
        f"vm{at}",
        dice.choice((None, 10, 20, 20, 35, 60)),
        vcpu=dice.choice((None, 1.0, 2.0, 4.0)),
        disk_gib=dice.choice((None, 0.0, 0.0, 20.0)),
        egress_micro_eur_per_gib=dice.choice((None, 0, 1, 4)),
        free_units=dice.choice((None, None, 0, 1, 2)),
        bookable=dice.random() < 0.8,
    )


def _random_managed(dice: random.Random, where: str) -> Offer:
    return _random_vm(dice, where, 0).model_copy(update={"kind": "postgres", "name": "managed"})


def _random_per_gib(dice: random.Random, where: str, kind: str, at: int) -> Offer:
    return per_gib(
        where,
        kind,
        f"{kind}{at}",
        dice.choice((None, 1, 2, 3)),
        egress_micro_eur_per_gib=dice.choice((None, 0, 1, 4)),
        free_units=dice.choice((None, None, 0, 1, 2)),
        bookable=dice.random() < 0.8,
    )


def random_mandate(dice: random.Random) -> Mandate:
    names = ["a", "b", "c"][: dice.randint(1, 3)]
    demands = [_random_demand(dice, name) for name in names]
    if dice.random() < 0.4:
        demands.append(Demand(component="a-endpoint", kind="endpoint", offer_kinds=(), requirements=()))
        names = [*names, "a-endpoint"]
    traffic = [
        Traffic(from_component=one, to_component=other, gib_per_month=dice.choice((0, 0.5, 3, 10)))
        for one in names
        for other in names
        if one != other and "-" not in one + other and dice.random() < 0.4
    ]
    return Mandate(
        application="app",
        demands=tuple(demands),
        group=tuple(_random_groups(dice, names)),
        traffic=tuple(traffic),
        assume_egress_micro_eur_per_gib=dice.choice((None, None, 2)),
    )


def _random_demand(dice: random.Random, name: str) -> Demand:
    kind = dice.choice(("container", "container", "postgres", "bucket", "bucket"))
    asked = []
    if dice.random() < 0.5:
        asked.append(asks(name, "countries", "site.country", "in", tuple(dice.sample(COUNTRIES, 2))))
    if kind != "bucket" and dice.random() < 0.6:
        asked.append(asks(name, "vcpu", "offer.vcpu", "ge", dice.choice((1.0, 2.0, 4.0))))
    if dice.random() < 0.3:
        asked.append(asks(name, "free", "offer.available", "eq", True))
    if dice.random() < 0.3:
        asked.append(asks(name, "latency-1", "rtt_ms:45,9", "le", dice.choice((3.0, 14.0))))
    return Demand(
        component=name,
        kind=kind,
        offer_kinds={"container": ("vm",), "postgres": ("vm", "postgres"), "bucket": ("bucket",)}[kind],
        storage_gib=dice.choice((0.3, 4, 10)) if kind != "container" or dice.random() < 0.8 else None,
        requirements=tuple(asked),
    )


def _random_groups(dice: random.Random, names: list[str]) -> list[GroupRequirement]:
    groups: list[GroupRequirement] = []
    for number in range(dice.randint(0, 2) if len(names) > 1 else 0):
        kind = dice.choice(("apart", "together", "latency-between"))
        groups.append(
            GroupRequirement.model_validate(
                {
                    "id": f"{kind}-{number}",
                    "kind": kind,
                    "components": tuple(dice.sample(names, dice.randint(2, len(names)))),
                    "level": None if "latency" in kind else dice.choice(("site", "provider", "country")),
                    "limit_ms": dice.choice((4.0, 14.0)) if "latency" in kind else None,
                    "says": kind,
                    "origin": FILE,
                }
            )
        )
    if dice.random() < 0.4:
        members = () if dice.random() < 0.7 else tuple(dice.sample(names, 1))
        limit = dice.choice((15, 40, 70, 120))
        groups.append(
            GroupRequirement(
                id="budget",
                kind="budget",
                components=members,
                limit_micro_eur_per_month=limit,
                says="budget",
                origin=FILE,
            )
        )
    return groups
