"""What every command, query and the engine get: the hub's parts, and a guarded way to change things."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from hanse.hub.records import OrderedRecord, ReplyRecord, load, pair_key, save
from hanse.matching.planner import match
from hanse.model.application.requirement import Mandate
from hanse.model.market.offer import Catalogue, SiteStatement
from hanse.model.market.plan import NoSolution, Plan
from hanse.model.replica.instruction import Generation, Instruction
from hanse.model.replica.order import Order, subject_of
from hanse.model.shape import Digest, Shape, canonical_bytes
from hanse.ports import Clock, Random, Signer, Store, Transaction

ERA = 1
"""Grows when a hub is restored from a backup; restoring is not built yet."""


class Authority(Protocol):
    """Certifies site keys for the transport."""

    def certify(self, site: str, certificate_pem: str, now: datetime) -> str:
        """A client certificate over the key of the site's own certificate. Raises Permanent."""
        ...


class Market(Protocol):
    """Where catalogues come from, as the root plugs it in."""

    def shipped(self) -> Catalogue:
        """The market that comes with Hanse."""
        ...

    def read_catalogue(self, name: str, providers: str, sites: str, offers: str) -> Catalogue:
        """A market from three CSV texts. Raises `FileErrors`: refused whole."""
        ...

    def merge(self, listed: Catalogue, joined: "Joined") -> Catalogue:
        """Listed offers, and what joined sites state."""
        ...


@dataclass(frozen=True, slots=True)
class Joined:
    """What joined sites say of themselves and measured."""

    statements: tuple[SiteStatement, ...] = ()
    rtt_ms: dict[str, float] = field(default_factory=dict)
    reach: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a text something is wrong."""

    line: int | None
    column: int | None
    what: str
    allowed: str = ""
    field: str = ""
    """`components.web.size.vcpu`, or a column of a table."""
    file: str = ""
    """Where several files were given."""


class FileErrors(Exception):  # noqa: N818 - a list of what a person must correct
    """A text that cannot be read, with every place that is wrong."""

    def __init__(self, code: str, what: str, places: Sequence[Place]) -> None:
        super().__init__(what)
        self.code = code
        self.what = what
        self.places = tuple(places)


@dataclass(frozen=True, slots=True)
class ReplyKey:
    """An idempotency key, and the digest of the request that came with it."""

    key: str
    request: Digest
    status: int


class Match(Protocol):
    """The planner, as `hanse.matching.planner.match` is."""

    def __call__(
        self, mandate: Mandate, catalogue: Catalogue, *, market: Literal["bookable", "all"]
    ) -> Plan | NoSolution:
        """The cheapest plan, or why there is none. Pure."""
        ...


def _nobody(_sites: Sequence[str]) -> None:
    """Wakes nobody: a simulation looks by itself."""


@dataclass(frozen=True, slots=True)
class Hub:
    """The hub's parts. Frozen; one for the process, a copy per request that wants its reply kept."""

    store: Store
    clock: Clock
    random: Random
    signer: Signer
    authority: Authority
    market: Market
    images: Path
    certificate_pem: str = ""
    """The hub's own self-signed certificate: sites verify its instructions by this key."""
    authority_pem: str = ""
    url: str = ""
    wake: Callable[[Sequence[str]], None] = _nobody
    """Tells joined sites, and the engine (no site named), that there is something new."""
    seen: dict[str, datetime] = field(default_factory=dict)
    """When each site last asked or spoke; in memory only."""
    reply: ReplyKey | None = None
    hold_seconds: float = 120.0
    """How long sites have to confirm a purchase."""
    match: Match = match
    """Makes plans; `planning.verified` judges each of them."""

    def answering(self, reply: ReplyKey | None) -> "Hub":
        """The same hub; the next command keeps its answer under this key, in its transaction."""
        return replace(self, reply=reply)

    @contextmanager
    def change(self) -> Iterator["Change"]:
        """One writing transaction. Sites with new instructions are woken after the commit."""
        with self.store.transaction() as tx:
            change = Change(self, tx, self.clock.now())
            yield change
            change.write_summary()
        self.wake(tuple(change.told))

    @contextmanager
    def look(self) -> Iterator[Transaction]:
        """One reading transaction."""
        with self.store.transaction(read_only=True) as tx:
            yield tx


@dataclass(slots=True)
class Change:
    """A transaction with the hub's own verbs: order, note, answer."""

    hub: Hub
    tx: Transaction
    now: datetime
    told: dict[str, list[str]] = field(default_factory=dict)

    def note(self, kind: str, subject: str, /, **payload: Any) -> None:
        """A ledger entry of this transaction."""
        self.tx.append_entry(kind, subject, payload)

    def order(self, site: str, order: Order) -> bool:
        """Order a site, unless exactly this order is in force. True if an instruction was issued."""
        subject = subject_of(order)
        key = pair_key(subject, site)
        stored = load(self.tx, "ordered", key, OrderedRecord)
        if stored is not None and stored.value.order == order:
            return False

        def build(serial: int, generation_number: int) -> tuple[Instruction, str]:
            instruction = Instruction(
                site=site,
                serial=serial,
                subject=subject,
                generation=Generation(era=ERA, number=generation_number),
                issued_at=self.now,
                order=order,
            )
            return instruction, self.hub.signer.sign(canonical_bytes(instruction), "hanse-instruction")

        issued = self.tx.issue(site, subject, build)
        record = OrderedRecord(
            site=site,
            order=order,
            serial=issued.serial,
            generation=issued.generation.number,
            issued_at=self.now,
        )
        save(self.tx, "ordered", key, record, expect=stored.version if stored else 0)
        self.told.setdefault(site, []).append(f"{subject}#{issued.generation.number}")
        return True

    def answer(self, result: Shape) -> None:
        """Keep the answer, so that the same request gets the same reply."""
        asked = self.hub.reply
        if asked is None:
            return
        record = ReplyRecord(
            request=asked.request, status=asked.status, body=result.model_dump_json(), at=self.now
        )
        save(self.tx, "reply", asked.key, record, expect=0)

    def write_summary(self) -> None:
        """One entry that names every instruction of this transaction."""
        if self.told:
            self.tx.append_entry("instructions-issued", "instructions", {"sites": self.told})
