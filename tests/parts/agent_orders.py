"""What a hub would order: a bucket at one site, followed by another, used by a web container."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from agent_world import START, World

from hanse.drivers.fake.net import Reply, Request
from hanse.model.replica.order import ReplicaOrder, RouteOrder, Ticket, TicketOrder
from hanse.model.replica.role import ReplicaKey
from hanse.model.replica.spec import (
    BindingSpec,
    BucketSpec,
    ContainerSpec,
    Grant,
    PostgresSpec,
    Size,
    Stream,
    Upstream,
)

STORE = ReplicaKey(application="shop", component="store")
WEB = ReplicaKey(application="shop", component="web")
BUCKET = BucketSpec(size=Size(), bucket="shop-store")
DATABASE = PostgresSpec(size=Size(), databases=("store",))
MANDATE = "sha256:" + "0" * 64
IMAGE = "sha256:" + "1" * 64


def grant(world: World, name: str, access: str = "write", **more: Any) -> Grant:
    """For the reader that stands after the `@`."""
    site = name.partition("@")[2]
    return Grant.model_validate(
        {
            "name": name,
            "access": access,
            "certificate_pem": f"key-of-{site}",
            "sealing_key": f"seal-of-{site}",
            **more,
        }
    )


def bucket(role: str, epoch: int, **more: Any) -> ReplicaOrder:
    """An order for the store."""
    return ReplicaOrder.model_validate(
        {"key": STORE, "role": role, "epoch": epoch, "mandate": MANDATE, "spec": BUCKET, **more}
    )


def database(role: str, epoch: int, **more: Any) -> ReplicaOrder:
    """An order for the store, where it is a database."""
    return bucket(role, epoch, **more).model_copy(update={"spec": DATABASE})


def web(role: str, epoch: int, **more: Any) -> ReplicaOrder:
    """An order for the container."""
    spec = ContainerSpec(size=Size(), image=IMAGE, port=8080, env={"KEY": "${store.access_key}"})
    return ReplicaOrder.model_validate(
        {"key": WEB, "role": role, "epoch": epoch, "mandate": MANDATE, "spec": spec, **more}
    )


@dataclass
class Move:
    """The store at a/1, a standby at b/1, a web at c/1 that uses it; all ready."""

    world: World
    source: str = "a/1"
    target: str = "b/1"
    ticket: str = "t1"
    deadline_seconds: float = 30.0
    kind: str = "bucket"
    holding: tuple[str, ...] = ()

    def store(self, role: str, epoch: int, **more: Any) -> ReplicaOrder:
        """An order for the store."""
        return (database if self.kind == "postgres" else bucket)(role, epoch, **more)

    async def deploy(self) -> None:
        """Primary of epoch 1 with grants, standby that has caught up, connector of web."""
        world = self.world
        for site in ("a/1", "b/1", "c/1"):
            world.add(site)
            world.start(site)
        world.order("a/1", self.store("primary", 1, grants=self.grants()))
        state = await world.ready("a/1", "replica/shop/store/0/live", "primary")
        world.order("c/1", web("primary", 1, bindings=(self.binding(state),)))
        await world.ready("c/1", "replica/shop/web/0/live", "primary")
        world.order("b/1", self.standby(state, 1, "b/1"))
        await world.ready("b/1", "replica/shop/store/0/live", "standby")

    async def foresee(self) -> None:
        """Web's connector is told where the store will be found after the move."""
        source = self.world.said(self.source, "replica/shop/store/0/live")
        target = self.world.said(self.target, "replica/shop/store/0/live")
        prepared = Upstream(stream=target.clients, epoch=target.epoch)
        self.world.order("c/1", web("primary", 1, bindings=(self.binding(source, prepared),)))
        name = "connector:shop/web/store"
        await self.world.until(lambda: len(self.world.proxies["c/1"].routes[name].upstreams) == 2)

    def grants(self) -> tuple[Grant, ...]:
        """Of web and of both sites as followers."""
        names = ("follower@a/1", "follower@b/1", "web@c/1")
        return tuple(grant(self.world, name, "write" if name == "web@c/1" else "read") for name in names)

    def binding(self, state: Any, prepared: Any = None) -> BindingSpec:
        """As the hub passes it on from the store's site."""
        return BindingSpec(
            component="store",
            kind=self.kind,
            upstream=Upstream(stream=state.clients, epoch=state.epoch),
            standby_upstream=prepared,
            sealed_credential=state.sealed_credentials["web@c/1"],
        )

    def standby(self, state: Any, epoch: int, site: str) -> ReplicaOrder:
        """Follow the replica that says `state`."""
        sealed = state.sealed_credentials[f"follower@{site}"]
        return self.store("standby", epoch, follow=state.followers, sealed_follow_credential=sealed)

    def ticket_order(self, **more: Any) -> TicketOrder:
        """For all parties."""
        target = self.world.said(self.target, "replica/shop/store/0/live")
        ticket = Ticket(
            ticket=self.ticket,
            key=STORE,
            from_epoch=target.epoch,
            source=self.world.peer(self.source),
            target=self.world.peer(self.target),
            routes=(self.world.peer("c/1"),),
            holding=self.holding,
            target_stream=target.clients,
            deadline_seconds=self.deadline_seconds,
        )
        return TicketOrder.model_validate({"ticket": ticket, **more})

    def cut_over(self) -> None:
        """Give the ticket to everybody."""
        order = self.ticket_order()
        for site in ("c/1", self.target, self.source):
            self.world.order(site, order)

    async def put(self, name: str) -> Reply:
        """As web does it: through its connector, with its own credential."""
        given = self.world.machines["c/1"].parts["shop/web/0/live"].environment
        host, port = given.get("store.host", "local.c/1.example"), given.get("store.port", "")
        request = Request(
            verb="put",
            name=name,
            data=b"x",
            access_key=given.get("store.user") or given["store.access_key"],
            secret_key=given.get("store.password") or given["store.secret_key"],
        )
        port = port or given["store.endpoint"].rsplit(":", 1)[1]
        return await self.world.net.ask("local.c/1.example", (host, int(port)), request)

    def takes_writes(self) -> list[str]:
        """Sites whose store would acknowledge a write now."""
        return [
            site
            for site, machine in self.world.machines.items()
            if (part := machine.parts.get("shop/store/0/live")) is not None and part.takes_writes
        ]

    def outcome(self, site: str) -> Any:
        """How the ticket stands at a site."""
        return self.world.said(site, f"ticket/{self.ticket}")


def stream(world: World, site: str, key: ReplicaKey = WEB, port: int = 7200) -> Stream:
    """Some replica's clients' stream."""
    return Stream(name=f"{key}:clients", peer=world.peer(site), port=port)


def route(world: World, site: str, epoch: int, **more: Any) -> RouteOrder:
    """An endpoint for web, sent to `site`."""
    return RouteOrder.model_validate(
        {
            "application": "shop",
            "component": "web",
            "protocol": "http",
            "upstream": Upstream(stream=stream(world, site), epoch=epoch),
            **more,
        }
    )


def later(seconds: float) -> Any:
    """A moment on the world's clock."""
    return START + timedelta(seconds=seconds)
