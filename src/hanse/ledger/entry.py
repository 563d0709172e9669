"""Entries: what happened, in the same transaction as what it changed. Unsequenced until the tree comes."""

from datetime import datetime
from typing import Any, Literal, get_args

from hanse.model.shape import Moment, Shape

EntryKind = Literal[
    "application-applied",
    "application-changed",
    "application-ended",
    "application-forgotten",
    "catalogue-imported",
    "connection-opened",
    "connection-closed",
    "due-done",
    "hub-started",
    "image-removed",
    "image-stored",
    "instructions-issued",
    "logs-asked",
    "logs-ended",
    "move-asked",
    "observations-received",
    "operation-advanced",
    "operation-abort-asked",
    "order-accepted",
    "order-confirmed",
    "order-refused",
    "plan-made",
    "replies-dropped",
    "retirement-asked",
    "site-certified",
    "site-enrolled",
    "site-invited",
    "site-left",
    "site-stated",
]
"""Every kind of entry. A kind is never renamed or reused: old ledgers are read forever."""

ENTRY_KINDS: frozenset[str] = frozenset(get_args(EntryKind))


class Entry(Shape):
    """One line of the ledger."""

    id: int
    """Grows; gaps are allowed, an order between hubs is not implied."""
    at: Moment
    kind: EntryKind
    subject: str
    """What it is about: `application/NAME/…`, `site/PROVIDER/SITE`, `image/DIGEST` …"""
    payload: dict[str, Any]
    """What changed, without secrets. Documents are named by digest."""


def entry(entry_id: int, at: datetime, kind: str, subject: str, payload: dict[str, Any]) -> Entry:
    """A checked entry. Raises ValueError for a kind that is not in the list."""
    return Entry.model_validate(
        {"id": entry_id, "at": at, "kind": kind, "subject": subject, "payload": payload}
    )
