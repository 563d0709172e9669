"""Hold before buy: what to ask the sites of an order next. Pure: all held, then all accepted, or none."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from hanse.hub.records import HoldRecord, OrderRecord
from hanse.model.replica.observation import HoldState
from hanse.model.replica.order import HoldOrder

Wanted = Literal["held", "accepted", "released"]
ACCEPT_SECONDS = 600.0
"""Added to a hold's expiry once it is bought, so that a slow answer cannot lose it."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """How an order goes on: its next state, and why if it is refused."""

    state: Literal["holding", "accepting", "accepted", "refused"]
    reason: str = ""


def decide(order: OrderRecord, state: str, heard: Mapping[str, HoldState | None], now: datetime) -> Purchase:
    """The next state of an order that is `holding` or `accepting`.

    `heard`: by hold, the site's answer to the newest hold order; None while it is silent.
    """
    for hold in order.holds:
        answer = heard.get(hold.hold)
        if answer is not None and answer.state in ("declined", "expired", "released"):
            return Purchase("refused", _refusal(hold, answer))
    answers = [heard.get(hold.hold) for hold in order.holds]
    if all(answer is not None and answer.state == "accepted" for answer in answers):
        return Purchase("accepted")
    if state == "accepting":
        return _still_accepting(order, now)
    if all(answer is not None for answer in answers):
        return Purchase("accepting")
    if now >= order.deadline:
        silent = sorted({hold.site for hold in order.holds if heard.get(hold.hold) is None})
        return Purchase("refused", f"{', '.join(silent)} did not answer in time; nothing was bought")
    return Purchase("holding")


def hold_order(order: OrderRecord, hold: HoldRecord, wanted: Wanted) -> HoldOrder:
    """The level to hold at a site."""
    expires_at = order.deadline + timedelta(seconds=0 if wanted == "held" else ACCEPT_SECONDS)
    return HoldOrder(hold=hold.hold, lines=hold.lines, wanted=wanted, expires_at=expires_at)


def _still_accepting(order: OrderRecord, now: datetime) -> Purchase:
    if now < order.deadline + timedelta(seconds=ACCEPT_SECONDS):
        return Purchase("accepting")
    return Purchase("refused", "not every site confirmed the purchase in time; nothing was bought")


def _refusal(hold: HoldRecord, answer: HoldState) -> str:
    why = f": {answer.reason}" if answer.reason else ""
    return f"{hold.site} {answer.state} the hold for {hold.component}{why}; nothing was bought"
