"""The site file `offers.yaml`: who the provider is, where the site stands, what it offers."""

from decimal import Decimal
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from hanse.agent.place.marked import Marked, read_marked
from hanse.model.market.offer import HOURS_PER_MONTH, Offer, OfferKind, Provider, Site, SiteStatement
from hanse.model.shape import CountryCode, ProviderId, Shape, SiteId
from hanse.ports import Permanent

_MICRO = 1_000_000
_AMOUNT_MAX = 1_000_000_000
_EUR_MAX = 10_000_000
"""More is a slip of the pen, and no hub could reckon with it."""


class ProviderEntry(Shape):
    """The company that runs the site."""

    id: ProviderId
    name: str = Field(min_length=1, max_length=120)
    country: CountryCode
    """Seat, quoted: "NO"."""


class SiteEntry(Shape):
    """The place."""

    id: SiteId
    """`provider/site`."""
    city: str = Field(min_length=1, max_length=120)
    country: CountryCode
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    kind: Literal["datacentre", "micro", "edge"] = "datacentre"
    renewable: bool | None = None


class PortRange(Shape):
    """Ports `first` to `last`, both included. Written as "7200-7299"."""

    first: int = Field(ge=1024, le=65535)
    last: int = Field(ge=1024, le=65535)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        first, dash, last = value.partition("-")
        if not (dash and first.strip().isdigit() and last.strip().isdigit()):
            raise ValueError('a range of ports is written as "7200-7299"')
        return {"first": int(first), "last": int(last)}

    @model_validator(mode="after")
    def _ordered(self) -> "PortRange":
        if self.first > self.last:
            raise ValueError("the first port of a range must not be above the last")
        return self

    def __contains__(self, port: int) -> bool:
        return self.first <= port <= self.last


class DataEntry(Shape):
    """Where peers reach this site."""

    address: str = ""
    """IP or host name that other sites can connect to; empty: none, so nothing with state can move."""
    listen: str = ""
    """IP of this machine to listen at, where it differs from `address` (a site behind NAT)."""
    channel_port: int = Field(default=7199, ge=1024, le=65535)
    stream_ports: PortRange = PortRange(first=7200, last=7299)


class EndpointEntry(Shape):
    """Where outside clients reach the endpoints that this site carries."""

    address: str
    ports: PortRange = PortRange(first=8000, last=8099)
    eur_per_month: Decimal = Field(default=Decimal(0), ge=0, le=_EUR_MAX)


class LocalEntry(Shape):
    """Addresses for this machine only: connectors and the services behind the gates."""

    address: str = "127.0.0.1"
    ports: PortRange = PortRange(first=9000, last=9199)


class OfferEntry(Shape):
    """Something with a price. Absent numbers are unknown, not zero."""

    kind: OfferKind
    name: str = Field(pattern=r"^[A-Za-z0-9][\w.-]{0,62}$")
    vcpu: float | None = Field(default=None, gt=0, le=_AMOUNT_MAX)
    memory_gib: float | None = Field(default=None, gt=0, le=_AMOUNT_MAX)
    disk_gib: float | None = Field(default=None, ge=0, le=_AMOUNT_MAX)
    gpu: str = ""
    price_eur_per_hour: Decimal | None = Field(default=None, ge=0, le=_EUR_MAX)
    price_eur_per_month: Decimal | None = Field(default=None, ge=0, le=_EUR_MAX)
    price_eur_per_gib_month: Decimal | None = Field(default=None, ge=0, le=_EUR_MAX)
    egress_eur_per_gib: Decimal | None = Field(default=None, ge=0, le=_EUR_MAX)
    included_egress_gib: float | None = Field(default=None, ge=0, le=_AMOUNT_MAX)
    units: int | None = Field(default=None, ge=0, le=_AMOUNT_MAX)
    """How many of these can be sold at once; absent: no limit."""

    @model_validator(mode="after")
    def _one_price(self) -> "OfferEntry":
        per_gib = self.kind in {"bucket", "volume"}
        whole = [price for price in (self.price_eur_per_hour, self.price_eur_per_month) if price is not None]
        if per_gib and (whole or self.price_eur_per_gib_month is None):
            raise ValueError(f"a {self.kind} has exactly one price: price_eur_per_gib_month")
        if not per_gib and (len(whole) != 1 or self.price_eur_per_gib_month is not None):
            raise ValueError(
                f"a {self.kind} has exactly one price: price_eur_per_hour or price_eur_per_month"
            )
        return self


