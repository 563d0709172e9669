"""A site holds what was ordered, says what stands in the way, and gives back what it took."""

import asyncio
import json
from typing import Any

from agent_orders import STORE, WEB, Move, bucket, grant, later, web
from agent_world import World, payload_of, play

from hanse.drivers.fake.faults import Fault
from hanse.ports import Permanent, Temporary

SUBJECT = "replica/shop/store/0/live"
WEB_SUBJECT = "replica/shop/web/0/live"


async def deployed(world: World, **more: Any) -> Any:
    world.add("a/1")
    world.start("a/1")
    world.order("a/1", bucket("primary", 1, **more))
    return await world.ready("a/1", SUBJECT, "primary")


def test_a_credential_is_made_once_and_sealed_for_its_reader_only() -> None:
    async def scenario(world: World) -> None:
        grants = (grant(world, "web@c/1"),)
        state = await deployed(world, grants=grants)
        reader, secret = json.loads(state.sealed_credentials["web@c/1"])
        assert reader == "seal-of-c/1"
        fields = json.loads(secret)["fields"]
        assert {"access_key", "secret_key", "bucket", "region"} == set(fields)
        world.order("a/1", bucket("primary", 1, grants=(*grants, grant(world, "x@d/1", "read"))))
        await world.until(lambda: "x@d/1" in world.said("a/1", SUBJECT).sealed_credentials)
        again = world.said("a/1", SUBJECT).sealed_credentials["web@c/1"]
        assert again == state.sealed_credentials["web@c/1"]

    play(scenario)


def test_a_grant_ends_when_it_expires() -> None:
    async def scenario(world: World) -> None:
        await deployed(
            world, grants=(grant(world, "web@c/1"), grant(world, "connect:1", expires_at=later(60)))
        )
        part = world.machines["a/1"].parts[str(STORE)]
        assert {one.name for one in part.credentials} == {"web@c/1", "connect:1"}
        await world.until(lambda: {one.name for one in part.credentials} == {"web@c/1"})
        assert world.clock.monotonic() < 70
        assert "connect:1" not in world.journals["a/1"].tables["credential"]

    play(scenario)


def test_only_granted_certificates_pass_the_gate() -> None:
    async def scenario(world: World) -> None:
        await deployed(world, grants=(grant(world, "web@c/1"), grant(world, "follower@b/1", "read")))
        streams = world.proxies["a/1"].streams
        clients, followers = streams[f"{STORE}:clients"], streams[f"{STORE}:followers"]
        assert clients.allowed_certificates_pem == ("key-of-c/1",)
        assert followers.allowed_certificates_pem == ("key-of-b/1",)
        assert clients.open

    play(scenario)


def test_erasure_leaves_nothing_and_is_signed() -> None:
    async def scenario(world: World) -> None:
        await deployed(world, grants=(grant(world, "web@c/1"),))
        world.machines["a/1"].parts[str(STORE)].data["x"] = b"12345"
        world.order("a/1", bucket("absent", 1))
        state = await world.ready("a/1", SUBJECT, "absent")
        claim = json.loads(payload_of(state.erasure))
        assert (claim["erased_bytes"], claim["site"]) == (5, "a/1")
        tables = world.journals["a/1"].tables
        assert not tables["credential"]
        assert not tables["port"]
        assert not world.proxies["a/1"].streams

    play(scenario)


def test_what_is_retained_is_erased_on_its_date() -> None:
    async def scenario(world: World) -> None:
        await deployed(world)
        world.order("a/1", bucket("retained", 1, retain_until=later(300)))
        state = await world.ready("a/1", SUBJECT, "retained")
        assert not state.erasure
        await world.until(lambda: world.said("a/1", SUBJECT).role == "absent", 400)
        assert world.clock.monotonic() >= 300
        assert world.said("a/1", SUBJECT).erasure

    play(scenario)


def test_a_retained_epoch_is_never_served_again() -> None:
    async def scenario(world: World) -> None:
        await deployed(world)
        world.order("a/1", bucket("retained", 1))
        await world.ready("a/1", SUBJECT, "retained")
        world.order("a/1", bucket("primary", 1))
        await asyncio.sleep(60)
        assert world.machines["a/1"].parts[str(STORE)].role == "retained"

    play(scenario)


def test_a_temporary_failure_is_said_in_words_and_tried_again() -> None:
    async def scenario(world: World) -> None:
        world.add("a/1")
        world.start("a/1")
        broken = Fault(Temporary("no-memory", "This machine is out of memory."))
        world.drivers["a/1"]["bucket"].faults.fail_next("primary", *[broken] * 3)
        world.order("a/1", bucket("primary", 1))
        seen = await world.until(
            lambda: (one := world.observed.get(("a/1", SUBJECT))) and one.failure and one
        )
        assert (seen.failure.code, seen.failure.temporary, seen.state.ready) == ("no-memory", True, False)
        await world.ready("a/1", SUBJECT, "primary")
        assert world.observed["a/1", SUBJECT].failure is None

    play(scenario)


