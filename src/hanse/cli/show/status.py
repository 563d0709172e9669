"""What runs, and what happened, as text."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hanse.cli.show.moves import address, old_address_lines, stopped_lines
from hanse.cli.show.once import Once, reasons_of
from hanse.cli.show.operations import doing, failure_lines, is_under_way, progress_words, title
from hanse.cli.show.table import eur, moment, table

Document = Mapping[str, Any]


def status_lines(found: Document) -> list[str]:
    """One application; each reason once."""
    once = Once()
    once.hear(reasons_of(found))
    return [once.tell(line) for line in _status(found)]


def _status(found: Document) -> Iterator[str]:
    yield (
        f"{found['application']}: {found['state']}, {eur(found['price_micro_eur_per_month'])} EUR a month"
        f"{_ways_back(found)}, "
        f"applied {moment(found['applied_at'])} UTC" + (f" ({found['reason']})" if found["reason"] else "")
    )
    order = found["order"]
    if order and order["state"] != "accepted":
        why = f": {order['reason']}" if order["reason"] else ""
        yield f"order {order['order']} is {order['state']}{why}"
    yield ""
    ended = found["state"] in ("ended", "declined")
    yield from _components(found["components"], ended=ended)
    if found["endpoints"] and not ended:
        yield ""
        yield from _endpoints(found["endpoints"])
    operations = [each for each in found["operations"] if is_under_way(each)]
    if operations:
        yield ""
        yield "under way:"
        yield from (f"  {title(each)}: {doing(each)}" for each in operations)
    last = next((each for each in found["operations"] if not is_under_way(each)), None)
    if last:
        yield f"last: {title(last)}: {doing(last)}"
    if found["state"] == "running":
        yield from stopped_lines(found)
    yield from _absent_sites(found["sites"])
    yield f"mandate: {found['mandate']['says']} · data at rest: not encrypted"


def _ways_back(found: Document) -> str:
    back = found["ways_back_micro_eur_per_month"]
    return f" and {eur(back)} for ways back" if back and found["state"] == "running" else ""


def _absent_sites(sites: Sequence[Document]) -> Iterator[str]:
    """Sites whose state above may not be true any more."""
    for words, away in (
        ("sites that have left", [each for each in sites if each["left"]]),
        (
            "not heard from, so what stands above of them may have changed",
            [each for each in sites if each.get("silent") and not each["left"]],
        ),
    ):
        if away:
            heard = [f"{each['site']} (last heard {moment(each['last_seen_at'])})" for each in away]
            yield f"{words}: {', '.join(heard)}"


def _components(components: Sequence[Document], *, ended: bool) -> Iterator[str]:
    rows = [
        (
            each["component"],
            each["kind"],
            each["site"] or ("-" if ended else "nowhere yet"),
            str(each["epoch"]),
            eur(each["price_micro_eur_per_month"]),
            "ended" if ended else _state(each),
        )
        for each in components
    ]
    yield from table(("component", "kind", "runs at", "epoch", "EUR/month", "state"), rows, right=[3, 4])
    for each in components:
        for replica in each["replicas"]:
            if replica["site"] != each["site"] and replica["role"] not in (None, "absent"):
                yield f"  {each['component']} is {_replica(replica)}"
            for line in failure_lines(replica["failure"]):
                yield f"  {each['component']} at {replica['site']}: {line}"
        if each["way_back"]:
            yield (
                f"  way back of {each['component']}: {each['way_back']['site']} until "
                f"{moment(each['way_back']['until'])} UTC, "
                f"{eur(each['way_back']['price_micro_eur_per_month'])} EUR a month"
            )


def _state(component: Document) -> str:
    primary = [each for each in component["replicas"] if each["site"] == component["site"]]
    if not primary:
        return "not started"
    first = primary[0]
    words = "ready" if first["ready"] and first["role"] == "primary" else first["role"] or "silent"
    return words if first["answered"] else f"{words}, its site has not answered the newest order"


def _replica(replica: Document) -> str:
    words = f"{replica['role']} at {replica['site']}"
    if not replica["ready"]:
        words += ", not ready"
    progress = progress_words(replica["progress"])
    return f"{words}: {progress}" if progress else words


def _endpoints(endpoints: Sequence[Document]) -> Iterator[str]:
    rows = [
        (
            each["component"],
            address(each) or "not yet",
            each["site"],
            each["upstream_site"] or "nothing yet",
            "ready" if each["ready"] else "not ready",
        )
        for each in endpoints
    ]
    yield from table(("endpoint", "address", "at", "leads to", "state"), rows)
    for each in endpoints:
        yield from (f"  {each['component']}: {line}" for line in failure_lines(each["failure"]))
        yield from (f"  {line}" for line in old_address_lines(each))


def summary_lines(found: Document) -> list[str]:
    """Every application, one line each."""
    applications = found["applications"]
    if not applications:
        return ["Nothing runs here. `hanse plan FILE` shows what would, `hanse apply FILE` buys and runs it."]
    rows = [
        (
            each["application"],
            each["state"],
            eur(each["price_micro_eur_per_month"]),
            ", ".join(f"{one['component']} at {one['site'] or '-'}" for one in each["components"]),
            str(sum(1 for one in each["operations"] if is_under_way(one))),
        )
        for each in applications
    ]
    return table(("application", "state", "EUR/month", "components", "under way"), rows, right=[2, 4])


def history_lines(found: Document) -> list[str]:
    """Oldest first, one line an entry; entries of an operation that stays in its phase are left out."""
    entries = [each for each in reversed(found["entries"]) if not _is_repeated(each)]
    prefix = f"application/{found['application']}/"
    lines = [f"{moment(each['at'])}  {each['kind']:<24}  {_facts(each, prefix)}".rstrip() for each in entries]
    left_out = len(found["entries"]) - len(entries)
    if left_out:
        lines.append(f"({left_out} entries that only tell progress are left out; --json has all)")
    return lines


def _is_repeated(entry: Document) -> bool:
    payload = entry["payload"]
    return bool(entry["kind"] == "operation-advanced" and payload.get("before") == payload.get("phase"))


def _facts(entry: Document, prefix: str) -> str:
    subject = entry["subject"].removeprefix(prefix)
    if entry["kind"] == "operation-advanced":
        return f"{subject.removeprefix('operation/')} {_advanced(entry['payload'])}"
    facts = [
        f"{name}={_short(value)}"
        for name, value in entry["payload"].items()
        if value not in ("", None, [], {})
    ]
    return " ".join([*([subject] if subject else []), *facts])


def _advanced(payload: Document) -> str:
    way = " → ".join(site for site in (payload.get("source"), payload.get("target")) if site)
    words = f"{payload.get('kind', '')} {payload.get('component', '')} {way}: {payload.get('phase', '')}"
    bad = payload.get("state") in ("stuck", "aborted") or payload.get("phase") == "undoing"
    return f"{words} ({payload['reason']})" if bad and payload.get("reason") else words


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:23] + "…" if text.startswith("sha256:") else text if len(text) <= 160 else text[:159] + "…"
