"""The fake driver: every promise of the contract, in memory."""

import secrets
from collections.abc import Callable, Mapping

from hanse.drivers.contract import Capability, Credential, Held, Pass, Report, Served, Source
from hanse.drivers.fake.faults import Faults
from hanse.drivers.fake.machine import Machine, Part, login
from hanse.drivers.fake.net import Denied, Lost, Refused, Reply, Request
from hanse.model.replica.observation import Progress
from hanse.model.replica.role import ReplicaKey, ReplicaRole
from hanse.model.replica.spec import ReplicaSpec
from hanse.ports import Clock, Permanent, Temporary

PRIMARY, STANDBY, FENCED, RETAINED, ABSENT = (
    ReplicaRole.PRIMARY,
    ReplicaRole.STANDBY,
    ReplicaRole.FENCED,
    ReplicaRole.RETAINED,
    ReplicaRole.ABSENT,
)


def _pem(path: str) -> str:
    """The fakes' files are their own content."""
    return path


class StatelessFake:
    """Holds roles for a program without state. A fresh object over the same machine is an agent restart."""

    stateless = True

    def __init__(
        self, machine: Machine, clock: Clock, faults: Faults | None = None, *, kind: str = "fake"
    ) -> None:
        self.kind = kind
        self.machine = machine
        self.faults = faults or Faults()
        self._clock = clock

    async def probe(self) -> Capability:
        """Always usable."""
        return Capability(kind=self.kind, usable=True)

    async def look(self, key: ReplicaKey) -> Held:
        """What the machine has now."""
        async with self.faults.around("look", self._clock):
            part = self.machine.parts.get(str(key))
        if part is None:
            return Held(role=ABSENT, alive=True)
        return Held(role=part.role, alive=part.alive, used_bytes=sum(map(len, part.data.values())))

    async def primary(
        self, key: ReplicaKey, spec: ReplicaSpec, environment: Mapping[str, str], report: Report
    ) -> Served:
        """Serve: whatever was there before is served again."""
        async with self.faults.around("primary", self._clock):
            part = self._part(key)
            report(Progress(phase="starting"))
            part.role, part.alive, part.environment = PRIMARY, True, dict(environment)
            part.lines.append(f"serves {spec.kind}")
            address = self.machine.serve(part)
        return Served(clients=address, followers=None if self.stateless else address)

    async def standby(self, key: ReplicaKey, spec: ReplicaSpec, report: Report) -> None:
        """Be there, serve nobody."""
        async with self.faults.around("standby", self._clock):
            part = self._part(key)
            report(Progress(phase=f"preparing {spec.kind}"))
            part.role, part.alive = STANDBY, True
            self.machine.net.leave(self.machine.address_of(part.name))

    async def fence(self, key: ReplicaKey) -> str:
        """No more writes; followers still read. Raises Permanent(`nothing-to-fence`)."""
        async with self.faults.around("fence", self._clock):
            part = self._existing(key, "nothing-to-fence")
            part.role = FENCED
            if self.stateless:
                self.machine.net.leave(self.machine.address_of(part.name))
            return part.position()

    async def retain(self, key: ReplicaKey) -> None:
        """Keep the data, serve nobody."""
        async with self.faults.around("retain", self._clock):
            part = self._existing(key, "nothing-to-retain")
            part.role = RETAINED
            self.machine.net.leave(self.machine.address_of(part.name))

    async def erase(self, key: ReplicaKey) -> int:
        """Leave nothing."""
        async with self.faults.around("erase", self._clock):
            return self.machine.remove(str(key))

    async def logs(self, key: ReplicaKey, lines: int) -> str:
        """What the part wrote."""
        part = self.machine.parts.get(str(key))
        return "\n".join(part.lines[-lines:]) if part is not None and lines > 0 else ""

    def _part(self, key: ReplicaKey) -> Part:
        name = str(key)
        if name not in self.machine.parts:
            self.machine.parts[name] = Part(name, self.machine.site, self.machine, self.stateless)
        return self.machine.parts[name]

    def _existing(self, key: ReplicaKey, code: str) -> Part:
        part = self.machine.parts.get(str(key))
        if part is None:
            raise Permanent(code, f"{self.machine.site} has no replica of {key}")
        return part


