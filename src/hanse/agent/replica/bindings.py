"""`consumer uses provider` at the consumer's site: a fixed local address and the values for `${…}`."""

from typing import Protocol, runtime_checkable

from hanse.agent.parts import Parts
from hanse.agent.replica.grants import Opened, open_grant
from hanse.agent.replica.network import Network
from hanse.agent.replica.pools import Pools
from hanse.drivers.contract import Driver
from hanse.model.replica.order import ReplicaOrder
from hanse.model.replica.role import ReplicaKey
from hanse.model.replica.spec import BindingSpec, Upstream
from hanse.ports import Temporary


@runtime_checkable
class Networked(Protocol):
    """A driver whose parts live in a network of their application's own."""

    async def prepare_network(self, application: str) -> str:
        """IP on this machine that this application's components, and no others, can connect to."""
        ...


class Bindings:
    """Connectors of the consumers at this site."""

    def __init__(self, parts: Parts, network: Network, pools: Pools) -> None:
        self._parts = parts
        self._network = network
        self._pools = pools

    async def environment(self, order: ReplicaOrder, driver: Driver) -> dict[str, str]:
        """`component.field` to value for every binding; the connectors are held when this returns.

        Raises Temporary(`binding-not-ready`) while a used component has no address or credential yet.
        """
        values: dict[str, str] = {}
        names = set()
        for binding in order.bindings:
            name = _name(order.key, binding)
            names.add(name)
            for field, value in (await self._connect(name, order.key, binding, driver)).items():
                values[f"{binding.component}.{field}"] = value
        await self._drop_others(order.key, names)
        return values

    async def drop(self, key: ReplicaKey) -> None:
        """Take away every connector of a consumer."""
        await self._drop_others(key, set())

    async def _connect(
        self, name: str, key: ReplicaKey, binding: BindingSpec, driver: Driver
    ) -> dict[str, str]:
        if binding.upstream is None or not binding.sealed_credential:
            raise Temporary(
                "binding-not-ready",
                f"{key.component} uses {binding.component}, which has no"
                f" {'address' if binding.upstream is None else 'credential'} yet."
                f" {key.component} starts when the hub passes it on.",
                delay_seconds=5.0,
            )
        credential = open_grant(self._parts, binding.sealed_credential)
        local = address = self._parts.site_file().local.address
        if isinstance(driver, Networked):
            address = await driver.prepare_network(key.application)
        upstreams = (binding.upstream, binding.standby_upstream)
        if binding.kind == "postgres":
            return await self._pooled(name, binding, (address, local), credential, upstreams)
        listen = self._network.addresses.local(name, address)
        await self._network.route(name, "http", listen, upstreams)
        return {"endpoint": f"http://{listen[0]}:{listen[1]}", **credential.fields}

    async def _pooled(
        self,
        name: str,
        binding: BindingSpec,
        addresses: tuple[str, str],
        credential: Opened,
        upstreams: tuple[Upstream | None, ...],
    ) -> dict[str, str]:
        """A pool that the consumer finds at the first address, over a route at the second.

        What the consumer is told never changes with the credential that is used upstream.
        """
        listen = self._network.addresses.local(f"{name}:pool", addresses[0])
        upstream = self._network.addresses.local(name, addresses[1])
        await self._network.route(name, "tcp", upstream, upstreams)
        own = await self._pools.pool(name, (listen, upstream), binding.clients, credential)
        database = credential.fields.get("database", "")
        place = f"{listen[0]}:{listen[1]}"
        return {
            "host": listen[0],
            "port": str(listen[1]),
            "database": database,
            "url": f"postgresql://{own['user']}:{own['password']}@{place}/{database}",
            **own,
        }

    async def _drop_others(self, key: ReplicaKey, names: set[str]) -> None:
        for name in self._network.routes_of(key.application, key.component):
            if name not in names:
                await self._pools.drop(name)
                await self._network.drop_route(name)


def _name(key: ReplicaKey, binding: BindingSpec) -> str:
    return f"connector:{key.application}/{key.component}/{binding.component}"
