"""What every driver promises. One contract test runs against each of them, the fake first.

A driver holds a role for its kind and nothing else: it knows no hub, no operation, no ticket.
Every method may be called again at any time, also after a crash in the middle of itself, and
then finishes what was begun. Failures are `ports.Temporary` or `ports.Permanent`, nothing else.
Parts (processes, containers) outlive the agent; `look` finds them again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from hanse.model.replica.observation import Progress
from hanse.model.replica.role import ReplicaKey, ReplicaRole
from hanse.model.replica.spec import Clients, ReplicaSpec, Stream


@dataclass(frozen=True, slots=True)
class Held:
    """What is there now, looked at and not remembered."""

    role: ReplicaRole
    alive: bool
    """The part that should run does run. True for roles that run nothing."""
    used_bytes: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Served:
    """Where a replica's clients, and its followers, find it on this machine."""

    clients: tuple[str, int]
    """(IP, port) for the gate or a local route to connect to. Plain TCP, this machine only."""
    followers: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Credential:
    """A name and secret that a replica accepts. `fields` are the `${component.field}` values."""

    name: str
    access: str
    """`read` or `write`."""
    fields: Mapping[str, str] = field(repr=False)
    """bucket: access_key, secret_key. postgres: user, password, database."""


@dataclass(frozen=True, slots=True)
class Source:
    """A primary as a follower reaches it: its follower stream, own TLS files, a credential."""

    stream: Stream
    own_certificate_file: str
    own_key_file: str
    pinned_certificate_file: str
    fields: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass of a follower: what was still different when it began, and what it moved."""

    bytes_moved: int
    objects_moved: int
    bytes_total: int
    objects_total: int
    position: str
    """Content digest (or log position) that this follower now holds."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Capability:
    """What a driver can do on this machine."""

    kind: str
    usable: bool
    missing: tuple[str, ...] = ()
    """Each with the exact command that would add it."""
    not_enforced: tuple[str, ...] = ()


class Report(Protocol):
    """Called by long work with how far it is."""

    def __call__(self, progress: Progress) -> None:
        """Cheap; never raises."""
        ...


class Driver(Protocol):
    """Holds roles for one kind of component at one site."""

    kind: str
    stateless: bool

    async def probe(self) -> Capability:
        """What this machine can do. Changes nothing."""
        ...

    async def look(self, key: ReplicaKey) -> Held:
        """What is there now."""
        ...

    async def primary(
        self, key: ReplicaKey, spec: ReplicaSpec, environment: Mapping[str, str], report: Report
    ) -> Served:
        """Serve, reading and writing. `environment`: resolved values for `${…}` of a container."""
        ...

    async def standby(self, key: ReplicaKey, spec: ReplicaSpec, report: Report) -> None:
        """Have everything in place to follow, and to become primary soon. Serves nobody."""
        ...

    async def fence(self, key: ReplicaKey) -> str:
        """Take no more writes from anybody; return the final position. Reading by followers goes on."""
        ...

    async def retain(self, key: ReplicaKey) -> None:
        """Keep the data, serve nobody."""
        ...

    async def erase(self, key: ReplicaKey) -> int:
        """Leave nothing; return the bytes that were erased. No error if nothing is there."""
        ...

    async def logs(self, key: ReplicaKey, lines: int) -> str:
        """Last lines that the part wrote; never a secret."""
        ...


@runtime_checkable
class Following(Protocol):
    """Kinds with state: a standby catches up with a primary elsewhere."""

    async def follow(self, key: ReplicaKey, source: Source, report: Report) -> Pass:
        """One pass. Afterwards the standby holds what the source held when the pass began."""
        ...

    async def catch_up(self, key: ReplicaKey, source: Source, position: str, report: Report) -> Pass:
        """The last pass against a fenced source; verifies that `position` is reached.

        Raises Permanent(`content-differs`) when it is not, with the number of differences.
        """
        ...

    async def serve_followers(self, key: ReplicaKey) -> tuple[str, int]:
        """Where followers read from, also while fenced."""
        ...


@runtime_checkable
class Foreseeing(Protocol):
    """Kinds that know as a standby where they will be found as primary: routes are laid beforehand."""

    async def will_serve(self, key: ReplicaKey) -> Served:
        """What `primary` will return; nothing listens there for clients yet."""
        ...


