"""Ports of this site: taken once from the site's ranges, journaled, the same after every restart."""

from collections.abc import Callable

from hanse.agent.place.file import PortRange, SiteFile
from hanse.ports import Journal, Permanent

_TABLE = "port"


class Addresses:
    """Hands out (address, port) by name. Raises Permanent(`no-port-free`) when a range is used up."""

    def __init__(
        self, journal: Journal, site_file: Callable[[], SiteFile], is_free: Callable[[str, int], bool]
    ) -> None:
        self._journal = journal
        self._site_file = site_file
        self._is_free = is_free

    def stream(self, name: str) -> tuple[str, int]:
        """Where peers find a gate stream, at the data address."""
        data = self._site_file().data
        if not data.address:
            raise Permanent(
                "no-data-address",
                f"{name} cannot be served: this site's offers.yaml states no data.address."
                " Add an address that other sites can connect to.",
            )
        return data.address, self._take("stream", name, data.address, data.stream_ports)

    def endpoint(self, name: str, wished: int | None) -> tuple[str, int]:
        """Where outside clients find an endpoint; `wished` is kept if it is free and in the range."""
        entry = self._site_file().endpoint
        if entry is None:
            raise Permanent(
                "no-endpoint-address",
                f"{name} cannot be carried: this site's offers.yaml has no `endpoint` section.",
            )
        ports = entry.ports if wished is None else PortRange(first=wished, last=wished)
        if wished is not None and wished not in entry.ports:
            raise Permanent(
                "port-outside-range",
                f"{name} wishes port {wished}, but this site's endpoints have ports"
                f" {entry.ports.first}-{entry.ports.last}. Choose one of these as `listen_port`, or none.",
            )
        return entry.address, self._take("endpoint", name, entry.address, ports)

    def local(self, name: str, address: str) -> tuple[str, int]:
        """Where a consumer on this machine finds its connector: from the end, parts take the first ones."""
        return address, self._take("local", name, address, self._site_file().local.ports, downward=True)

    def give_back(self, prefix: str) -> None:
        """Free every port whose name is `prefix` or starts with `prefix` and `:` or `/`."""
        for key, _ in self._journal.items(_TABLE):
            name = key.partition("/")[2]
            if name == prefix or name.startswith((f"{prefix}:", f"{prefix}/")):
                self._journal.delete(_TABLE, key)

    def _take(self, pool: str, name: str, address: str, ports: PortRange, *, downward: bool = False) -> int:
        key = f"{pool}/{name}"
        known = self._journal.get(_TABLE, key)
        if known is not None and known["address"] == address and known["port"] in ports:
            return int(known["port"])
        taken = {
            (entry["address"], entry["port"]): other
            for other, entry in self._journal.items(_TABLE)
            if other != key
        }
        every = range(ports.first, ports.last + 1)
        for port in reversed(every) if downward else every:
            if (address, port) not in taken and self._is_free(address, port):
                self._journal.put(_TABLE, key, {"address": address, "port": port})
                return port
        holder = taken.get((address, ports.first), "another program")
        raise Permanent(
            "no-port-free",
            f"{name} needs a port at {address}, but all of {ports.first}-{ports.last} are taken"
            f" ({ports.first}: {holder}). Widen the range in offers.yaml or end what uses them.",
        )
