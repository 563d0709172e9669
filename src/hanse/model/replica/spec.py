"""What a driver needs to know to hold a role: one shape per kind of component."""

from typing import Annotated, Literal

from pydantic import Field

from hanse.model.shape import DatabaseName, Digest, ExtensionName, Moment, Name, Shape, SiteId

Clients = Literal["transaction-safe", "session"]
"""How a consumer uses a database. `session`: it keeps state in its connection (prepared statements,
advisory locks), so that a switch drops its connections instead of holding them."""
MIB = 1024 * 1024
GIB = 1024 * MIB


class Size(Shape):
    """Resources of one replica. Bytes and thousandths of a CPU, never floats."""

    cpu_milli: int = Field(default=1000, ge=10, le=512_000)
    memory_bytes: int = Field(default=512 * MIB, ge=16 * MIB)
    disk_bytes: int = Field(default=GIB, ge=MIB)


class Peer(Shape):
    """Another site as this one may reach it: pinned by its own key, never by a name."""

    site: SiteId
    thumbprint: str
    """SHA-256 of the DER SubjectPublicKeyInfo of the site's key, hexadecimal."""
    certificate_pem: str
    """The site's self-signed certificate over that key: the trust anchor for its data ports."""
    sealing_key: str
    """X25519 public key of the site, a JWK as JSON text: what only this site may read is sealed to it."""
    address: str = ""
    """Data address of the site: IP or host name; empty where the site advertises none."""
    channel_port: int = 0
    """TCP port of the agent-to-agent channel at `address`."""


class Stream(Shape):
    """A byte stream served at a site's data address, over TLS with pinned keys at both ends."""

    name: str
    """`application/component/ordinal/realm:clients` or `…:followers`."""
    peer: Peer
    port: int


class Grant(Shape):
    """Leave to use a replica's service, made at its site and sealed for one reader."""

    name: str
    """Who: `component@provider/site`, `follower@provider/site` or `connect:ID`."""
    access: Literal["read", "write"]
    certificate_pem: str
    """Certificate that the reader's TLS client shows; only it is let in."""
    sealing_key: str
    expires_at: Moment | None = None


class Upstream(Shape):
    """Where a route sends its traffic: a stream at some site, and the epoch it belongs to."""

    stream: Stream
    epoch: int


class BindingSpec(Shape):
    """`consumer uses provider`, as the consumer's site needs it."""

    component: Name
    """The component that is used."""
    kind: Literal["bucket", "postgres"]
    upstream: Upstream | None = None
    standby_upstream: Upstream | None = None
    """A second, prepared upstream (the move's target), so that a switch needs no new configuration."""
    sealed_credential: str = ""
    """JWE to the consumer's site key, made at the provider's site; never read by the hub."""
    clients: Clients = "transaction-safe"
    """postgres: how this consumer uses it."""


class BucketSpec(Shape):
    """A bucket: S3 object storage."""

    kind: Literal["bucket"] = "bucket"
    size: Size
    bucket: Name


class ContainerSpec(Shape):
    """A container without state of its own."""

    kind: Literal["container"] = "container"
    size: Size
    image: Digest
    command: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
    """Values may hold `${component.field}` of a used component; resolved at the site only."""
    port: int | None = None
    """TCP port that the program listens on inside the container."""


class PostgresSpec(Shape):
    """A PostgreSQL cluster of its own."""

    kind: Literal["postgres"] = "postgres"
    size: Size
    databases: tuple[DatabaseName, ...] = Field(min_length=1, max_length=16)
    """Made at the first start; the first one is the one that `${component.database}` names."""
    extensions: tuple[ExtensionName, ...] = Field(default=(), max_length=32)
    """In every database. Only names that the driver lists."""


class FakeSpec(Shape):
    """A component that exists in memory only; tests and simulations."""

    kind: Literal["fake"] = "fake"
    size: Size
    stateless: bool = False


ReplicaSpec = Annotated[BucketSpec | ContainerSpec | PostgresSpec | FakeSpec, Field(discriminator="kind")]
