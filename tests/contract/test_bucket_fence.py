"""A fence of a bucket is certain: whoever writes, however, nothing is taken after it returns."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio
from bucket_client import (
    REFUSED,
    Hostile,
    begin_upload,
    client,
    complete_upload,
    get,
    put,
    put_part,
)
from bucket_place import Place

from hanse.drivers.contract import Credential
from hanse.model.replica.role import ReplicaRole

PARTS = ("store", "clients", "followers")


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path / "site", "fiction/one")
    await made.serve()
    yield made
    await made.end()


def _refused(place: Place, credential: Credential, port: str = "clients") -> bool:
    with closing(client(place.at(port), credential, 5)) as s3:
        try:
            put(s3, "late", b"late")
        except REFUSED:
            return True
    return False


async def test_nothing_is_acknowledged_after_a_fence_and_all_before_is_there(place: Place) -> None:
    writers = [Hostile(place.at("clients"), place.writer, f"h{number}") for number in range(3)]
    writers.append(Hostile(place.at("clients"), place.writer, "slow", drip=1.0))
    await asyncio.sleep(2.0)
    position = await place.driver.fence(place.key)
    fenced = time.monotonic()
    await asyncio.sleep(2.0)
    for one in writers:
        await asyncio.to_thread(one.finish)
    acknowledged = {key: at for one in writers for key, at in one.acknowledged.items()}
    with closing(client(place.at("followers"), place.reader)) as s3:
        there = {one.key for one in s3.objects()}
    assert len(acknowledged) > 20
    assert [key for key, at in acknowledged.items() if at > fenced] == []
    assert set(acknowledged) - there == set()
    assert await place.driver.fence(place.key) == position


async def test_to_brace_for_a_fence_stops_nobody(place: Place) -> None:
    await place.driver.brace(place.key)
    assert not _refused(place, place.writer)


async def test_a_multipart_upload_cannot_be_completed_after_a_fence(place: Place) -> None:
    with closing(client(place.at("clients"), place.writer)) as s3:
        upload = begin_upload(s3, "parts")
        etag = put_part(s3, "parts", upload, 1, bytes(5 << 20))
    position = await place.driver.fence(place.key)
    for port in ("clients", "followers"):
        with closing(client(place.at(port), place.writer, 5)) as s3, pytest.raises(REFUSED):
            complete_upload(s3, "parts", upload, [etag])
    assert await place.driver.fence(place.key) == position


async def test_a_fence_stands_when_everything_is_killed_and_the_agent_is_new(place: Place) -> None:
    await place.driver.fence(place.key)
    for part in ("store", "followers"):
        await place.driver._service(place.key).kill(part)
    place.restart_agent()
    held = await place.driver.look(place.key)
    assert (held.role, held.alive) == (ReplicaRole.FENCED, False)
    await place.driver.fence(place.key)
    assert all(_refused(place, place.writer, port) for port in ("clients", "followers"))
    assert (await place.driver.look(place.key)).alive


async def test_granting_a_fenced_replica_opens_it_for_readers_only(place: Place) -> None:
    with closing(client(place.at("clients"), place.writer)) as s3:
        put(s3, "one", b"1")
    await place.driver.fence(place.key)
    reader = place.driver.new_credential("follower@fable/three", "read")
    writer = place.driver.new_credential("web@fable/three", "write")
    await place.driver.grant(place.key, (reader, writer))
    with closing(client(place.at("followers"), reader)) as s3:
        assert get(s3, "one")[0] == b"1"
    assert all(_refused(place, one, port) for one in (reader, writer) for port in ("clients", "followers"))


async def test_without_a_key_nobody_gets_in_at_any_port(place: Place) -> None:
    stranger = place.driver.new_credential("nobody", "write")
    for name in place.record.ports:
        assert _refused(place, stranger, name), name
        assert _refused(
            place, Credential("anonymous", "write", {"access_key": "", "secret_key": ""}), name
        ), name


async def test_a_standby_refuses_the_clients_of_its_primary(place: Place) -> None:
    await place.driver.fence(place.key)
    await place.driver.standby(place.key, place.spec, place.report)
    assert all(_refused(place, place.writer, port) for port in ("clients", "followers", "inner"))


async def test_grants_take_effect_without_a_restart(place: Place) -> None:
    service = place.driver._service(place.key)
    before = [service.running(part) for part in PARTS]
    writer = place.driver.new_credential("api@fiction/one", "write")
    reader = place.driver.new_credential("follower@fable/three", "read")
    await place.driver.grant(place.key, (writer, reader))
    assert _refused(place, place.writer)
    assert not _refused(place, writer)
    with closing(client(place.at("followers"), reader)) as s3:
        assert s3.bucket_exists()
    with closing(client(place.at("followers"), place.reader)) as s3:
        assert not s3.bucket_exists()
    assert [service.running(part) for part in PARTS] == before
    assert "Reload volume server" not in service.log(10_000)  # it might open a volume twice


async def test_writers_and_readers_get_nothing_written_where_followers_read(place: Place) -> None:
    assert _refused(place, place.writer, "followers")
    assert _refused(place, place.reader, "followers")


async def test_what_was_acknowledged_survives_a_killed_store(place: Place) -> None:
    with closing(client(place.at("clients"), place.writer)) as s3:
        for number in range(50):
            put(s3, f"o{number}", b"x" * 10_000)
    await place.driver._service(place.key).kill("store")
    assert not (await place.driver.look(place.key)).alive
    await place.serve()
    with closing(client(place.at("clients"), place.writer)) as s3:
        assert all(get(s3, f"o{number}")[0] == b"x" * 10_000 for number in range(50))


async def test_parts_run_as_a_user_of_their_own_without_secrets_in_sight(place: Place) -> None:
    commands = place.processes()
    secrets = [place.record.inner_secret, place.writer.fields["secret_key"]]
    assert len(commands) == 3
    assert {uid for uid, _ in commands} == {place.record.uid}
    assert not [one for _, command in commands for one in secrets if one in command]
    assert not [one for one in place.directory.rglob("*.json") if one.stat().st_mode & 0o077]
