"""Observations: what sites say, verified by the site's key, the newest of each subject kept."""

import math
from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from hanse.hub.context import Change, Hub
from hanse.hub.membership import require_site, spread_membership
from hanse.hub.records import ObservedRecord, OrderedRecord, SiteRecord, Stored, load, pair_key, save
from hanse.model.document.claim import Relinquishment
from hanse.model.market.offer import SiteStatement
from hanse.model.replica.observation import (
    CutOverState,
    Observation,
    ReachState,
    ReplicaState,
    StatementState,
)
from hanse.model.replica.order import Order, TicketOrder
from hanse.model.shape import Shape, digest_of
from hanse.ports import Permanent, Transaction

UNASKED = "statement"
"""The only subject of which a site speaks without an order."""
OFFERS_MAX = 1_000
"""Offers that one site may state."""


class RefusedDocument(Shape):
    """One document that was not taken, and why."""

    index: int
    code: str
    message: str


class Ingested(Shape):
    """What became of a batch."""

    taken: int
    older: int
    """Already known, or older than what is known: delivering twice does no harm."""
    refused: tuple[RefusedDocument, ...] = ()


def ingest(hub: Hub, site: str, documents: Sequence[str]) -> Ingested:
    """Keep the newest observation of each subject.

    Raises Permanent(`site-unknown`). A document that is not by the site's key, not about the site, not
    understood, or about a subject that was never ordered there is refused alone.
    """
    with hub.look() as tx:
        record = require_site(tx, site).value
    read, refused = _read(hub, record, documents)
    with hub.look() as tx:
        fresh = [each for each in read if _is_newer(tx, each[1])]
    taken = _keep_all(hub, site, fresh) if fresh else 0
    return Ingested(taken=taken, older=len(read) - taken, refused=tuple(refused))


Read = tuple[str, Observation]
"""A document as received, and what it says."""


def _read(hub: Hub, site: SiteRecord, documents: Sequence[str]) -> tuple[list[Read], list[RefusedDocument]]:
    read: list[Read] = []
    refused = []
    for index, document in enumerate(documents):
        try:
            observation = _verified(hub, site, document)
            with hub.look() as tx:
                order = _order_behind(tx, observation)
            _require_relinquished(hub, site, observation, order)
            read.append((document, observation))
        except Permanent as failure:
            refused.append(RefusedDocument(index=index, code=failure.code, message=failure.message))
    return read, refused


def _keep_all(hub: Hub, site: str, fresh: Sequence[Read]) -> int:
    with hub.change() as change:
        record = require_site(change.tx, site)
        taken = []
        for document, observation in fresh:
            if _is_newer(change.tx, observation):
                _keep(change, document, observation)
                record = _take_statement(change, record, observation)
                taken.append(digest_of(document.encode()))
        seen = record.value.model_copy(update={"last_observed_at": change.now})
        save(change.tx, "site", site, seen, state="joined", expect=record.version)
        change.note("observations-received", f"site/{site}/", documents=taken)
    return len(taken)


def _order_behind(tx: Transaction, observation: Observation) -> Order | None:
    """None for the statement. A site cannot fill the hub with subjects of its own.

    Raises Permanent(`observation-unasked`).
    """
    if observation.subject == UNASKED:
        return None
    ordered = load(tx, "ordered", pair_key(observation.subject, observation.site), OrderedRecord)
    if ordered is None:
        raise Permanent(
            "observation-unasked",
            f"{observation.site} speaks of {observation.subject[:200]}, of which it has no order.",
        )
    return ordered.value.order


