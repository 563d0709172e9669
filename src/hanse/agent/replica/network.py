"""All that the site's proxy holds: one desired set, computed from the journal alone."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from hanse.agent.parts import Parts
from hanse.agent.place.addresses import Addresses
from hanse.agent.replica.grants import Grants
from hanse.agent.replica.memory import Memory, Replica
from hanse.drivers.contract import GateStream, LocalRoute, RouteUpstream
from hanse.model.replica.role import ReplicaKey, ReplicaRole
from hanse.model.replica.spec import Stream, Upstream
from hanse.ports import Permanent, Temporary

_ROUTES = "route"
_SWITCHED = "switched"
_Set = tuple[tuple[GateStream, ...], tuple[LocalRoute, ...]]
_Held = TypeVar("_Held", GateStream, LocalRoute)
_GATED = (ReplicaRole.PRIMARY, ReplicaRole.FENCED, ReplicaRole.STANDBY)


class Network:
    """Gate streams of replicas here; routes of endpoints and connectors here.

    A route follows the highest epoch that it was ordered or switched to, and never goes back.
    """

    def __init__(self, parts: Parts, memory: Memory, grants: Grants, addresses: Addresses) -> None:
        self._parts = parts
        self._memory = memory
        self._grants = grants
        self.addresses = addresses
        self._closed: set[str] = set()
        self._kept_back: dict[str, tuple[str, float]] = {}
        """Routes that let nothing through: on whose behalf, until when. Never outlives the agent."""
        self._held: _Set | None = None
        self._in_proxy: frozenset[str] = frozenset()
        self._lock = asyncio.Lock()

    # -- streams ----------------------------------------------------------------------------------

    def stream(self, key: ReplicaKey, use: str) -> Stream:
        """Where peers find `clients` or `followers` of a replica; the port is reserved from now on."""
        name = f"{key}:{use}"
        _, port = self.addresses.stream(name)
        return Stream(name=name, peer=self._parts.identity.me, port=port)

    async def close(self, key: ReplicaKey, drain_seconds: float) -> None:
        """Let no client of a replica in any more; give running requests so long to end."""
        name = f"{key}:clients"
        self._closed.add(name)
        if name in self._in_proxy:
            await self._parts.router.close(name, drain_seconds)

    async def open(self, key: ReplicaKey) -> None:
        """Let clients in again."""
        name = f"{key}:clients"
        self._closed.discard(name)
        await self._at_once(name, lambda: self._parts.router.open(name))

    # -- routes -----------------------------------------------------------------------------------

    async def route(
        self,
        name: str,
        protocol: str,
        listen: tuple[str, int],
        upstreams: tuple[Upstream | None, ...],
        *,
        retries_unavailable: bool = False,
    ) -> int:
        """Hold a route; the first upstream is the one ordered, others are prepared. Returns its epoch."""
        ordered = upstreams[0]
        row = {
            "protocol": protocol,
            "listen": list(listen),
            "upstreams": [one.model_dump(mode="json") for one in upstreams if one is not None],
            "ordered": ordered is not None,
            "retries_unavailable": retries_unavailable,
        }
        before, active = self.active(name), self._active(name, row)
        if self._parts.journal.get(_ROUTES, name) != row:
            self._parts.journal.put(_ROUTES, name, row)
        if before is not None and active is not None and active.epoch > before.epoch:
            self._kept_back.pop(name, None)  # the order came before the switch that it was kept back for
        await self.hold()
        return 0 if active is None else active.epoch

    async def drop_route(self, name: str) -> None:
        """Take a route away and free its port."""
        self._parts.journal.delete(_ROUTES, name)
        self._parts.journal.delete(_SWITCHED, name)
        self.addresses.give_back(name)
        await self.hold()

    def routes_to(self, application: str, component: str) -> tuple[str, ...]:
        """Routes here that lead to a component."""
        return tuple(
            name
            for name, _ in self._parts.journal.items(_ROUTES)
            if name == f"endpoint:{application}/{component}"
            or (name.startswith(f"connector:{application}/") and name.endswith(f"/{component}"))
        )

    def routes_of(self, application: str, consumer: str) -> tuple[str, ...]:
        """Connectors here that a consumer uses."""
        prefix = f"connector:{application}/{consumer}/"
        return tuple(name for name, _ in self._parts.journal.items(_ROUTES) if name.startswith(prefix))

    def active(self, name: str) -> Upstream | None:
        """Where a route sends requests now."""
        row = self._parts.journal.get(_ROUTES, name)
        return None if row is None else self._active(name, row)

    async def switch(self, name: str, upstream: Upstream) -> None:
        """Send a route's requests to a later epoch; nothing happens if it is there or further."""
        now = self.active(name)
        if now is not None and now.epoch >= upstream.epoch:
            return
        self._parts.journal.put(_SWITCHED, name, upstream.model_dump(mode="json"))
        await self._lead(name, upstream)

    async def keep_back(self, name: str, by: str, drain_seconds: float, seconds: float) -> None:
        """Let no new request through a route for at most `seconds`; running ones may end meanwhile.

        Returns after `drain_seconds` at the latest. `let_go`, or the agent's end, ends it sooner.
        """
        if name in self._in_proxy:
            self._kept_back[name] = (by, self._parts.clock.monotonic() + seconds)
            await self._at_once(name, lambda: self._parts.router.switch(name, None))
            await self._parts.router.drain(name, drain_seconds)

    async def let_go(self, name: str, by: str) -> None:
        """Let waiting and new requests through a route again; nothing happens if `by` keeps none back."""
        if self._kept_back.get(name, ("", 0.0))[0] == by:
            del self._kept_back[name]
            await self._lead(name, self.active(name))

    async def _lead(self, name: str, upstream: Upstream | None) -> None:
        """To an upstream that the proxy knows already at once; then whatever else is not as wanted."""
        if upstream is None or not self._is_prepared(name, upstream) or self._is_kept_back(name):
            self._held = None
            await self.hold()
        else:
            await self._at_once(name, lambda: self._parts.router.switch(name, upstream.stream.peer.site))

    async def _at_once(self, name: str, change: Callable[[], Awaitable[None]]) -> None:
        """Change what needs no new configuration; then `hold`, unless nothing else is to be done."""
        async with self._lock:
            before, self._held = self._held, None
            if name in self._in_proxy:
                with suppress(Temporary, Permanent):  # `hold` does it, or says why not
                    await change()
                    wanted = (self._streams(), self._routes())
                    if before is not None and _differs_only_in(name, before, wanted):
                        self._held = wanted
        await self.hold()

    # -- the whole set ----------------------------------------------------------------------------

    async def hold(self) -> None:
        """Bring the proxy to the desired set. Raises Permanent or Temporary as the router does."""
        async with self._lock:
            wanted = (self._streams(), self._routes())
            if self._held == wanted:
                return
            self._held = None
            if any(wanted):
                await self._parts.router.hold(*wanted)
            else:
                await self._parts.router.stop()  # no proxy runs for nothing
            self._held = wanted
            self._in_proxy = frozenset(one.name for side in wanted for one in side)

    async def check(self) -> None:
        """Hold everything again, in case the proxy was ended by somebody."""
        self._held = None
        await self.hold()

    def _streams(self) -> tuple[GateStream, ...]:
        streams = []
        for replica in self._memory.all():
            if replica.role in _GATED:
                streams += [self._gate(replica, use) for use in ("clients", "followers")]
        return tuple(stream for stream in streams if stream is not None)

    def _gate(self, replica: Replica, use: str) -> GateStream | None:
        upstream = replica.clients if use == "clients" else replica.followers
        allowed = self._grants.certificates(replica.key, followers=use == "followers")
        if upstream is None or not allowed:
            return None
        try:
            stream = self.stream(replica.key, use)
        except Permanent:
            return None
        serves = replica.role is ReplicaRole.PRIMARY and stream.name not in self._closed
        return GateStream(
            name=stream.name,
            port=stream.port,
            upstream=upstream,
            allowed_certificates_pem=allowed,
            open=serves or (use == "followers" and replica.role is not ReplicaRole.STANDBY),
        )

    def _routes(self) -> tuple[LocalRoute, ...]:
        return tuple(self._local(name, row) for name, row in self._parts.journal.items(_ROUTES))

    def _local(self, name: str, row: dict[str, Any]) -> LocalRoute:
        active = self._active(name, row)
        places = {one.stream.peer.site: one for one in _upstreams(row)}
        if active is not None:
            places[active.stream.peer.site] = active
        return LocalRoute(
            name=name,
            protocol=row["protocol"],
            listen=(row["listen"][0], row["listen"][1]),
            upstreams=tuple(_place(places[site]) for site in sorted(places)),
            active=None if active is None or self._is_kept_back(name) else active.stream.peer.site,
            retries_unavailable=row.get("retries_unavailable", False),
        )

    def _active(self, name: str, row: dict[str, Any]) -> Upstream | None:
        switched = self._parts.journal.get(_SWITCHED, name)
        candidates = _upstreams(row)[:1] if row["ordered"] else []
        if switched is not None:
            candidates.append(Upstream.model_validate(switched))
        return max(candidates, key=lambda one: one.epoch, default=None)

    def _is_kept_back(self, name: str) -> bool:
        return self._parts.clock.monotonic() < self._kept_back.get(name, ("", float("-inf")))[1]

    def _is_prepared(self, name: str, upstream: Upstream) -> bool:
        row = self._parts.journal.get(_ROUTES, name)
        return row is not None and any(one.stream == upstream.stream for one in _upstreams(row))


def _differs_only_in(name: str, before: _Set, wanted: _Set) -> bool:
    """Whether `wanted` is `before` but for a gate's being open, or for where a route leads."""
    streams = tuple(_like(one, wanted[0]) if one.name == name else one for one in before[0])
    routes = tuple(_like(one, wanted[1]) if one.name == name else one for one in before[1])
    return (streams, routes) == wanted


def _like(one: _Held, others: tuple[_Held, ...]) -> _Held:
    found = next((other for other in others if other.name == one.name), one)
    if isinstance(one, GateStream) and isinstance(found, GateStream):
        return replace(one, open=found.open)
    if isinstance(one, LocalRoute) and isinstance(found, LocalRoute):
        return replace(one, active=found.active)
    return one


def _upstreams(row: dict[str, Any]) -> list[Upstream]:
    return [Upstream.model_validate(one) for one in row["upstreams"]]


def _place(upstream: Upstream) -> RouteUpstream:
    peer = upstream.stream.peer
    return RouteUpstream(
        name=peer.site,
        address=(peer.address, upstream.stream.port),
        pinned_certificate_pem=peer.certificate_pem,
    )
