"""Hold before buy: an order's next state, and what to ask its sites. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from hanse.hub.records import HoldRecord, OrderRecord
from hanse.model.replica.observation import HoldState
from hanse.model.replica.order import HoldOrder
from hanse.replicas.holds import decide_holds

Wanted = Literal["held", "accepted", "released"]
ACCEPT_SECONDS = 600.0
"""How much longer sites have to confirm what they hold, so that a slow answer does not lose it."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """How an order goes on: its next state, and why if it is refused."""

    state: Literal["holding", "accepting", "accepted", "refused"]
    reason: str = ""


def decide(order: OrderRecord, state: str, heard: Mapping[str, HoldState | None], now: datetime) -> Purchase:
    """The next state of an order that is `holding` or `accepting`.

    `heard`: by hold, the site's answer to the newest hold order; None while it is silent.
    """
    confirming = state == "accepting"
    expires_at = _expires_at(order, "accepted" if confirming else "held")
    verdict = decide_holds(heard, confirming=confirming, expires_at=expires_at, now=now)
    match verdict.wanted:
        case "released":
            return Purchase("refused", _refusals(order, verdict.refusals))
        case "accepted":
            return Purchase("accepted" if confirming and verdict.settled else "accepting")
        case _:
            return Purchase("holding")


def hold_order(order: OrderRecord, hold: HoldRecord, wanted: Wanted) -> HoldOrder:
    """The level to hold at a site."""
    return HoldOrder(hold=hold.hold, lines=hold.lines, wanted=wanted, expires_at=_expires_at(order, wanted))


def _expires_at(order: OrderRecord, wanted: Wanted) -> datetime:
    return order.deadline + timedelta(seconds=0 if wanted == "held" else ACCEPT_SECONDS)


def _refusals(order: OrderRecord, refusals: Mapping[str, str]) -> str:
    words = [
        f"{hold.site} refused {hold.component}: {refusals[hold.hold]}"
        for hold in order.holds
        if hold.hold in refusals
    ]
    return f"{'; '.join(words)}. Everything was released, nothing was bought"
