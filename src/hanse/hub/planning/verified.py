"""No plan leaves the hub that the verifier, a stranger to the planner, did not judge."""

import logging

from hanse.hub.context import Hub
from hanse.matching.candidates import Market
from hanse.matching.verify import verify
from hanse.model.application.requirement import Mandate
from hanse.model.market.offer import Catalogue
from hanse.model.market.plan import NoSolution, Plan
from hanse.ports import Permanent

log = logging.getLogger("hanse.hub")
_NAMED = 3
"""Violations that the message names; the log has all."""


def make_verified(hub: Hub, mandate: Mandate, catalogue: Catalogue, *, market: Market) -> Plan | NoSolution:
    """The planner's answer. Raises Permanent(`plan-wrong`) if the verifier finds a flaw in a plan."""
    plan = hub.match(mandate, catalogue, market=market)
    if isinstance(plan, NoSolution):
        return plan
    found = verify(plan, mandate, catalogue)
    flaws = [f"{each.component or mandate.application} {each.what}" for each in found]
    if flaws:
        log.error(
            "a plan for %s on catalogue %s is wrong: %s",
            mandate.application,
            catalogue.version,
            "; ".join(flaws),
        )
        raise Permanent(
            "plan-wrong",
            f"The plan that was found for {mandate.application} does not keep its promises, so it was thrown "
            f"away: {'; '.join(flaws[:_NAMED])}. Nothing was changed. This is a fault of Hanse, not of the "
            "file: report it with the hub's log.",
        )
    return plan
