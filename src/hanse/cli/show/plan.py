"""A plan, or the reasons why there is none, as text."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hanse.cli.show.table import eur, table

Document = Mapping[str, Any]
REJECTIONS_MAX = 12
NOT_SIGNED = "mandate: not signed · data at rest: not encrypted"


def plan_lines(planned: Document) -> list[str]:
    """The answer to `POST /v1/plans`, whole."""
    plan = planned["plan"]
    body = _placed(planned) if plan["outcome"] == "plan" else _none(planned)
    return [*body, *_rejected(plan), *_relaxed(plan), "", NOT_SIGNED]


def _placed(planned: Document) -> Iterator[str]:
    plan = planned["plan"]
    yield (
        f"{planned['application']}: {eur(plan['price_micro_eur_per_month'])} EUR a month ({planned['id']}, "
        f"{_market(plan)}, {plan['offers_seen']} offers seen)"
    )
    yield ""
    yield from placement_lines(plan["placements"])
    for line in plan["traffic"]:
        yield f"traffic {line['what']}: {eur(line['micro_eur_per_month'])} EUR = {line['how']}"
    for placed in plan["placements"]:
        yield from (f"note on {placed['component']}: {note}" for note in placed["notes"])
    if not plan["proved_optimal"]:
        yield "not proved to be the cheapest: the search ended before it was sure"
    yield from _beside(plan, planned.get("listed"))


def placement_lines(placements: Sequence[Document]) -> list[str]:
    """What stands where, its price a month, and what that is made of."""
    rows = [
        (
            placed["component"],
            placed["kind"],
            placed["site"],
            _offer(placed),
            eur(sum(line["micro_eur_per_month"] for line in placed["price"])),
            " + ".join(line["how"] for line in placed["price"]),
        )
        for placed in placements
    ]
    return table(("component", "kind", "site", "offer", "EUR/month", "made of"), rows, right=[4])


def _offer(placed: Document) -> str:
    names = [offer.partition(":")[2] for offer in (placed["offer"], placed.get("volume", "")) if offer]
    words = " + ".join(names) or "-"
    return words if placed["bookable"] or not placed["offer"] else f"{words} (listed only)"


def _beside(plan: Document, listed: Document | None) -> Iterator[str]:
    """The optimum over everything that is listed, which nobody here sells yet."""
    if listed is None or listed["outcome"] != "plan":
        return
    difference = plan["price_micro_eur_per_month"] - listed["price_micro_eur_per_month"]
    yield ""
    if _pairs(plan) == _pairs(listed):
        yield "listed optimum: the same; no listed offer of a site that has not joined is better"
        return
    yield (
        f"listed optimum: {eur(listed['price_micro_eur_per_month'])} EUR a month, {eur(difference)} EUR less "
        "if these sold through this hub (nobody has joined for those marked):"
    )
    yield from placement_lines(listed["placements"])


def _pairs(plan: Document) -> set[tuple[str, str, str]]:
    return {(placed["component"], placed["site"], placed["offer"]) for placed in plan["placements"]}


def _none(planned: Document) -> Iterator[str]:
    plan = planned["plan"]
    yield (
        f"{planned['application']}: no solution ({planned['id']}, {_market(plan)}, "
        f"{plan['offers_seen']} offers seen)"
    )
    if not plan["proved"]:
        yield "not proved: the search ended before it was sure; there may be a plan after all"
    if not plan["offers_seen"]:
        yield "Nobody sells here yet. `hanse invite PROVIDER/SITE` lets a site join; --market plans over all."
    for conflict in plan["conflicts"]:
        yield ""
        yield "these cannot hold together:" if len(conflict["says"]) > 1 else "this cannot hold:"
        yield from (
            f"  {name}: {says}" for name, says in zip(conflict["requirements"], conflict["says"], strict=True)
        )
    listed = planned.get("listed")
    if listed is not None and listed["outcome"] == "plan":
        yield ""
        yield (
            f"over listed offers too there is a plan for {eur(listed['price_micro_eur_per_month'])} EUR a "
            "month, but nobody sells these through this hub:"
        )
        yield from placement_lines(listed["placements"])


def _market(plan: Document) -> str:
    return "over bookable offers" if plan["market"] == "bookable" else "over the whole listed market"


def _rejected(plan: Document) -> Iterator[str]:
    rejections = sorted(plan["rejections"], key=lambda each: -each["rejected"])
    if not rejections:
        return
    yield ""
    rows = [
        (
            each["requirement"],
            str(each["rejected"]),
            str(each["rejected_alone"]),
            each["says"] + _where(each["origin"]),
        )
        for each in rejections[:REJECTIONS_MAX]
    ]
    yield from table(("requirement", "rejected", "it alone", "says"), rows, right=[1, 2])
    if len(rejections) > REJECTIONS_MAX:
        yield f"… and {len(rejections) - REJECTIONS_MAX} more requirements; --json has all"


def _where(origin: Document) -> str:
    return f" (line {origin['line']})" if origin["line"] else f" ({origin['rule']})"


def _relaxed(plan: Document) -> Iterator[str]:
    relaxations = plan["relaxations"]
    if relaxations:
        yield ""
        yield f"the change that would open most: {relaxations[0]['says']}"
