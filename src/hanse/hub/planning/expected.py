"""What a move may be expected to cost and to interrupt, from what this hub has seen itself."""

from collections.abc import Mapping, Sequence
from statistics import median

from hanse.hub.planning.parts import Part
from hanse.hub.planning.prefixes import MICRO, provider_of
from hanse.hub.records import ObservedRecord, load_all, load_operation
from hanse.hub.views import known_about
from hanse.matching.candidates import gib_price
from hanse.model.market.offer import Catalogue
from hanse.model.replica.observation import CutOverState, ReplicaState
from hanse.model.replica.role import ReplicaKey
from hanse.model.shape import MicroEur, Shape
from hanse.ports import Transaction

GIB = 1 << 30
TICKETS_MAX = 200
"""Cut-overs that a median is taken of: the newest."""
_OVERLAPPING = {
    "container": "not measured: the new place serves before the old one ends",
    "endpoint": "not measured: the new address answers before the old one ends",
}


class Gap(Shape):
    """For how long clients wait at the cut-over."""

    median_ms: int | None
    """Of this hub's own cut-overs of the same kind; None where there were none."""
    count: int
    says: str


class Copy(Shape):
    """What is sent from the old place to the new one before the cut-over."""

    size_bytes: int | None
    """As the site says; None where it does not."""
    micro_eur: MicroEur | None
    """Once, for leaving the provider; None where its price or the size is not known."""
    says: str


def gaps_of(tx: Transaction) -> Mapping[str, Sequence[int]]:
    """Milliseconds between the old place closing and the new one serving, by kind, of past cut-overs."""
    dark: dict[str, int] = {}
    for stored in load_all(tx, "observed", ObservedRecord, prefix="ticket/"):
        state = stored.value.observation.state
        if isinstance(state, CutOverState) and state.dark_ms is not None:
            ticket = stored.value.observation.subject.removeprefix("ticket/")
            dark[ticket] = max(state.dark_ms, dark.get(ticket, 0))
    found: dict[str, list[int]] = {}
    for ticket in sorted(dark, key=_number)[-TICKETS_MAX:]:
        operation = load_operation(tx, ticket.rpartition(".")[0])
        if operation is not None:
            found.setdefault(operation.value.component_kind, []).append(dark[ticket])
    return found


def _number(ticket: str) -> int:
    digits = ticket.rpartition(".")[0].rpartition("-")[2]
    return int(digits) if digits.isdigit() else 0


def gap_of(kind: str, measured: Mapping[str, Sequence[int]]) -> Gap:
    """What to expect of one cut-over of this kind."""
    if kind in _OVERLAPPING:
        return Gap(median_ms=None, count=0, says=_OVERLAPPING[kind])
    found = measured.get(kind, ())
    if not found:
        return Gap(median_ms=None, count=0, says="not measured here yet")
    middle = round(median(found))
    moves = "1 move" if len(found) == 1 else f"{len(found)} moves"
    return Gap(
        median_ms=middle, count=len(found), says=f"{middle} ms, the median of {moves} of a {kind} here"
    )


def used_bytes(tx: Transaction, key: ReplicaKey, site: str) -> int | None:
    """How much a replica holds, as its site said last."""
    known = known_about(tx, f"replica/{key}").get(site)
    state = known.state(ReplicaState) if known else None
    return state.used_bytes if state else None


def copy_of(part: Part, target: str, size_bytes: int | None, catalogue: Catalogue) -> Copy:
    """What bringing the data of a part to its target costs."""
    if part.kind in _OVERLAPPING:
        what = "nothing; the image comes from the hub" if part.kind == "container" else "nothing"
        return Copy(size_bytes=0, micro_eur=0, says=what)
    if any(each.site == target for each in part.ways_back):
        return Copy(size_bytes=0, micro_eur=0, says="nothing; the way back follows already")
    if provider_of(part.site) == provider_of(target):
        return Copy(size_bytes=size_bytes, micro_eur=0, says=f"free inside {provider_of(target)}")
    offers = {offer.id: offer.egress_micro_eur_per_gib for offer in catalogue.offers}
    egress = offers.get(part.placement.offer)
    if egress is None:
        says = f"unknown: {provider_of(part.site)} states no price for traffic out"
        return Copy(size_bytes=size_bytes, micro_eur=None, says=says)
    each = f"{egress / MICRO:.6g} EUR/GiB out of {provider_of(part.site)}"
    if size_bytes is None:
        says = f"{part.site} has not said how much there is; {each}"
        return Copy(size_bytes=None, micro_eur=None if egress else 0, says=says)
    return Copy(size_bytes=size_bytes, micro_eur=gib_price(size_bytes / GIB, egress), says=each)