def test_a_permanent_failure_waits_for_a_newer_order() -> None:
    async def scenario(world: World) -> None:
        world.add("a/1")
        world.start("a/1")
        broken = Fault(Permanent("image-missing", "There is no such image.", "log: 404"))
        world.drivers["a/1"]["container"].faults.fail_next("primary", broken)
        world.order("a/1", web("primary", 1))
        seen = await world.until(
            lambda: (one := world.observed.get(("a/1", WEB_SUBJECT))) and one.failure and one
        )
        assert (seen.failure.temporary, seen.failure.detail) == (False, "log: 404")
        await asyncio.sleep(300)
        assert world.said("a/1", WEB_SUBJECT).ready is False
        world.order("a/1", web("primary", 1))
        await world.ready("a/1", WEB_SUBJECT, "primary")

    play(scenario)


def test_a_part_that_died_is_served_again() -> None:
    async def scenario(world: World) -> None:
        await deployed(world)
        world.machines["a/1"].kill(str(STORE))
        await world.until(lambda: world.machines["a/1"].parts[str(STORE)].alive, 10)

    play(scenario)


def test_a_consumer_gets_a_fixed_local_address_and_the_opened_credential() -> None:
    async def scenario(world: World) -> None:
        move = Move(world)
        await move.deploy()
        environment = dict(world.machines["c/1"].parts[str(WEB)].environment)
        assert environment["store.endpoint"] == "http://local.c/1.example:9099"
        assert environment["store.bucket"] == "shop-store"
        assert (await move.put("x")).served_by == "a/1"
        await world.kill("c/1")
        world.start("c/1")
        await asyncio.sleep(20)
        assert dict(world.machines["c/1"].parts[str(WEB)].environment) == environment

    play(scenario)


def test_a_consumer_whose_provider_is_not_ready_waits_with_words() -> None:
    async def scenario(world: World) -> None:
        world.add("c/1")
        world.start("c/1")
        world.order("c/1", web("primary", 1, bindings=({"component": "store", "kind": "bucket"},)))
        seen = await world.until(
            lambda: (one := world.observed.get(("c/1", WEB_SUBJECT))) and one.failure and one
        )
        assert seen.failure.code == "binding-not-ready"
        assert "store" in seen.failure.message
        assert str(WEB) not in world.machines["c/1"].parts

    play(scenario)


def test_a_standby_says_its_lag_and_its_reserved_ports() -> None:
    async def scenario(world: World) -> None:
        move = Move(world)
        await move.deploy()
        await move.put("one")
        state = await world.until(
            lambda: (now := world.said("b/1", SUBJECT)).progress and now.progress.lag_objects == 1 and now
        )
        assert state.clients.port != state.followers.port
        await world.until(lambda: world.said("b/1", SUBJECT).progress.lag_objects == 0)

    play(scenario)


def test_a_container_is_drained_before_it_is_erased() -> None:
    async def scenario(world: World) -> None:
        world.add("c/1")
        world.start("c/1")
        world.order("c/1", web("primary", 1, grants=(grant(world, "endpoint@d/1"),)))
        await world.ready("c/1", WEB_SUBJECT, "primary")
        world.proxies["c/1"].running[f"{WEB}:clients"] = 1
        began = world.clock.monotonic()
        world.order("c/1", web("absent", 1))
        await world.until(lambda: not world.proxies["c/1"].streams[f"{WEB}:clients"].open)
        await asyncio.sleep(3)
        assert str(WEB) in world.machines["c/1"].parts
        world.proxies["c/1"].running[f"{WEB}:clients"] = 0
        await world.ready("c/1", WEB_SUBJECT, "absent")
        assert world.clock.monotonic() - began < 6

    play(scenario)


def test_an_unforeseen_fault_of_one_subject_leaves_the_others_alone() -> None:
    async def scenario(world: World) -> None:
        await deployed(world)
        world.drivers["a/1"]["container"].faults.fail_next("look", Fault(ZeroDivisionError("a bug")))
        world.order("a/1", web("primary", 1))
        await world.ready("a/1", WEB_SUBJECT, "primary")
        failures = [seen.failure.code for seen in world.history if seen.failure is not None]
        assert failures == ["agent-fault"]

    play(scenario)


def test_data_that_vanished_is_not_begun_anew_and_standbys_keep_their_copies() -> None:
    async def scenario(world: World) -> None:
        move = Move(world)
        await move.deploy()
        await move.put("kept")
        copy = world.machines["b/1"].parts[str(STORE)]
        await world.until(lambda: "kept" in copy.data)
        disk = world.machines["a/1"].parts
        unmounted = disk.pop(str(STORE))
        world.machines["a/1"].net.leave(unmounted.machine.address_of(unmounted.name))
        told = await world.until(lambda: world.observed["a/1", SUBJECT].failure)
        assert told.code == "data-missing"
        await asyncio.sleep(60)
        assert (str(STORE) in disk, "kept" in copy.data) == (False, True)
        disk[str(STORE)] = unmounted
        await world.ready("a/1", SUBJECT, "primary")
        assert "kept" in disk[str(STORE)].data

    play(scenario)