class StatefulFake(StatelessFake):
    """Holds roles for a store: follows, fences, foresees, asks for credentials."""

    stateless = False
    rotates = False

    def __init__(
        self,
        machine: Machine,
        clock: Clock,
        faults: Faults | None = None,
        *,
        kind: str = "fake",
        token: Callable[[int], str] = secrets.token_hex,
    ) -> None:
        super().__init__(machine, clock, faults, kind=kind)
        self._token = token

    async def follow(self, key: ReplicaKey, source: Source, report: Report) -> Pass:
        """One pass: afterwards everything is as it was at the source when the pass began."""
        return await self._pass("follow", key, source, report)

    async def catch_up(self, key: ReplicaKey, source: Source, position: str, report: Report) -> Pass:
        """The last pass. Raises Permanent(`content-differs`)."""
        done = await self._pass("catch_up", key, source, report)
        if done.position != position:
            message = f"{key} at {self.machine.site} differs from its source in at least 1 object"
            raise Permanent("content-differs", message)
        return done

    async def serve_followers(self, key: ReplicaKey) -> tuple[str, int]:
        """Followers read where clients do."""
        return self.machine.address_of(str(key))

    async def will_serve(self, key: ReplicaKey) -> Served:
        """Where clients will be served; nothing listens there yet. Raises Permanent(`nothing-to-foresee`)."""
        async with self.faults.around("will_serve", self._clock):
            address = self.machine.address_of(self._existing(key, "nothing-to-foresee").name)
        return Served(clients=address, followers=address)

    async def grant(self, key: ReplicaKey, credentials: tuple[Credential, ...]) -> None:
        """Exactly these from now on."""
        async with self.faults.around("grant", self._clock):
            self._part(key).credentials = credentials

    def new_credential(self, name: str, access: str) -> Credential:
        """A fresh random one."""
        fields = {"access_key": self._token(8), "secret_key": self._token(16)}
        return Credential(name=name, access=access, fields=fields)

    async def _pass(self, method: str, key: ReplicaKey, source: Source, report: Report) -> Pass:
        started = self._clock.monotonic()
        part = self._existing(key, "nothing-to-follow")
        if part.role is not STANDBY:
            raise Permanent("not-a-standby", f"{key} is {part.role} at {self.machine.site} and cannot follow")
        async with self.faults.around(method, self._clock):
            found = dict((await self._read(key, source)).objects)
            if part.role is PRIMARY:
                raise Permanent("not-a-standby", f"{key} became primary at {self.machine.site}")
            moved = {name: data for name, data in found.items() if part.data.get(name) != data}
            part.data = found
        total = sum(map(len, found.values()))
        report(Progress(phase="following", bytes_done=total, bytes_total=total))
        return Pass(
            bytes_moved=sum(map(len, moved.values())),
            objects_moved=len(moved),
            bytes_total=total,
            objects_total=len(found),
            position=part.position(),
            seconds=self._clock.monotonic() - started,
        )

    async def _read(self, key: ReplicaKey, source: Source) -> Reply:
        name, secret = login(source.fields)
        request = Request(
            verb="list",
            access_key=name,
            secret_key=secret,
            certificate_pem=_pem(source.own_certificate_file),
        )
        address = (source.stream.peer.address, source.stream.port)
        try:
            return await self.machine.net.ask(self.machine.host, address, request)
        except (Refused, Lost) as error:
            message = f"{key} cannot be read at {source.stream.peer.site}: {error}"
            raise Temporary("source-unreachable", message) from error
        except Denied as error:
            message = f"{source.stream.peer.site} does not let {self.machine.site} read {key}: {error}"
            raise Temporary("source-denied", message, delay_seconds=2.0) from error


class RotatingFake(StatefulFake):
    """A store that asks each primary for credentials of its own, as a database does."""

    rotates = True

    def new_credential(self, name: str, access: str) -> Credential:
        """A fresh random one."""
        fields = {"user": self._token(8), "password": self._token(16)}
        return Credential(name=name, access=access, fields=fields)
