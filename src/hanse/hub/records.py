"""What the hub keeps: the shapes behind the store's generic records, and how they are read and written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from pydantic import Field

from hanse.model.application.file import Application
from hanse.model.application.requirement import Mandate
from hanse.model.market.offer import SiteStatement
from hanse.model.market.plan import NoSolution, Placement, Plan, PriceLine
from hanse.model.replica.observation import Observation
from hanse.model.replica.operation import Operation
from hanse.model.replica.order import HoldLine, Order
from hanse.model.replica.role import ReplicaKey
from hanse.model.replica.spec import Grant, Peer
from hanse.model.shape import CountryCode, Digest, MicroEur, Moment, Name, Shape, SiteId
from hanse.ports import Transaction


class InvitationRecord(Shape):
    """Kind `invitation`, key: digest of the secret. States `open`, `used`."""

    site: SiteId
    expires_at: Moment
    used_by: str = ""
    """Thumbprint of the key that joined with it."""


class SiteRecord(Shape):
    """Kind `site`, key: site id. States `joined`, `left`."""

    site: SiteId
    thumbprint: str
    certificate_pem: str
    """Self-signed, over the site's own key: what peers pin."""
    sealing_key: str
    joined_at: Moment
    left_at: Moment | None = None
    last_observed_at: Moment | None = None
    statement: SiteStatement | None = None

    def peer(self) -> Peer:
        """The site as other sites may reach it."""
        stated = self.statement
        return Peer(
            site=self.site,
            thumbprint=self.thumbprint,
            certificate_pem=self.certificate_pem,
            sealing_key=self.sealing_key,
            address=stated.data_address if stated else "",
            channel_port=stated.channel_port if stated else 0,
        )


class ObservedRecord(Shape):
    """Kind `observed`, key: `SUBJECT SITE`. The newest of a subject at a site, as received."""

    document: str
    observation: Observation
    received_at: Moment


class OrderedRecord(Shape):
    """Kind `ordered`, key: `SUBJECT SITE`. The order in force for a subject at a site."""

    site: SiteId
    order: Order
    serial: int
    generation: int
    issued_at: Moment


class PlanRecord(Shape):
    """Kind `plan`, key: plan id. State: application name."""

    id: str
    file: str
    application: Application
    mandate: Mandate
    plan: Plan | NoSolution = Field(discriminator="outcome")
    listed: Plan | NoSolution | None = None
    made_at: Moment


class HoldRecord(Shape):
    """Capacity for one placement at one site."""

    hold: str
    component: Name
    site: SiteId
    lines: tuple[HoldLine, ...]


class MoveRequest(Shape):
    """What a person asks for. Exactly one of `to`, `away_from`, `country` and `back`."""

    component: str | None = None
    """A component, or its endpoint as plans name it; None: every part that the wish concerns."""
    to: str | None = Field(default=None, max_length=200)
    """A site or a provider."""
    away_from: str | None = Field(default=None, max_length=200)
    """A provider that everything leaves, without a way back."""
    country: CountryCode | None = None
    back: bool = False
    keep_old_address_seconds: int | None = Field(default=None, ge=0, le=365 * 86400)
    """How long the address of an endpoint that moves goes on. None: as long as the way back of its component;
    not at all with `away_from`."""
    dry_run: bool = False


class OrderRecord(Shape):
    """Kind `order`, key: order id. The purchase of some placements, all or nothing.

    States `holding` (asking the sites), `accepting` (all held, buying), `accepted`, `refused`.
    """

    id: str
    application: Name
    placements: tuple[Placement, ...]
    traffic: tuple[PriceLine, ...] = ()
    price_micro_eur_per_month: MicroEur = 0
    """Of the whole application once this order is carried out."""
    holds: tuple[HoldRecord, ...]
    operations: tuple[str, ...]
    """They begin when every hold is accepted."""
    asked: MoveRequest | None = None
    """Of a move: the wish, so that the hub can say how to go on."""
    deadline: Moment
    reason: str = ""


class ComponentRecord(Shape):
    """One component of a running application: where it is bought, and who holds which epoch."""

    key: ReplicaKey
    placement: Placement
    hold: str = ""
    """The hold behind the placement; empty for an endpoint that costs nothing."""
    primary: SiteId | None = None
    epoch: int = 0
    way_back_site: SiteId | None = None
    way_back_until: Moment | None = None
    way_back_placement: Placement | None = None
    way_back_hold: str = ""
    grants: tuple[Grant, ...] = ()
    """Grants of `hanse connect`; they expire."""


