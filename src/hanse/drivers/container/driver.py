"""Holds roles for containers: programs without state of their own, from an image given by digest."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hanse.drivers.container.engine import RUN_DIRECTORY, Container, Engine
from hanse.drivers.container.image.library import Image, Images
from hanse.drivers.container.launch import Launch
from hanse.drivers.container.network import ContainerNetwork
from hanse.drivers.container.probe import probe_machine
from hanse.drivers.container.process import disk_bytes, remove_tree
from hanse.drivers.container.program import SPEC_LABEL, Confinement, Program, blacked_out, resolve
from hanse.drivers.container.records import Record, Records
from hanse.drivers.contract import Capability, Held, Report, Served
from hanse.model.replica.role import ReplicaKey, ReplicaRole
from hanse.model.replica.spec import ContainerSpec, ReplicaSpec
from hanse.ports import Artifacts, Permanent

_SLOW_STOP_SECONDS = 40


class ContainerDriver:
    """Containers of one site, in one podman engine, each application in a network of its own.

    Everything the driver knows stands below `directory` (replicas, images, engine, scratch); what
    runs goes on without it and is found again by name and label.
    """

    kind = "container"
    stateless = True

    def __init__(
        self,
        site: str,
        directory: Path,
        network: ContainerNetwork,
        artifacts: Artifacts,
        *,
        start_seconds: float = 60.0,
    ) -> None:
        self._site = site
        self._directory = directory
        self._network = network
        self._start_seconds = start_seconds
        self._engine = Engine(directory / "engine")
        self._images = Images(directory / "images", self._engine, artifacts)
        self._records = Records(directory / "replicas", RUN_DIRECTORY / "uids")
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._whole = asyncio.Lock()
        """Held while it is decided what the last replica leaves behind."""

    def name(self, key: ReplicaKey) -> str:
        """The fixed name of a replica's container."""
        realm = "" if key.realm == "live" else f".{key.realm}"
        site = re.sub(r"[^a-z0-9]+", "-", self._site.lower())
        return f"hanse-{site}-{key.application}.{key.component}.{key.ordinal}{realm}"

    async def prepare_network(self, application: str) -> str:
        """Have the application's network up before anything runs in it; returns its gateway address."""
        async with self._whole:
            return await self._network.prepare(application)

    def gateway(self, application: str) -> str:
        """Where connectors of this application listen at this site. Raises Permanent(`network-missing`)."""
        return self._network.gateway(application)

    async def probe(self) -> Capability:
        """What this machine can do. Changes nothing."""
        return await asyncio.to_thread(probe_machine)

    async def look(self, key: ReplicaKey) -> Held:
        """What is there now, asked of the engine. Over its disk quota a container counts as not alive."""
        name = self.name(key)
        record, container = self._records.get(name), await self._engine.inspect(name)
        if record is None:
            role = ReplicaRole.ABSENT if container is None else ReplicaRole.PRIMARY
            return Held(role, container is None or container.running)
        used = await self._written_bytes(name, container)
        image = self._images.known(record.image)
        total = used + (image.size_bytes if image else 0)
        role = ReplicaRole(record.role)
        if role is not ReplicaRole.PRIMARY:
            return Held(role, not (container and container.running), total)
        if used > record.disk_bytes:
            return Held(role, False, total, _over_quota(key, used, record.disk_bytes).message)
        return Held(role, bool(container and container.running), total, _state_words(container))

    async def primary(
        self, key: ReplicaKey, spec: ReplicaSpec, environment: Mapping[str, str], report: Report
    ) -> Served:
        """Run the program and return where it listens; port 0 if the spec names none.

        Raises Permanent(`image-missing`, `image-not-usable`, `container-does-not-start`, `over-quota`,
        `reference-unresolved`, `secret-in-command`, `environment-not-usable`, `disk-full`).
        """
        spec = _container_spec(key, spec)
        name = self.name(key)
        async with self._locks[name]:
            resolve(key.component, spec, environment, "")  # refuse a wrong file before fetching anything
            record, image = await self._have(key, spec, report)
            program = resolve(key.component, spec, environment, image.identity)
            confinement = await self._confinement(key, record)
            container = await self._fitting(confinement, program)
            await self._refuse_over_quota(key, record, container)
            record = replace(record, secret_names=program.secret_names).with_role(ReplicaRole.PRIMARY)
            # Durable before anything serves: a crash in between finds a dead primary, never an unknown one.
            self._records.put(name, record)
            launch = Launch(self._engine, self._network, key.application, program, confinement)
            await launch.up(container, self._start_seconds, report)
            await self._drop_unused_images()
            return Served(clients=(confinement.address, spec.port or 0))

    async def standby(self, key: ReplicaKey, spec: ReplicaSpec, report: Report) -> None:
        """Have the image here; nothing runs and nothing is kept of an earlier run."""
        spec = _container_spec(key, spec)
        name = self.name(key)
        async with self._locks[name]:
            record, _ = await self._have(key, spec, report)
            await self._engine.remove(name)
            await self._wipe(name)
            self._records.put(name, record.with_role(ReplicaRole.STANDBY))
            await self._drop_unused_images()

    async def fence(self, key: ReplicaKey) -> str:
        """Stop the container: SIGTERM, SIGKILL after 10 s. The position is the image's digest."""
        return await self._stop_as(key, ReplicaRole.FENCED)

    async def retain(self, key: ReplicaKey) -> None:
        """Stop the container and keep its image."""
        await self._stop_as(key, ReplicaRole.RETAINED)

    async def erase(self, key: ReplicaKey) -> int:
        """Remove container, scratch, log, and with the last user image, network and engine; bytes freed."""
        name = self.name(key)
        async with self._locks[name]:
            container = await self._engine.inspect(name)
            freed = await self._written_bytes(name, container)
            await self._engine.remove(name)
            await self._wipe(name)
            await self._network.detach(key.application, name)
            return freed + await self._forget(key, name)

    async def logs(self, key: ReplicaKey, lines: int) -> str:
        """Last lines that the program wrote; values of secret variables are blacked out."""
        name = self.name(key)
        container = await self._engine.inspect(name)
        if container is None:
            return ""
        record = self._records.get(name)
        names = record.secret_names if record else ()
        return blacked_out(await self._engine.logs(container, lines), names, container.environment)

    async def dispose(self) -> None:
        """Leave nothing of this site: what runs is killed, engine, images, networks and records go.

        Call it before the site's directory is removed. May be repeated.
        """
        async with self._whole:
            await self._remove_engine()
            for application in self._network.applications():
                await self._network.release(application)
            for name in self._records.all():
                self._records.delete(name)

    async def _remove_engine(self) -> None:
        await self._engine.dispose()
        await remove_tree(self._directory / "images")

    async def _have(self, key: ReplicaKey, spec: ContainerSpec, report: Report) -> tuple[Record, Image]:
        """A record before anything else exists of a replica, so that `erase` always finds it all."""
        name = self.name(key)
        async with self._whole:
            known = self._records.get(name)
            uids = self._records.claim_uids(name, known.uid_base if known else None)
            record = Record(
                key=str(key),
                role=known.role if known else ReplicaRole.ABSENT.value,
                image=spec.image,
                uid_base=uids,
                disk_bytes=spec.size.disk_bytes,
                secret_names=known.secret_names if known else (),
            )
            self._records.put(name, record)
        return record, await self._images.ensure(key.component, spec.image, report)

    async def _confinement(self, key: ReplicaKey, record: Record) -> Confinement:
        async with self._whole:
            gateway = await self._network.prepare(key.application)
            address = self._network.address(key.application, self.name(key))
        return Confinement(
            name=self.name(key),
            key=str(key),
            uid_base=record.uid_base,
            scratch=self._engine.scratch(self.name(key)),
            address=address,
            gateway=gateway,
        )

    async def _fitting(self, confinement: Confinement, program: Program) -> Container | None:
        """The container that is there, if it is made of just this program; others are removed."""
        container = await self._engine.inspect(confinement.name)
        if container is None or container.labels.get(SPEC_LABEL) == program.digest(confinement):
            return container
        await self._engine.remove(confinement.name)
        await self._wipe(confinement.name)
        return None

    async def _refuse_over_quota(self, key: ReplicaKey, record: Record, container: Container | None) -> None:
        name = self.name(key)
        used = await self._written_bytes(name, container)
        if container is not None and used > record.disk_bytes:
            self._records.put(name, record.with_role(ReplicaRole.PRIMARY))
            await self._engine.call("stop", "--time", "10", name, timeout_seconds=_SLOW_STOP_SECONDS)
            raise _over_quota(key, used, record.disk_bytes)

    async def _stop_as(self, key: ReplicaKey, role: ReplicaRole) -> str:
        name = self.name(key)
        async with self._locks[name]:
            record = self._records.get(name)
            if record is None:
                raise Permanent(
                    "nothing-here", f"{key} is not at {self._site}, so it cannot become {role.value}"
                )
            container = await self._engine.inspect(name)
            if container is not None and container.status not in {"created", "exited"}:
                await self._engine.call("stop", "--time", "10", name, timeout_seconds=_SLOW_STOP_SECONDS)
            self._records.put(name, record.with_role(role))
            return record.image

    async def _forget(self, key: ReplicaKey, name: str) -> int:
        """Let go of what no other replica needs; the record goes last. Returns bytes of images."""
        async with self._whole:
            others = {other: kept for other, kept in self._records.all().items() if other != name}
            freed = await self._images.keep_only({kept.image for kept in others.values()})
            if key.application not in {kept.application for kept in others.values()}:
                await self._network.release(key.application)
            if not others:
                await self._remove_engine()
            self._records.delete(name)
            return freed

    async def _drop_unused_images(self) -> None:
        async with self._whole:
            await self._images.keep_only({kept.image for kept in self._records.all().values()})

    async def _wipe(self, name: str) -> None:
        await remove_tree(self._engine.scratch(name))

    async def _written_bytes(self, name: str, container: Container | None) -> int:
        """What the program wrote: its scratch and its log, as blocks on disk."""
        log = (Path(container.log_file),) if container and container.log_file else ()
        return await disk_bytes(self._engine.scratch(name), *log)


def _container_spec(key: ReplicaKey, spec: ReplicaSpec) -> ContainerSpec:
    if not isinstance(spec, ContainerSpec):
        raise Permanent("wrong-kind", f"{key} is a {spec.kind}, which the container driver cannot hold")
    return spec


def _over_quota(key: ReplicaKey, used: int, allowed: int) -> Permanent:
    return Permanent(
        "over-quota",
        f"{key} wrote {used / 2**20:.0f} MiB to its /tmp and log, and its disk is {allowed / 2**20:.0f} MiB;"
        " it is stopped: give it a larger `disk`, or make it write less",
    )


def _state_words(container: Container | None) -> str:
    if container is None:
        return "no container"
    ended = "" if container.running else f", exit code {container.exit_code}"
    return container.status + ended + (", out of memory" if container.out_of_memory else "")
