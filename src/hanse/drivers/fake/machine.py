"""What is left of a site when its agent is dead: the parts that run, their data, what they acknowledged."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from hanse.drivers.contract import Credential
from hanse.drivers.fake.net import Address, Denied, Lost, Net, Refused, Reply, Request, Unknown
from hanse.model.replica.role import ReplicaRole


def login(fields: Mapping[str, str]) -> tuple[str, str]:
    """Name and secret of a credential of any kind."""
    if "user" in fields:
        return fields["user"], fields["password"]
    return fields.get("access_key", ""), fields.get("secret_key", "")


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A write that a replica took: for oracles, in order of acknowledgement over all sites of a world."""

    number: int
    site: str
    part: str
    name: str
    data: bytes


@dataclass(slots=True)
class History:
    """Every acknowledged write of a world, and every moment at which a replica could take writes."""

    writes: list[Acknowledged] = field(default_factory=list)

    def add(self, site: str, part: str, request: Request) -> None:
        """One more write."""
        number = len(self.writes) + 1
        self.writes.append(Acknowledged(number, site, part, request.name, request.data))


@dataclass(slots=True)
class Part:
    """One replica's store and the process that serves it."""

    name: str
    site: str
    machine: "Machine"
    stateless: bool
    role: ReplicaRole = ReplicaRole.STANDBY
    alive: bool = True
    data: dict[str, bytes] = field(default_factory=dict)
    credentials: tuple[Credential, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    running: int = 0
    """Requests that are being answered."""
    lines: list[str] = field(default_factory=list)

    @property
    def takes_writes(self) -> bool:
        """A write that arrives now would be acknowledged."""
        return self.alive and self.role is ReplicaRole.PRIMARY

    def position(self) -> str:
        """Digest of the content."""
        digest = hashlib.sha256()
        for name in sorted(self.data):
            digest.update(f"{name}\0{len(self.data[name])}\0".encode() + self.data[name])
        return digest.hexdigest()

    async def answer(self, request: Request) -> Reply:
        """Work for a while, then do it or deny it, at one instant."""
        if not self.alive or self.role not in (ReplicaRole.PRIMARY, ReplicaRole.FENCED):
            raise Refused(f"{self.name} at {self.site} is not served")
        self.running += 1
        try:
            await self.machine.net.clock.sleep(self.machine.work_seconds)
            if not self.alive:
                raise Lost(f"{self.name} at {self.site} died")
            if self.stateless and self.machine.program is not None:
                return await self.machine.program(self, request)
            return self._do(request)
        finally:
            self.running -= 1

    def _do(self, request: Request) -> Reply:
        self._authorise(request)
        if request.verb == "put":
            if not self.takes_writes:
                raise Denied(f"{self.name} at {self.site} takes no writes")
            self.data[request.name] = request.data
            self.machine.history.add(self.site, self.name, request)
            return Reply(served_by=self.site)
        if request.verb == "get":
            if request.name not in self.data:
                raise Denied(f"{request.name} is not in {self.name} at {self.site}")
            return Reply(data=self.data[request.name], served_by=self.site)
        objects = dict(self.data) if request.verb == "list" else {}
        return Reply(objects=objects, served_by=self.site)

    def _authorise(self, request: Request) -> None:
        if self.stateless or request.verb == "ping":
            return
        for credential in self.credentials:
            if login(credential.fields) == (request.access_key, request.secret_key):
                if request.verb == "put" and credential.access != "write":
                    raise Denied(f"{credential.name} may only read {self.name} at {self.site}")
                return
        raise Unknown(f"{self.name} at {self.site} does not know this credential")


Program = Callable[[Part, Request], Awaitable[Reply]]
"""What a part without state does with a request. Raises Refused, Lost or Denied."""


@dataclass(slots=True)
class Machine:
    """One site's host. Parts outlive the agent's process, and its drivers with it."""

    site: str
    host: str
    net: Net
    history: History
    work_seconds: float = 0.0
    """How long a part works on one request."""
    program: Program | None = None
    """Run by parts without state; None: they only say that they are there."""
    parts: dict[str, Part] = field(default_factory=dict)
    _ports: dict[str, int] = field(default_factory=dict)

    def local_host(self) -> str:
        """Host of plain local listeners: this machine only."""
        return f"local.{self.host}"

    def address_of(self, part: str) -> Address:
        """Where a part listens on this machine; the same for as long as the machine exists."""
        port = self._ports.setdefault(part, 20_000 + len(self._ports))
        return self.local_host(), port

    def serve(self, part: Part) -> Address:
        """Let a part listen."""
        address = self.address_of(part.name)
        self.net.listen(address, part)
        return address

    def kill(self, part: str) -> None:
        """The process of a part dies by itself."""
        self.parts[part].alive = False
        self.net.leave(self.address_of(part))

    def remove(self, part: str) -> int:
        """Erase a part; returns the bytes that it held."""
        found = self.parts.pop(part, None)
        self.net.leave(self.address_of(part))
        return sum(len(data) for data in found.data.values()) if found is not None else 0
