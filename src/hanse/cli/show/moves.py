"""A move in words: before it begins, and where it left everything."""

from collections.abc import Iterator, Mapping
from typing import Any

from hanse.cli.show.table import duration, eur, moment, size, table

Document = Mapping[str, Any]


def move_lines(shown: Document, status: Document) -> list[str]:
    """What would happen, step by step. `status` is that of the application now."""
    moves = shown["moves"]
    rows = [
        (
            str(number),
            each["component"],
            each["source"],
            each["target"],
            each["offer"].partition(":")[2] or "-",
            eur(each["price_before_micro_eur_per_month"]),
            eur(each["price_after_micro_eur_per_month"]),
            eur(each["price_way_back_micro_eur_per_month"]),
        )
        for number, each in enumerate(moves, 1)
    ]
    header = ("", "component", "from", "to", "offer", "EUR/month now", "then", "way back")
    lines = table(header, rows, right=[0, 5, 6, 7]) if moves else []
    for number, each in enumerate(moves, 1):
        lines += [f"  {number} {each['component']}: {words}" for words in _step(each, status)]
    if shown["ways_back_ended"]:
        lines.append(f"no way back any more: {', '.join(shown['ways_back_ended'])}")
    if len(moves) > 1:
        lines.append("one after the other; after each of them everything on the way keeps the file's rules")
    return [*lines, _together(shown)]


def _together(shown: Document) -> str:
    words = (
        f"all of {shown['application']}: {eur(shown['price_before_micro_eur_per_month'])} EUR a month now, "
        f"then {eur(shown['price_micro_eur_per_month'])}"
    )
    back = shown["ways_back_micro_eur_per_month"]
    return f"{words}; and {eur(back)} for ways back, as long as they stand" if back else words


def _step(move: Document, status: Document) -> Iterator[str]:
    if move["kind"] == "endpoint":
        yield _address(move, status)
        return
    yield f"way back {_way_back(move)}"
    yield f"expected gap: {move['gap']['says']}; copy: {_copy(move['copy_costs'])}{_traffic(move)}"


def _way_back(move: Document) -> str:
    if move["one_way"]:
        return "none: the old place is left for good"
    copied = "; the new place follows already" if move["uses_way_back"] else ""
    return f"for {duration(move['way_back_seconds'])} from then, paid for like a standby{copied}"


def _address(move: Document, status: Document) -> str:
    known = [each for each in status["endpoints"] if f"{each['component']}-endpoint" == move["component"]]
    now = address(known[0]) if known else ""
    what = f"its address {now} changes" if now else "its address changes"
    if move["uses_way_back"]:
        old = next((each for each in known[0]["old_addresses"] if each["site"] == move["target"]), None)
        what = f"its address is {address({**known[0], **old})} again" if old else what
    until = duration(move["way_back_seconds"])
    fate = "ends with this step" if move["one_way"] else f"goes on for {until} beside the new one"
    return f"{what}; the old one {fate}"


def _copy(costs: Document) -> str:
    nothing = costs["size_bytes"] is None or costs["says"].startswith("nothing")
    amount = "" if nothing else f"{size(costs['size_bytes'])}, "
    price = f"{eur(costs['micro_eur'])} EUR once, " if costs["micro_eur"] else ""
    return f"{amount}{price}{costs['says']}"


def _traffic(move: Document) -> str:
    before, after = move["traffic_before_micro_eur_per_month"], move["traffic_after_micro_eur_per_month"]
    return "" if before == after else f"; traffic: {eur(before)} EUR a month before, {eur(after)} after"


def address(endpoint: Document) -> str:
    """`http://10.0.0.4:8000`; empty where nobody knows it yet."""
    if not endpoint["port"]:
        return ""
    return f"{endpoint['protocol']}://{endpoint['address']}:{endpoint['port']}"


def old_address_lines(endpoint: Document) -> Iterator[str]:
    """Addresses that an endpoint had before, and until when they answer."""
    for old in endpoint["old_addresses"]:
        where = address({**endpoint, **old}) or "an address that is not known"
        yield (
            f"old address of {endpoint['component']}: {where} at {old['site']} answers until "
            f"{moment(old['until'])} UTC, {eur(old['price_micro_eur_per_month'])} EUR a month"
        )


def after_move_lines(found: Document, order: str) -> list[str]:
    """New addresses; and if this order's move stopped: what stands where, why, how to go on or back."""
    last = found.get("last_move")
    if not order or last is None or last["order"] != order:
        return []
    lines = []
    for endpoint in found["endpoints"]:
        moved = [each for each in last["steps"] if each["component"] == f"{endpoint['component']}-endpoint"]
        if moved and moved[0]["state"] == "done":
            lines.append(f"address of {endpoint['component']}: {address(endpoint)} at {endpoint['site']}")
            lines += old_address_lines(endpoint)
    return [*lines, *stopped_lines(found)]


def stopped_lines(found: Document) -> list[str]:
    """Where a move left everything that did not come to its end; nothing if it did."""
    last = found.get("last_move")
    if last is None or last["state"] not in ("stopped", "refused"):
        return []
    done = [each["component"] for each in last["steps"] if each["state"] == "done"]
    left = [each["component"] for each in last["steps"] if each["state"] != "done"]
    lines = [f"`{last['asked']}` stopped: {last['why']}"]
    lines.append(f"  moved: {', '.join(done) or 'nothing'}; not moved: {', '.join(left) or 'nothing'}")
    stands = [f"{each['component']} at {each['site'] or 'no site'}" for each in found["components"]]
    stands += [f"endpoint of {each['component']} at {each['site']}" for each in found["endpoints"]]
    lines.append(f"  now: {', '.join(stands)}")
    lines += [f"  to go on: {command}" for command in last["go_on"]]
    lines += [f"  to go back: {command}" for command in last["go_back"]]
    return lines
