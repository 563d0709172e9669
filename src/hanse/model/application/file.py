"""The application file: one YAML document, version 1. `reader` makes it from text."""

from typing import Annotated, Final, Literal, get_args

from pydantic import Field, StringConstraints

from hanse.model.replica.spec import Clients
from hanse.model.shape import CountryCode, DatabaseName, Digest, Name, ProviderId, Shape

Level = Literal["site", "provider", "country"]
Countries = Literal["EU", "EEA"] | Annotated[tuple[CountryCode, ...], Field(min_length=1, max_length=249)]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
"""Letters, digits and underscores."""
Extension = Literal[
    "btree_gin",
    "btree_gist",
    "citext",
    "cube",
    "dict_int",
    "earthdistance",
    "fuzzystrmatch",
    "hstore",
    "intarray",
    "isn",
    "lo",
    "ltree",
    "pg_stat_statements",
    "pg_trgm",
    "pgcrypto",
    "seg",
    "tablefunc",
    "tcn",
    "tsm_system_rows",
    "tsm_system_time",
    "unaccent",
    "uuid-ossp",
]
"""Of PostgreSQL: neither a language that reaches the machine, nor a way to files or to other databases."""
POSTGRES_EXTENSIONS: Final[tuple[str, ...]] = get_args(Extension)
COMPONENTS_MAX = 64
YEAR_SECONDS = 365 * 24 * 3600


class Place(Shape):
    """A point on the map: a city that the catalogue knows, or coordinates."""

    city: str | None = None
    latitude: float | None = Field(default=None, ge=-90, le=90)
    longitude: float | None = Field(default=None, ge=-180, le=180)


class GroupRule(Shape):
    """Components that must stand apart, or together, at a level."""

    components: tuple[Name, ...] = Field(min_length=2, max_length=64)
    at: Level


class LatencyRule(Shape):
    """A component within so many milliseconds (round trip) of a place."""

    component: Name
    to: Place
    max_ms: float = Field(gt=0, le=10_000)


class Policy(Shape):
    """What must hold for the whole application."""

    countries: Countries | None = None
    """Every component and endpoint stands in one of these."""
    providers: tuple[ProviderId, ...] | None = Field(default=None, min_length=1, max_length=1000)
    """Only these providers."""
    exclude_providers: tuple[ProviderId, ...] = Field(default=(), max_length=1000)
    """None of these providers."""
    budget_eur_per_month: float | None = Field(default=None, ge=0.01, le=1e9)
    """All together cost at most this."""
    apart: tuple[GroupRule, ...] = Field(default=(), max_length=64)
    together: tuple[GroupRule, ...] = Field(default=(), max_length=64)
    latency: tuple[LatencyRule, ...] = Field(default=(), max_length=64)
    assume_egress_eur_per_gib: float | None = Field(default=None, ge=0, le=1000)
    """Reckon with this where an offer does not say what outgoing traffic costs, instead of rejecting it."""


class ContainerSize(Shape):
    """CPU, memory and scratch disk of a container."""

    vcpu: float = Field(ge=0.01, le=512)
    memory_gib: float = Field(ge=0.02, le=8192)
    disk_gib: float = Field(default=1, ge=0.001, le=20_000)
    """Scratch disk, empty at every start."""


class StorageSize(Shape):
    """Room for objects."""

    storage_gib: float = Field(ge=0.001, le=1_000_000)


class DatabaseSize(Shape):
    """CPU, memory and disk of a database server."""

    vcpu: float = Field(ge=0.01, le=512)
    memory_gib: float = Field(ge=0.1, le=8192)
    storage_gib: float = Field(ge=0.1, le=20_000)
    """Disk for the data, its indexes and its log."""


class Use(Shape):
    """This component talks to another one of the application."""

    component: Name
    clients: Clients | None = None
    """Only of a postgres, default transaction-safe: connections wait while it moves. `session`: the program
    keeps state in its connections (prepared statements, advisory locks); they are dropped and made anew."""
    traffic_gib_per_month: float = Field(default=0, ge=0, le=1e9)
    """What flows between the two; costs egress where they stand at different providers."""


class Expose(Shape):
    """A stable address for clients outside the application."""

    port: int = Field(ge=1, le=65535)
    """Where the program listens inside the container."""
    protocol: Literal["http", "tcp"] = "http"
    listen_port: int | None = Field(default=None, ge=1024, le=65535)
    """Wished port of the endpoint; the site picks one if it is absent."""


class _Component(Shape):
    way_back_seconds: int = Field(default=24 * 3600, ge=0, le=YEAR_SECONDS)
    """File: `way_back: 24h`. How long the source follows after a move; 0 for none."""
    retrieval_seconds: int = Field(default=30 * 24 * 3600, ge=0, le=10 * YEAR_SECONDS)
    """File: `retrieval: 30d`. How long `retained` is kept after leaving."""
    countries: Countries | None = None
    """Narrower than the policy's, for this component."""


class ContainerComponent(_Component):
    """A program in a container."""

    kind: Literal["container"]
    state: Literal["none"] = "none"
    image: Digest
    command: tuple[str, ...] = Field(default=(), max_length=1000)
    env: dict[EnvName, str] = Field(default_factory=dict)
    size: ContainerSize
    uses: tuple[Use, ...] = Field(default=(), max_length=64)
    expose: Expose | None = None


class BucketComponent(_Component):
    """S3 object storage."""

    kind: Literal["bucket"]
    size: StorageSize


class PostgresComponent(_Component):
    """A PostgreSQL server of its own."""

    kind: Literal["postgres"]
    size: DatabaseSize
    databases: tuple[DatabaseName, ...] = Field(default=(), max_length=16)
    """Made at the first start; `${component.database}` is the first. None: one, named like the component."""
    extensions: tuple[Extension, ...] = Field(default=(), max_length=32)
    """In every database."""


def databases_of(name: str, component: PostgresComponent) -> tuple[str, ...]:
    """Databases of the component with this name; the first is the one that `${name.database}` names."""
    return component.databases or (name.replace("-", "_"),)


Component = Annotated[ContainerComponent | BucketComponent | PostgresComponent, Field(discriminator="kind")]


class Application(Shape):
    """What a buyer wants to run, and what must hold."""

    hanse: Literal[1]
    name: Name
    policy: Policy = Policy()
    components: dict[Name, Component] = Field(min_length=1, max_length=COMPONENTS_MAX)
