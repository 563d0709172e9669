"""Hold before buy: confirm all or release all, from the sites' own words (DESIGN section 7)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from hanse.model.replica.observation import HoldState
from hanse.model.shape import Moment


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to want of every hold of a purchase."""

    wanted: Literal["held", "accepted", "released"]
    settled: bool
    """True when every site has said that this is so, or its hold is gone by itself."""
    refusals: Mapping[str, str]
    """Hold → the site's words, where it declined, lost or never confirmed it."""


def decide_holds(
    heard: Mapping[str, HoldState | None], *, confirming: bool, expires_at: Moment, now: Moment
) -> Verdict:
    """Confirm all or release all.

    `heard`: by hold, the site's answer to the newest order about it; None while it is silent.
    `confirming`: every hold was confirmed as held before, and acceptance is ordered. A silent site is
    waited for until `expires_at`. One refusal, at any time before all have accepted, releases everything.
    """
    refusals = {
        hold: state.reason or f"the hold is {state.state}"
        for hold, state in sorted(heard.items())
        if state is not None and state.state in ("declined", "expired", "released")
    }
    if not refusals and now >= expires_at:
        wanted = "accepted" if confirming else "held"
        late = [hold for hold, state in sorted(heard.items()) if state is None or not _is(state, wanted)]
        refusals = dict.fromkeys(late, "the site did not answer in time")
    if refusals:
        open_holds = [hold for hold, state in heard.items() if state is None or not _is_gone(state)]
        return Verdict("released", settled=not open_holds, refusals=refusals)
    if confirming:
        accepted = all(state is not None and state.state == "accepted" for state in heard.values())
        return Verdict("accepted", settled=accepted, refusals={})
    held = all(state is not None for state in heard.values())
    return Verdict("accepted" if held else "held", settled=False, refusals={})


def _is(state: HoldState, wanted: str) -> bool:
    return state.state == "accepted" or state.state == wanted


def _is_gone(state: HoldState) -> bool:
    return state.state in ("declined", "expired", "released")
