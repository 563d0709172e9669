"""The own network of an application at a site: a bridge without a way out.

The driver makes bridge and cable itself (not podman's netavark), so that the gateway address, where
connectors listen, exists before the first container and after the last one stopped, and no
firewall rule of the machine is ever touched. A container has an address, no default route, no
capability to make one, and a bridge port that is isolated from every other container's; the bridge
answers for its gateway address only.
"""

import hashlib
import ipaddress
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from hanse.drivers.container.process import Finished, run
from hanse.drivers.identity import write_file
from hanse.ports import Permanent, Temporary

_PREFIX = 26
_HOSTS = 61
"""Containers that a /26 holds beside its gateway."""


@dataclass(frozen=True, slots=True)
class Own:
    """What was decided for one application; stable until the network is released."""

    bridge: str
    subnet: str
    hosts: Mapping[str, int] = field(default_factory=dict)
    """Container name to its number in the subnet."""

    @property
    def gateway(self) -> str:
        """The site's own address on the bridge."""
        return str(ipaddress.ip_network(self.subnet)[1])


class ContainerNetwork:
    """Gives each application of a site a bridge of its own out of a pool of private addresses.

    `directory` holds what was decided; `pool` is cut into subnets of 61 containers. A subnet that
    this machine already uses or routes to is never taken.
    """

    def __init__(self, directory: Path, pool: str = "10.201.0.0/16") -> None:
        self._directory = directory
        self._subnets = list(ipaddress.ip_network(pool).subnets(new_prefix=_PREFIX))

    def gateway(self, application: str) -> str:
        """Where connectors of this application listen. Raises Permanent(`network-missing`)."""
        own = self._load(application)
        if own is None:
            raise Permanent(
                "network-missing", f"application {application} has no container network at this site yet"
            )
        return own.gateway

    def applications(self) -> list[str]:
        """Those that have a network here."""
        return sorted(path.stem for path in self._directory.glob("*.json"))

    async def prepare(self, application: str) -> str:
        """Have the bridge up and its gateway address bound; returns the address. May be repeated.

        Raises Permanent(`network-unavailable`) where the kernel has no bridges or the pool is used up.
        """
        own = self._load(application)
        if own is not None and await self._raise_bridge(own):
            return own.gateway
        for subnet in self._candidates(application, await _networks_in_use()):
            own = Own(_short("hb", self._directory, application), str(subnet), own.hosts if own else {})
            self._save(application, own)
            if await self._raise_bridge(own):
                return own.gateway
        raise Permanent(
            "network-unavailable",
            f"no free subnet is left for application {application}; give this site another address pool",
        )

    def address(self, application: str, name: str) -> str:
        """The stable address of a container in its application's network, chosen at the first call."""
        own = self._load(application)
        if own is None:
            raise Permanent("network-missing", f"application {application} has no network at this site yet")
        if name not in own.hosts:
            free = next((n for n in range(2, _HOSTS + 2) if n not in own.hosts.values()), None)
            if free is None:
                raise Permanent(
                    "network-unavailable", f"application {application} has {_HOSTS} containers at this site"
                )
            own = replace(own, hosts={**own.hosts, name: free})
            self._save(application, own)
        return str(ipaddress.ip_network(own.subnet)[own.hosts[name]])

    async def attach(self, application: str, name: str, pid: int) -> None:
        """Plug a container, given by a process in its network namespace, into the bridge. May be repeated."""
        own, address, cable = self._load(application), self.address(application, name), self._cable(name)
        if own is None or await _is_port_of(cable, own.bridge):
            return
        await run("ip", "link", "delete", cable)
        inside = ("peer", "name", "eth0", "address", _hardware(address), "netns", str(pid))
        await _must("ip", "link", "add", cable, "type", "veth", *inside)
        await _must("ip", "link", "set", cable, "addrgenmode", "none")
        await _must("ip", "link", "set", cable, "master", own.bridge)
        await _must("bridge", "link", "set", "dev", cable, "isolated", "on")
        await _must("ip", "link", "set", cable, "up")
        there = ("nsenter", f"--net=/proc/{pid}/ns/net", "ip")
        await _must(*there, "link", "set", "eth0", "addrgenmode", "none")
        await _must(*there, "address", "add", f"{address}/{_PREFIX}", "dev", "eth0")
        await _must(*there, "link", "set", "lo", "up")
        await _must(*there, "link", "set", "eth0", "up")

    async def detach(self, application: str, name: str) -> None:
        """Unplug a container and forget its address. May be repeated."""
        await run("ip", "link", "delete", self._cable(name))
        own = self._load(application)
        if own is not None and name in own.hosts:
            self._save(application, replace(own, hosts={k: v for k, v in own.hosts.items() if k != name}))

    async def release(self, application: str) -> None:
        """Remove the bridge. No error if it is not there; the caller knows that nobody uses it."""
        own = self._load(application)
        if own is None:
            return
        await run("ip", "link", "delete", own.bridge)
        self._file(application).unlink(missing_ok=True)

    async def leftovers(self) -> list[str]:
        """Bridges of this directory that still exist."""
        named = {_short("hb", self._directory, name) for name in self.applications()}
        return sorted(named & {str(link["ifname"]) for link in await _ip("link")})

    async def _raise_bridge(self, own: Own) -> bool:
        """True if the bridge stands alone with its subnet; False if the subnet belongs to another."""
        made = await run("ip", "link", "add", own.bridge, "address", _hardware(own.gateway), "type", "bridge")
        if made.code and "File exists" not in made.complaint:
            raise Permanent("network-unavailable", f"this machine makes no network bridges: {made.last_line}")
        await _must("ip", "link", "set", own.bridge, "addrgenmode", "none")
        _answer_for_the_gateway_only(own.bridge)
        await _must("ip", "address", "replace", f"{own.gateway}/{_PREFIX}", "dev", own.bridge)
        if await _taken_by_another(own):
            await run("ip", "address", "delete", f"{own.gateway}/{_PREFIX}", "dev", own.bridge)
            return False
        await _must("ip", "link", "set", own.bridge, "up")
        return True

    def _candidates(
        self, application: str, used: list[ipaddress.IPv4Network]
    ) -> Iterator[ipaddress.IPv4Network]:
        start = int(_digest(self._directory, application), 16) % len(self._subnets)
        for subnet in self._subnets[start:] + self._subnets[:start]:
            if isinstance(subnet, ipaddress.IPv4Network) and not any(subnet.overlaps(n) for n in used):
                yield subnet

    def _cable(self, name: str) -> str:
        return _short("hv", self._directory, name)

    def _file(self, application: str) -> Path:
        return self._directory / f"{application}.json"

    def _load(self, application: str) -> Own | None:
        try:
            return Own(**json.loads(self._file(application).read_text()))
        except FileNotFoundError:
            return None

    def _save(self, application: str, own: Own) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        write_file(self._file(application), json.dumps(asdict(own)).encode())


