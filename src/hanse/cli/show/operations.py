"""Operations in words: what is under way, how far it is, what became of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hanse.cli.show.table import duration, size

Document = Mapping[str, Any]
UNDER_WAY = ("ordering", "open", "stuck")

_PHASES = {
    "waiting": "waits for its turn",
    "reaching": "asks whether the sites reach each other",
    "granting": "lets the other site in",
    "starting": "starts",
    "routing": "sets up the address for clients",
    "following": "copies",
    "preparing": "prepares the switch",
    "cutting-over": "cut-over under way, the sites finish it alone",
    "switching": "cut-over under way, clients are switched to the new place",
    "settling": "takes over at the new place",
    "redirecting": "points everybody to the new place",
    "following-back": "the old site begins to follow (way back)",
    "draining": "lets requests under way at the old place end",
    "tidying": "tidies up at the old place",
    "unused": "waits until nobody uses it",
    "unrouting": "takes the address away",
    "leaving": "leaves",
    "revoking": "takes leave to use it back",
    "dropping": "ends the way back",
    "undoing": "puts everything back",
}


def is_under_way(operation: Document) -> bool:
    """True until it is done or aborted."""
    return operation["state"] in UNDER_WAY


def title(operation: Document) -> str:
    """`op-3 move images basilisco/bologna → tarasque/arles`."""
    way = " → ".join(site for site in (operation["source"], operation["target"]) if site)
    return f"{operation['operation']} {operation['kind']} {operation['component']} {way}".rstrip()


def doing(operation: Document) -> str:
    """What it does at this moment, with progress and what it waits for."""
    match operation["state"]:
        case "ordering":
            return "asks the sites to hold capacity"
        case "done":
            return f"done{_took(operation)}{_dark(operation)}"
        case "aborted":
            return f"aborted{_took(operation)}: {operation['reason'] or 'no reason was given'}"
    phase = _PHASES.get(operation["phase"]) or str(operation["phase"])
    words = f"stuck ({phase})" if operation["state"] == "stuck" else phase
    if operation["abort_wanted"]:
        words += " (abort asked for)"
    why, progress = operation["reason"], progress_words(operation["progress"])
    more = why or progress if _has_reason(operation) else progress or why
    return f"{words}: {more}" if more else words


def stage(operation: Document) -> tuple[object, ...]:
    """Changes when a person should hear of it, not with every byte."""
    progress = operation["progress"] or {}
    reason = operation["reason"] if not progress or _has_reason(operation) else ""
    return operation["state"], operation["phase"], reason, progress.get("phase"), operation["abort_wanted"]


def _has_reason(operation: Document) -> bool:
    """What it waits for says more than how far its target is."""
    waits = operation["phase"] in ("cutting-over", "undoing")
    return waits or operation["state"] == "stuck" or operation["failure"] is not None


def progress_words(progress: Document | None) -> str:
    """`first-pass, 3.2 MiB of 10.0 MiB, 12 of 80 objects, lag 0 B, 4 s left`."""
    if not progress:
        return ""
    parts = [progress["phase"]]
    if progress["bytes_done"] or progress["bytes_total"]:
        parts.append(
            _of(size(progress["bytes_done"]), progress["bytes_total"] and size(progress["bytes_total"]))
        )
    if progress["objects_done"] or progress["objects_total"]:
        total = progress["objects_total"]
        parts.append(_of(str(progress["objects_done"]), total and str(total)) + " objects")
    if progress["lag_bytes"] is not None:
        parts.append(f"lag {size(progress['lag_bytes'])}")
    elif progress["lag_objects"] is not None:
        parts.append(f"lag {progress['lag_objects']} objects")
    if progress["seconds_left"] is not None:
        parts.append(f"{duration(progress['seconds_left'])} left")
    return ", ".join(parts)


def failure_lines(failure: Document | None) -> list[str]:
    """Why something is not as ordered, with the program's own last words."""
    if not failure:
        return []
    lines = [f"{failure['code']}: {failure['message']}"]
    return lines + [f"  | {line}" for line in failure["detail"].splitlines()]


def _of(done: str, total: str | int | None) -> str:
    return f"{done} of {total}" if total else done


def _took(operation: Document) -> str:
    if not operation["ended_at"]:
        return ""
    ended, began = (datetime.fromisoformat(operation[name]) for name in ("ended_at", "started_at"))
    return f" after {(ended - began).total_seconds():.1f} s"


def _dark(operation: Document) -> str:
    dark = operation["dark_ms"]
    return (
        ""
        if dark is None
        else f", {dark} ms between the old place closing and the new one serving (cut-over)"
    )