class KeptAddress(Shape):
    """An address that an endpoint had before it moved; it goes on for a while."""

    component: Name
    """The exposed component."""
    placement: Placement
    until: Moment


class ApplicationRecord(Shape):
    """Kind `application`, key: name.

    States `ordering`, `running`, `declined`, `retiring`, `ended`.
    """

    name: Name
    file: str
    application: Application
    mandate: Mandate
    mandate_digest: Digest
    mandate_signed: Literal[False] = False
    """Mandates are stored by digest; signing them is not built yet."""
    plan: str
    order: str
    components: dict[Name, ComponentRecord]
    endpoints: dict[Name, ComponentRecord] = Field(default_factory=dict)
    """By exposed component."""
    kept_addresses: tuple[KeptAddress, ...] = ()
    """Oldest first."""
    move_order: str = ""
    """The newest order of a move."""
    traffic: tuple[PriceLine, ...] = ()
    reason: str = ""
    applied_at: Moment
    changed_at: Moment


class MoveRecord(Shape):
    """Kind `move`, key: operation id. What becomes true when the move is done."""

    operation: str
    order: str
    placement: Placement
    hold: str
    """The hold behind the new placement."""
    hold_is_new: bool
    """False where the way back is used: its hold stands since it was left."""
    traffic: tuple[PriceLine, ...] | None = None
    """Of the whole application once this move is done, after those before it; None: as before."""


class DueRecord(Shape):
    """Kind `due`, key: `MOMENT APPLICATION COMPONENT …`, so that the first key is due first."""

    what: Literal["way-back", "connection", "address"]
    due: Moment
    application: Name
    component: Name
    id: str = ""
    """The connection, or the site of the address."""


class ImageRecord(Shape):
    """Kind `image`, key: digest."""

    digest: Digest
    size_bytes: int
    stored_at: Moment


class CatalogueRecord(Shape):
    """Kind `catalogue`, key `listed`: the imported market, as it was received."""

    name: str
    providers_csv: str
    sites_csv: str
    offers_csv: str
    imported_at: Moment


class ConnectionRecord(Shape):
    """Kind `connection`, key: id. A person's short way to a component."""

    id: str
    application: Name
    component: Name
    grant: Grant


class ReplyRecord(Shape):
    """Kind `reply`, key: idempotency key. What was answered, to answer the same again."""

    request: Digest
    """Of method, path and body: the same key for another request is refused."""
    status: int
    body: str
    at: Moment


ShapeT = TypeVar("ShapeT", bound=Shape)


@dataclass(frozen=True, slots=True)
class Stored(Generic[ShapeT]):
    """A noun with the version that was read and its state."""

    key: str
    value: ShapeT
    version: int
    state: str


def load(tx: Transaction, kind: str, key: str, shape: type[ShapeT]) -> Stored[ShapeT] | None:
    """The noun, or None."""
    record = tx.get(kind, key)
    if record is None:
        return None
    return Stored(key, shape.model_validate(record.body), record.version, record.state)


def load_all(
    tx: Transaction, kind: str, shape: type[ShapeT], *, state: str | None = None, prefix: str = ""
) -> Sequence[Stored[ShapeT]]:
    """All of a kind, by key."""
    return [
        Stored(record.key, shape.model_validate(record.body), record.version, record.state)
        for record in tx.select(kind, state=state, prefix=prefix)
    ]


def save(tx: Transaction, kind: str, key: str, value: Shape, *, state: str = "", expect: int) -> None:
    """Write under guard. Raises Temporary(`conflict`)."""
    tx.put(kind, key, value.model_dump(mode="json"), state=state, expect=expect)


def load_operation(tx: Transaction, operation: str) -> Stored[Operation] | None:
    """Kind `operation`; store states `ordering` (not begun), `open`, `done`, `aborted`, `stuck`."""
    return load(tx, "operation", operation, Operation)


def pair_key(subject: str, site: str) -> str:
    """Key of what is kept per subject and site. Neither holds a space."""
    return f"{subject} {site}"