class SiteFile(Shape):
    """All of `offers.yaml`."""

    provider: ProviderEntry
    site: SiteEntry
    data: DataEntry = DataEntry()
    endpoint: EndpointEntry | None = None
    """Absent: this site carries no endpoints."""
    local: LocalEntry = LocalEntry()
    offers: tuple[OfferEntry, ...] = Field(default=(), max_length=10_000)

    @model_validator(mode="after")
    def _belongs_together(self) -> "SiteFile":
        if not self.site.id.startswith(f"{self.provider.id}/"):
            raise ValueError(f"the site's id must start with `{self.provider.id}/`")
        seen: set[tuple[str, str]] = set()
        for offer in self.offers:
            if (offer.kind, offer.name) in seen:
                raise ValueError(f"the offer {offer.kind} `{offer.name}` stands here twice")
            seen.add((offer.kind, offer.name))
        return self

    def offer_id(self, offer: OfferEntry) -> str:
        """`provider/site:kind:name`, as in `model.market.offer.Offer.id`."""
        return f"{self.site.id}:{offer.kind}:{offer.name}"


def read_site_file(text: str, name: str = "offers.yaml") -> SiteFile:
    """The site file in `text`. Raises Permanent(`file-unreadable`) with line, column, what is allowed."""
    marked = read_marked(text, name)
    try:
        return SiteFile.model_validate(marked.value)
    except ValidationError as error:
        lines = [_words(name, marked, dict(problem)) for problem in error.errors(include_url=False)]
        raise Permanent("file-unreadable", "\n".join(lines)) from error


def micro_eur(eur: Decimal | None) -> int | None:
    """Micro-euros, rounded half to even; None stays None."""
    return None if eur is None else int((eur * _MICRO).to_integral_value())


def statement_of(site_file: SiteFile, free: dict[str, int | None], as_of: str) -> SiteStatement:
    """What the site says of itself. `free`: units left by offer id, None for no limit."""
    source = f"stated by {site_file.site.id}"
    return SiteStatement(
        provider=Provider(
            provider=site_file.provider.id,
            name=site_file.provider.name,
            country=site_file.provider.country,
            source=source,
        ),
        site=Site(
            site=site_file.site.id,
            provider=site_file.provider.id,
            source=source,
            city=site_file.site.city,
            country=site_file.site.country,
            kind=site_file.site.kind,
            latitude=site_file.site.latitude,
            longitude=site_file.site.longitude,
            renewable=site_file.site.renewable,
        ),
        offers=tuple(_offer(site_file, entry, free, as_of) for entry in site_file.offers),
        endpoint_micro_eur_per_month=0
        if site_file.endpoint is None
        else micro_eur(site_file.endpoint.eur_per_month) or 0,
        data_address=site_file.data.address,
        channel_port=site_file.data.channel_port,
    )


def month_price(entry: OfferEntry) -> int | None:
    """Micro-euros per month of one unit, for offers that are not sold by the GiB."""
    if entry.price_eur_per_hour is not None:
        return micro_eur(entry.price_eur_per_hour * HOURS_PER_MONTH)
    return micro_eur(entry.price_eur_per_month)


def _offer(site_file: SiteFile, entry: OfferEntry, free: dict[str, int | None], as_of: str) -> Offer:
    return Offer(
        site=site_file.site.id,
        kind=entry.kind,
        name=entry.name,
        vcpu=entry.vcpu,
        memory_gib=entry.memory_gib,
        disk_gib=entry.disk_gib,
        gpu=entry.gpu,
        price_micro_eur_per_month=month_price(entry),
        price_micro_eur_per_gib_month=micro_eur(entry.price_eur_per_gib_month),
        egress_micro_eur_per_gib=micro_eur(entry.egress_eur_per_gib),
        included_egress_gib=entry.included_egress_gib,
        free_units=free.get(site_file.offer_id(entry)),
        bookable=True,
        source=f"stated by {site_file.site.id}",
        as_of=as_of,
    )


def _words(name: str, marked: Marked, problem: dict[str, object]) -> str:
    path = tuple(problem["loc"]) if isinstance(problem["loc"], tuple) else ()
    line, column = marked.place(path)
    where = ".".join(str(part) for part in path) or "the file"
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        allowed = ", ".join(_allowed(path[:-1]))
        message = f"this field is not known here; allowed are: {allowed}"
    elif problem["type"] == "missing":
        message = "this field is required"
    elif problem["type"] == "string_pattern_mismatch" and str(path[-1]) == "country":
        message = 'two capital letters in quotes are wanted (ISO 3166-1), such as "NO"'
    return f"{name}, line {line}, column {column}: {where}: {message}."


_SECTIONS: dict[str, type[Shape]] = {
    "provider": ProviderEntry, "site": SiteEntry, "data": DataEntry,
    "endpoint": EndpointEntry, "local": LocalEntry, "offers": OfferEntry,
}  # fmt: skip


def _allowed(path: tuple[object, ...]) -> list[str]:
    shape: type[Shape] = _SECTIONS.get(str(path[0]), SiteFile) if path else SiteFile
    return list(shape.model_fields)


__all__ = ["PortRange", "SiteFile", "micro_eur", "month_price", "read_site_file", "statement_of"]