def _require_relinquished(hub: Hub, site: SiteRecord, observation: Observation, order: Order | None) -> None:
    """A relinquishment that is shown must be the source's, for this very ticket or replica.

    Raises Permanent(`signature-wrong`, `relinquishment-wrong`).
    """
    state = observation.state
    if not isinstance(state, CutOverState | ReplicaState) or not state.relinquishment:
        return
    source = order.ticket.source.certificate_pem if isinstance(order, TicketOrder) else site.certificate_pem
    payload = hub.signer.verify(state.relinquishment, "hanse-relinquishment", source)
    try:
        paper = Relinquishment.model_validate_json(payload)
    except ValidationError as error:
        raise _wrong_paper(observation) from error
    shown: tuple[object, ...]
    wanted: tuple[object, ...]
    if isinstance(order, TicketOrder):
        ticket = order.ticket
        shown = (paper.ticket, paper.key, paper.from_epoch, paper.to_epoch, paper.source, paper.target)
        parties = (ticket.source.site, ticket.target.site)
        wanted = (ticket.ticket, ticket.key, ticket.from_epoch, ticket.from_epoch + 1, *parties)
    else:
        shown = (f"replica/{paper.key}", paper.source)
        wanted = (observation.subject, site.site)
    if shown != wanted:
        raise _wrong_paper(observation)


def _wrong_paper(observation: Observation) -> Permanent:
    return Permanent(
        "relinquishment-wrong",
        f"{observation.site} shows a relinquishment with {observation.subject} that is not for it.",
    )


def _verified(hub: Hub, site: SiteRecord, document: str) -> Observation:
    payload = hub.signer.verify(document, "hanse-observation", site.certificate_pem)
    try:
        observation = Observation.model_validate_json(payload)
    except ValidationError as error:
        raise Permanent(
            "observation-unreadable", f"An observation of {site.site} has another shape: {error}"
        ) from error
    if observation.site != site.site or " " in observation.subject:
        raise Permanent(
            "observation-of-another", f"{site.site} signed an observation in the name of {observation.site}."
        )
    if any(not 0 <= number < math.inf for number in _amounts(observation)):
        raise Permanent(
            "observation-unreadable",
            f"{site.site} states an amount in {observation.subject} that is negative or no number.",
        )
    return observation


def _amounts(observation: Observation) -> Iterator[float]:
    """Prices, sizes and times that plans will reckon with: a site must not upset those of others."""
    state = observation.state
    if isinstance(state, ReachState):
        yield from state.rtt_ms.values()
    if isinstance(state, StatementState):
        yield state.statement.endpoint_micro_eur_per_month
        for offer in state.statement.offers:
            values = offer.model_dump().values()
            yield from (value for value in values if isinstance(value, int | float))


def _is_newer(tx: Transaction, observation: Observation) -> bool:
    known = load(tx, "observed", pair_key(observation.subject, observation.site), ObservedRecord)
    return known is None or known.value.observation.sequence < observation.sequence


def _keep(change: Change, document: str, observation: Observation) -> None:
    key = pair_key(observation.subject, observation.site)
    known = change.tx.get("observed", key)
    record = ObservedRecord(document=document, observation=observation, received_at=change.now)
    save(change.tx, "observed", key, record, expect=known.version if known else 0)


def _take_statement(change: Change, site: Stored[SiteRecord], observation: Observation) -> Stored[SiteRecord]:
    if not isinstance(observation.state, StatementState):
        return site
    statement = observation.state.statement
    if not _speaks_for_itself(site.key, statement) or statement == site.value.statement:
        return site
    before = site.value.peer()
    value = site.value.model_copy(update={"statement": statement})
    save(change.tx, "site", site.key, value, state="joined", expect=site.version)
    change.note("site-stated", f"site/{site.key}/", offers=len(statement.offers), runs=list(statement.runs))
    if value.peer() != before:
        spread_membership(change)
    return Stored(site.key, value, site.version + 1, site.state)


def _speaks_for_itself(site: str, statement: SiteStatement) -> bool:
    """A site cannot state another site, another provider, offers elsewhere, or endlessly many."""
    provider = site.partition("/")[0]
    return (
        statement.site.site == site
        and len(statement.offers) <= OFFERS_MAX
        and statement.provider.provider == provider == statement.site.provider
        and all(offer.site == site for offer in statement.offers)
    )
