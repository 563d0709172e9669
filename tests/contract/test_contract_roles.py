"""Every driver holds the five roles, may be asked twice, and tells the truth about what is there."""

import pytest

from hanse.model.replica.role import ReplicaKey, ReplicaRole

ROLES = ["absent", "primary", "standby", "fenced", "retained"]


async def test_probe_names_its_kind_and_changes_nothing(bench):
    first = await bench.driver.probe()
    assert first == await bench.driver.probe()
    assert first.kind == bench.driver.kind
    assert first.usable, first.missing
    assert await bench.leftovers() == []


async def test_what_never_was_is_absent(bench, key):
    held = await bench.driver.look(key)
    assert held.role is ReplicaRole.ABSENT
    assert held.alive
    assert held.used_bytes == 0


async def test_primary_serves_and_may_be_asked_twice(bench, key):
    first = await bench.primary(key)
    assert await bench.answers(key, first)
    assert await bench.primary(key) == first
    assert await bench.answers(key, first)
    held = await bench.driver.look(key)
    assert (held.role, held.alive) == (ReplicaRole.PRIMARY, True)
    assert held.used_bytes >= 0


async def test_standby_serves_nobody_and_may_be_asked_twice(bench, key):
    await bench.standby(key)
    await bench.standby(key)
    held = await bench.driver.look(key)
    assert (held.role, held.alive) == (ReplicaRole.STANDBY, True)


async def test_standby_becomes_primary(bench, key):
    await bench.standby(key)
    assert await bench.answers(key, await bench.primary(key))
    assert (await bench.driver.look(key)).role is ReplicaRole.PRIMARY


async def test_primary_becomes_standby_again(bench, key):
    await bench.primary(key)
    await bench.driver.fence(key)
    await bench.standby(key)
    assert (await bench.driver.look(key)).role is ReplicaRole.STANDBY
    assert await bench.answers(key, await bench.primary(key))


async def test_fence_gives_the_same_final_position_each_time(bench, key):
    await bench.primary(key)
    position = await bench.driver.fence(key)
    assert await bench.driver.fence(key) == position
    held = await bench.driver.look(key)
    assert (held.role, held.alive) == (ReplicaRole.FENCED, True)


async def test_fenced_replica_serves_again_when_the_move_is_aborted(bench, key):
    await bench.primary(key)
    await bench.driver.fence(key)
    assert await bench.answers(key, await bench.primary(key))
    assert (await bench.driver.look(key)).role is ReplicaRole.PRIMARY


async def test_retained_replica_serves_nobody_and_may_be_asked_twice(bench, key):
    served = await bench.primary(key)
    await bench.driver.retain(key)
    await bench.driver.retain(key)
    held = await bench.driver.look(key)
    assert (held.role, held.alive) == (ReplicaRole.RETAINED, True)
    assert not await bench.answers(key, served)


@pytest.mark.parametrize("role", ROLES)
async def test_erase_leaves_nothing_from_any_role(bench, key, role):
    await bench.reach(role, key)
    erased = await bench.driver.erase(key)
    assert erased >= 0
    assert (await bench.driver.look(key)).role is ReplicaRole.ABSENT
    assert await bench.leftovers() == []
    assert await bench.driver.erase(key) == 0


@pytest.mark.parametrize("role", ROLES)
async def test_look_is_true_after_the_agent_restarts(bench, key, role):
    await bench.reach(role, key)
    before = await bench.driver.look(key)
    bench.restart_agent()
    after = await bench.driver.look(key)
    assert (after.role.value, after.alive) == (role, True) == (before.role.value, before.alive)


async def test_the_part_outlives_the_agent(bench, key):
    served = await bench.primary(key)
    bench.restart_agent()
    assert await bench.answers(key, served)
    assert await bench.primary(key) == served
    assert await bench.answers(key, served)


async def test_the_whole_walk_and_back(bench, key):
    for _ in range(2):
        await bench.standby(key)
        served = await bench.primary(key)
        await bench.driver.fence(key)
        served = await bench.primary(key)
        assert await bench.answers(key, served)
        await bench.driver.fence(key)
        await bench.driver.retain(key)
        await bench.driver.erase(key)
        assert (await bench.driver.look(key)).role is ReplicaRole.ABSENT
    assert await bench.leftovers() == []


async def test_replicas_of_one_site_do_not_touch_each_other(bench, key, other_key):
    first, second = await bench.primary(key), await bench.primary(other_key)
    assert first.clients != second.clients
    await bench.driver.fence(key)
    assert await bench.answers(other_key, second)
    await bench.driver.erase(key)
    assert await bench.answers(other_key, second)
    assert (await bench.driver.look(other_key)).role is ReplicaRole.PRIMARY
    await bench.driver.erase(other_key)
    assert await bench.leftovers() == []


async def test_a_realm_is_another_replica(bench, key):
    trial = ReplicaKey(application=key.application, component=key.component, realm="trial")
    await bench.primary(key)
    assert (await bench.driver.look(trial)).role is ReplicaRole.ABSENT
