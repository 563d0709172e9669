"""Providers, sites and offers. A blank in a source is None here: unknown, never zero."""

from typing import Literal

from pydantic import Field

from hanse.model.shape import CountryCode, MicroEur, ProviderId, Shape, SiteId

OfferKind = Literal["vm", "gpu_vm", "kubernetes", "postgres", "bucket", "volume"]
HOURS_PER_MONTH = 730


class Provider(Shape):
    """A company that sells capacity."""

    provider: ProviderId
    name: str
    country: CountryCode
    """Seat."""
    parent_country: CountryCode | None = None
    """Ultimate control, where sourced."""
    source: str


class Site(Shape):
    """A place where a provider runs things."""

    site: SiteId
    provider: ProviderId
    city: str
    country: CountryCode
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    kind: Literal["datacentre", "micro", "edge"]
    renewable: bool | None = None
    source: str


class Offer(Shape):
    """Something with a price at one site."""

    site: SiteId
    kind: OfferKind
    name: str
    vcpu: float | None = None
    memory_gib: float | None = None
    disk_gib: float | None = None
    """None: not said. 0: block storage is bought apart."""
    gpu: str = ""
    price_micro_eur_per_month: MicroEur | None = None
    """vm, gpu_vm, kubernetes, postgres: 730 hours."""
    price_micro_eur_per_gib_month: MicroEur | None = None
    """bucket, volume."""
    egress_micro_eur_per_gib: MicroEur | None = None
    included_egress_gib: float | None = None
    free_units: int | None = None
    """Units left; None: not stated."""
    bookable: bool = False
    """True when a joined site states it; False when only an imported catalogue lists it."""
    source: str
    as_of: str

    @property
    def id(self) -> str:
        """`provider/site:kind:name`; unique in a catalogue."""
        return f"{self.site}:{self.kind}:{self.name}"


class SiteStatement(Shape):
    """What a site says of itself when it joins and whenever that changes."""

    provider: Provider
    site: Site
    offers: tuple[Offer, ...]
    endpoint_micro_eur_per_month: MicroEur = 0
    runs: tuple[str, ...] = ()
    """Kinds of component that the site's drivers can hold here: `container`, `bucket`, `endpoint`."""
    not_enforced: tuple[str, ...] = ()
    """What `hanse doctor` found that this machine cannot enforce."""
    data_address: str = ""
    channel_port: int = 0


class Catalogue(Shape):
    """A versioned snapshot of the market. Small markets only: one object an offer."""

    version: str
    providers: tuple[Provider, ...]
    sites: tuple[Site, ...]
    offers: tuple[Offer, ...]
    rtt_ms: dict[str, float] = Field(default_factory=dict)
    """Measured round-trip times, key `from-site>to-site`; they override distance."""
    reach: dict[str, bool] = Field(default_factory=dict)
    """Measured reach between joined sites, key `from-site>to-site`."""
    runs: dict[SiteId, tuple[str, ...]] = Field(default_factory=dict)
    """Kinds of component that each joined site can hold."""
    endpoint_micro_eur_per_month: dict[SiteId, MicroEur] = Field(default_factory=dict)