@runtime_checkable
class Bracing(Protocol):
    """Kinds whose fence is quicker if something is done shortly before it."""

    async def brace(self, key: ReplicaKey) -> None:
        """A fence of this primary is near. Clients notice nothing; only a help, so it may fail."""
        ...


@runtime_checkable
class Granting(Protocol):
    """Kinds whose service asks for a credential."""

    rotates: bool
    """True: a new primary makes credentials of its own; False: it takes over those that are in use."""

    async def grant(self, key: ReplicaKey, credentials: tuple[Credential, ...]) -> None:
        """Exactly these are accepted from now on. For a fenced replica only `read` ones work."""
        ...

    def new_credential(self, name: str, access: str) -> Credential:
        """A fresh random one; not yet accepted."""
        ...


@dataclass(frozen=True, slots=True)
class GateStream:
    """A replica's service, offered at the site's data address to pinned peers only."""

    name: str
    port: int
    upstream: tuple[str, int]
    allowed_certificates_pem: tuple[str, ...]
    open: bool


@dataclass(frozen=True, slots=True)
class LocalRoute:
    """A fixed local address whose traffic goes to an upstream stream, here or at another site."""

    name: str
    """`endpoint:app/component` or `connector:app/consumer/component`."""
    protocol: str
    """`http` or `tcp`."""
    listen: tuple[str, int]
    upstreams: tuple["RouteUpstream", ...]
    active: str | None
    """Name of the upstream in use; None holds requests until one is set."""
    retries_unavailable: bool = False
    """http: a request that may be repeated is tried again when the program answers 503."""


@dataclass(frozen=True, slots=True)
class RouteUpstream:
    """One of the places that a route may send to."""

    name: str
    """Site id."""
    address: tuple[str, int]
    pinned_certificate_pem: str | None
    """None: plain TCP on this machine."""


class Router(Protocol):
    """The site's proxy: gate streams in, local routes out. Outlives the agent."""

    async def probe(self) -> Capability:
        """What this machine can do. Changes nothing."""
        ...

    async def hold(self, streams: tuple[GateStream, ...], routes: tuple[LocalRoute, ...]) -> None:
        """Exactly these from now on, without breaking connections that go on."""
        ...

    async def switch(self, route: str, upstream: str | None) -> None:
        """Send new requests of a route elsewhere, at once; waiting ones follow. No reload."""
        ...

    async def drain(self, route: str, seconds: float) -> int:
        """Wait until a route's running requests have ended; return how many have not after `seconds`.

        Waiting requests, which have no upstream yet, do not count. No error for an unknown route.
        """
        ...

    async def close(self, stream: str, drain_seconds: float) -> int:
        """Refuse new connections, let running requests finish; return how many were cut off."""
        ...

    async def open(self, stream: str) -> None:
        """Accept connections again."""
        ...

    async def stop(self) -> None:
        """End the proxy process of this site."""
        ...


@dataclass(frozen=True, slots=True)
class Pool:
    """One consumer's way into a database: fixed address and login here, another login upstream."""

    name: str
    """`connector:app/consumer/component`, as the local route that it goes through."""
    listen: tuple[str, int]
    upstream: tuple[str, int]
    """The local route (tcp) that leads to the database's gate, wherever that is."""
    clients: Clients
    own: Mapping[str, str] = field(repr=False)
    """`user` and `password` that the consumer logs in with; they never change."""
    login: Mapping[str, str] = field(repr=False)
    """`user` and `password` that are used upstream; new ones after each move."""


class Pooler(Protocol):
    """The connection poolers at a consumer's site. Their processes outlive the agent."""

    async def probe(self) -> Capability:
        """What this machine can do. Changes nothing."""
        ...

    async def hold(self, pools: tuple[Pool, ...]) -> None:
        """Exactly these from now on. A changed login is used for new upstream connections at once."""
        ...

    async def pause(self, name: str, seconds: float) -> bool:
        """Let no statement through any more: running transactions end, clients wait; no connection
        upstream is left. False: somebody was cut off, because `seconds` were over or because a client
        of kind `session` had a connection. No error for an unknown name.
        """
        ...

    async def resume(self, name: str) -> None:
        """Let statements through again, over new upstream connections. No error if it was not paused."""
        ...

    async def stop(self) -> None:
        """End all pooler processes of this site."""
        ...