def _answer_for_the_gateway_only(bridge: str) -> None:
    """The machine's other addresses stay out of reach.

    A program that binds its socket to a device needs no route: the kernel then asks by ARP for whatever
    address it names, and this machine would answer for each of its own, other applications' gateways too.
    """
    try:
        Path("/proc/sys/net/ipv4/conf", bridge, "arp_ignore").write_text("1")
    except OSError as error:
        raise Permanent(
            "network-unavailable",
            f"container networks cannot be kept apart here: {error}; let the agent write to /proc/sys",
        ) from error


async def _taken_by_another(own: Own) -> bool:
    """Two engines may choose at once: the bridge that was made first keeps the subnet."""
    subnet = ipaddress.ip_network(own.subnet)
    holders = [
        (link["ifindex"], link["ifname"])
        for link in await _ip("address")
        for entry in link.get("addr_info", ())
        if entry["family"] == "inet" and ipaddress.ip_address(entry["local"]) in subnet
    ]
    return bool(holders) and min(holders)[1] != own.bridge


async def _networks_in_use() -> list[ipaddress.IPv4Network]:
    used = [
        ipaddress.ip_network(f"{entry['local']}/{entry['prefixlen']}", strict=False)
        for link in await _ip("address")
        for entry in link.get("addr_info", ())
        if entry["family"] == "inet"
    ]
    used += [
        ipaddress.ip_network(route["dst"], strict=False)
        for route in await _ip("route")
        if route["dst"] != "default"
    ]
    return [network for network in used if isinstance(network, ipaddress.IPv4Network)]


async def _is_port_of(cable: str, bridge: str) -> bool:
    return any(link["ifname"] == cable and link.get("master") == bridge for link in await _ip("link"))


async def _ip(what: str) -> list[dict[str, Any]]:
    told = await _must("ip", "-json", what, "show")
    return json.loads(told.output or "[]")  # type: ignore[no-any-return]


async def _must(*argv: str) -> Finished:
    finished = await run(*argv, timeout_seconds=30)
    if finished.code:
        raise _failed(finished)
    return finished


def _failed(finished: Finished) -> Temporary:
    return Temporary(
        "network-failed", f"the container network could not be set up: {finished.last_line}", 1.0
    )


def _hardware(address: str) -> str:
    """One hardware address for each IP address, for ever.

    Otherwise neighbours keep sending to the last container's, or to the bridge's before a port came or
    went, until their caches expire: up to a minute of silence after a restart.
    """
    return "02:00:" + ":".join(f"{byte:02x}" for byte in ipaddress.ip_address(address).packed)


def _digest(directory: Path, name: str) -> str:
    return hashlib.sha256(f"{directory.resolve()}\0{name}".encode()).hexdigest()


def _short(head: str, directory: Path, name: str) -> str:
    """A name for an interface: at most 15 bytes, the same for the same thing."""
    return head + _digest(directory, name)[:12]
