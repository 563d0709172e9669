"""How long a plan takes: `python -m bench.plan [--quick]`, one JSON line. Times are milliseconds.

Each case is also divided by a plain scan of the same offers in the same run (reading site, size and price of
every offer once), so that a figure means the same on a busy machine.
"""

import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence

from hanse.catalogue.market import shipped_market
from hanse.matching.planner import match
from hanse.matching.verify import verify
from hanse.model.application.file import Application
from hanse.model.application.requirement import Mandate
from hanse.model.market.offer import Catalogue, Offer, Provider, Site
from hanse.model.market.plan import Plan
from hanse.rules.expand import expand

OFFERS = 5_000


def milliseconds(work: Callable[[], object], times: int) -> list[float]:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append((time.perf_counter() - start) * 1000)
    return taken


def scan(offers: Sequence[Offer]) -> int:
    """The least that any answer must do: look at every offer once."""
    return sum(
        1
        for offer in offers
        if offer.vcpu is not None and offer.vcpu >= 2 and offer.price_micro_eur_per_month and offer.site
    )


def synthetic(seed: int) -> Catalogue:
    """5,000 offers at 1,000 sites of 50 providers; prices and egress vary, nothing is blank."""
    dice = random.Random(seed)
    providers, sites, offers = [], [], []
    for number in range(50):
        owner = f"p{number:02}"
        providers.append(Provider(provider=owner, name=owner, country="IT", source="bench"))
        egress = dice.choice((0, 1_000, 10_000, 80_000))
        for hall in range(20):
            site = Site(
                site=f"{owner}/s{hall:02}",
                provider=owner,
                city=f"City {number} {hall}",
                country=dice.choice(("IT", "FR", "DE", "ES", "NL", "PL")),
                latitude=dice.uniform(36, 60),
                longitude=dice.uniform(-8, 25),
                kind="datacentre",
                source="bench",
            )
            sites.append(site)
            offers += [offer(dice, site.site, size, egress) for size in range(4)]
            offers.append(offer(dice, site.site, 4, egress))
    return Catalogue(version="bench", providers=tuple(providers), sites=tuple(sites), offers=tuple(offers))


def offer(dice: random.Random, site: str, size: int, egress: int) -> Offer:
    bucket = size == 4
    price = int(1_000_000 * 2**size * dice.uniform(2, 6))
    return Offer(
        site=site,
        kind="bucket" if bucket else "vm",
        name=f"n{size}",
        vcpu=None if bucket else 2**size,
        memory_gib=None if bucket else 2 ** (size + 1),
        disk_gib=None if bucket else 20 * 2**size,
        price_micro_eur_per_month=None if bucket else price,
        price_micro_eur_per_gib_month=dice.randint(5_000, 30_000) if bucket else None,
        egress_micro_eur_per_gib=egress,
        source="bench",
        as_of="2026-11",
    )


def application(containers: int, **policy: object) -> Mandate:
    """One bucket used by so many containers, the first exposed."""
    components: dict[str, object] = {"store": {"kind": "bucket", "size": {"storage_gib": 500}}}
    for number in range(containers):
        components[f"c{number}"] = {
            "kind": "container",
            "image": "sha256:" + "0" * 64,
            "size": {"vcpu": 1 + number % 4, "memory_gib": 2, "disk_gib": 10},
            "uses": [{"component": "store", "traffic_gib_per_month": 50 * number}],
            "expose": {"port": 80} if number == 0 else None,
        }
    given = {"hanse": 1, "name": "bench", "policy": policy, "components": components}
    mandate = expand(Application.model_validate(given), {}, {})
    assert isinstance(mandate, Mandate)
    return mandate


def rule(containers: int, level: str) -> list[dict[str, object]]:
    return [{"components": [f"c{number}" for number in range(containers)], "at": level}]


def figures(mandate: Mandate, catalogue: Catalogue, times: int) -> dict[str, object]:
    match(mandate, catalogue, market="all")
    taken = milliseconds(lambda: match(mandate, catalogue, market="all"), times)
    plain = statistics.median(milliseconds(lambda: scan(catalogue.offers), 20))
    answer = match(mandate, catalogue, market="all")
    wrong = verify(answer, mandate, catalogue) if isinstance(answer, Plan) else ()
    return {
        "median_ms": round(statistics.median(taken), 1),
        "max_ms": round(max(taken), 1),
        "ratio_to_scan": round(statistics.median(taken) / plain),
        "outcome": answer.outcome,
        "proved": answer.proved_optimal if isinstance(answer, Plan) else None,
        "violations": len(wrong),
    }


def main() -> None:
    times = 5 if "--quick" in sys.argv else 25
    shipped, large = shipped_market(), synthetic(7)
    cases = {
        "shipped_3": (application(2, countries="EU", assume_egress_eur_per_gib=0.05), shipped),
        "shipped_no_solution": (application(2, countries="EU", budget_eur_per_month=5), shipped),
        "synthetic_5000_3": (application(2), large),
        "synthetic_5000_12": (application(10), large),
        "synthetic_5000_12_apart_provider": (application(10, apart=rule(10, "provider")), large),
        "synthetic_5000_12_two_per_country_rules": (
            application(
                6, apart=rule(6, "country"), together=[{"components": ["store", "c1"], "at": "site"}]
            ),
            large,
        ),
    }
    result = {name: figures(mandate, catalogue, times) for name, (mandate, catalogue) in cases.items()}
    print(json.dumps({"bench": "plan", "load_average": os.getloadavg(), "repeats": times, **result}))


if __name__ == "__main__":
    main()
