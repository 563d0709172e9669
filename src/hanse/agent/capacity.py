"""Holds: the site's own word on its capacity and prices. Nobody else decides about them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hanse.agent.parts import Parts
from hanse.agent.place.file import OfferEntry, SiteFile, micro_eur, month_price
from hanse.agent.post.outbox import Outbox
from hanse.model.replica.instruction import Instruction
from hanse.model.replica.observation import HoldState
from hanse.model.replica.order import HoldLine, HoldOrder

_TABLE = "hold"
_TAKING = ("held", "accepted")


class Capacity:
    """Accepted and open holds, in the journal, against the units of the site file."""

    def __init__(self, parts: Parts, outbox: Outbox) -> None:
        self._parts = parts
        self._journal = parts.journal
        self._outbox = outbox

    async def hold(self, instruction: Instruction) -> float | None:
        """Hold, accept or release as ordered; seconds until the hold expires, None if it does not."""
        order = instruction.order
        if not isinstance(order, HoldOrder):
            raise TypeError(f"{instruction.subject} is no hold")
        known = self._journal.get(_TABLE, order.hold)
        state, reason = self._decide(order, known or {})
        row = {
            "state": state,
            "reason": reason,
            "lines": [line.model_dump(mode="json") for line in order.lines],
            "expires_at": order.expires_at.isoformat(),
        }
        if row != known:
            self._journal.put(_TABLE, order.hold, row)
        self._outbox.say(
            instruction.subject,
            HoldState.model_validate({"state": state, "reason": reason}),
            instruction.generation,
        )
        if state != "held":
            return None
        return max(0.0, (order.expires_at - self._parts.clock.now()).total_seconds()) + 0.001

    def free(self, site_file: SiteFile) -> dict[str, int | None]:
        """Units left by offer id; None where the file states no limit."""
        taken = self._taken(besides="")
        return {
            site_file.offer_id(entry): None
            if entry.units is None
            else max(0, entry.units - taken.get(site_file.offer_id(entry), 0))
            for entry in site_file.offers
        }

    def placed(self) -> int:
        """How many holds are accepted now."""
        return sum(row["state"] == "accepted" for _, row in self._journal.items(_TABLE))

    def _decide(self, order: HoldOrder, row: Mapping[str, Any]) -> tuple[str, str]:
        now, known = self._parts.clock.now(), row.get("state")
        if order.wanted == "released":
            return "released", ""
        if known == "accepted":
            return "accepted", ""
        if known in {"declined", "released", "expired"}:
            return str(known), str(row["reason"]) or "this hold has ended; ask for a new one"
        if order.expires_at <= now:
            return "expired", f"it was not accepted before {order.expires_at.isoformat()}"
        why = "" if known == "held" else self._refusal(order)
        if why:
            return "declined", why
        return order.wanted, ""

    def _refusal(self, order: HoldOrder) -> str:
        site_file = self._parts.site_file()
        offers = {site_file.offer_id(entry): entry for entry in site_file.offers}
        taken = self._taken(besides=order.hold)
        for line in order.lines:
            entry = offers.get(line.offer)
            if entry is None:
                return f"{line.offer} is not offered here any more"
            price = _price_refusal(entry, line)
            if price:
                return price
            taken[line.offer] = taken.get(line.offer, 0) + line.units
            if entry.units is not None and taken[line.offer] > entry.units:
                return (
                    f"{line.offer} is sold out: {entry.units} in all, {taken[line.offer] - line.units} taken"
                )
        return ""

    def _taken(self, besides: str) -> dict[str, int]:
        now = self._parts.clock.now()
        taken: dict[str, int] = {}
        for hold, row in self._journal.items(_TABLE):
            over = row["state"] == "held" and datetime.fromisoformat(row["expires_at"]) <= now
            if hold == besides or row["state"] not in _TAKING or over:
                continue
            for line in row["lines"]:
                taken[line["offer"]] = taken.get(line["offer"], 0) + int(line["units"])
        return taken


def _price_refusal(entry: OfferEntry, line: HoldLine) -> str:
    """Offers by the GiB cost what their size makes of it; only a free one can cost nothing."""
    asked = line.price_micro_eur_per_month
    by_gib = micro_eur(entry.price_eur_per_gib_month)
    if by_gib is not None:
        return f"{line.offer} is not free of charge" if by_gib > 0 and asked <= 0 else ""
    costs = month_price(entry)
    if costs is not None and asked != costs * line.units:
        return (
            f"{line.offer} costs {costs / 1_000_000:.2f} EUR a month now,"
            f" not {asked / line.units / 1_000_000:.2f}; plan again"
        )
    return ""
