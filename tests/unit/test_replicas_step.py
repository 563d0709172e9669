"""What the hub decides, walk by walk, with sites that do as they are told."""

from datetime import timedelta

from step_world import FILES, ONE, START, THREE, TWO, WEB, StepWorld, running_shop

from hanse.model.replica.order import ReplicaOrder, RouteOrder, TicketOrder
from hanse.replicas.step import step


def order_at(world: StepWorld, site: str, key) -> ReplicaOrder:
    return world.facts[site, f"replica/{key}"].order


def test_deploy_grants_before_it_starts_and_routes_last():
    world = running_shop()
    assert world.roles(FILES) == {ONE: ("primary", 1)}
    assert world.roles(WEB) == {TWO: ("primary", 1)}
    kinds = [type(order).__name__ for _, order in world.issued]
    assert kinds == ["ReplicaOrder", "ReplicaOrder", "ReplicaOrder", "RouteOrder"]
    binding = order_at(world, TWO, WEB).bindings[0]
    assert binding.sealed_credential == f"sealed by {ONE} for web@{TWO}"
    assert binding.upstream.stream.peer.site == ONE


def test_endpoint_may_connect_to_the_component_it_exposes():
    world = running_shop()
    assert [grant.name for grant in order_at(world, TWO, WEB).grants] == [f"endpoint@{THREE}"]


def test_bucket_moves_by_one_ticket_and_its_source_follows_backwards():
    world = running_shop()
    ended = world.run(world.operation("move", FILES, target=THREE, way_back_seconds=3600))
    assert ended.state == "done"
    assert world.roles(FILES) == {ONE: ("standby", 2), THREE: ("primary", 2)}
    assert len({o.ticket.ticket for _, o in world.issued if isinstance(o, TicketOrder)}) == 1
    assert order_at(world, ONE, FILES).follow.peer.site == THREE
    binding = order_at(world, TWO, WEB).bindings[0]
    assert binding.upstream.stream.peer.site == THREE
    assert binding.upstream.epoch == 2
    assert binding.sealed_credential == f"sealed by {THREE} for web@{TWO}"


def test_consumers_know_the_target_before_the_ticket_is_out():
    world = running_shop()
    world.run(world.operation("move", FILES, target=THREE))
    ticket = next(i for i, (_, o) in enumerate(world.issued) if isinstance(o, TicketOrder))
    prepared = next(
        i
        for i, (_, o) in enumerate(world.issued)
        if isinstance(o, ReplicaOrder) and o.bindings and o.bindings[0].standby_upstream
    )
    assert prepared < ticket
    assert {peer.site for peer in world.issued[ticket][1].ticket.routes} == {TWO}


def test_ordering_the_target_primary_names_what_it_needs_in_hand():
    world = running_shop()
    world.run(world.operation("move", FILES, target=THREE))
    assert order_at(world, THREE, FILES).handed_over_from == 1


def test_leaving_retains_the_source_until_the_retrieval_date():
    world = running_shop()
    ended = world.run(world.operation("move", FILES, target=THREE, leave=True, retrieval_seconds=600))
    order = order_at(world, ONE, FILES)
    assert ended.state == "done"
    assert (str(order.role), order.epoch) == ("retained", 2)
    assert START < order.retain_until <= world.now + timedelta(seconds=600)
    assert not any(grant.name.startswith("follower@") for grant in order_at(world, THREE, FILES).grants)


def test_leaving_without_retrieval_erases_the_source():
    world = running_shop()
    world.run(world.operation("move", FILES, target=THREE, leave=True))
    assert world.roles(FILES) == {THREE: ("primary", 2)}


def test_there_and_back_is_two_ordinary_moves():
    world = running_shop()
    world.run(world.operation("move", FILES, target=THREE, way_back_seconds=60))
    ended = world.run(world.operation("move", FILES, target=ONE, way_back_seconds=60))
    assert ended.state == "done"
    assert world.roles(FILES) == {ONE: ("primary", 3), THREE: ("standby", 3)}


def test_another_standby_follows_the_new_primary():
    world = running_shop()
    assert world.run(world.operation("standby", FILES, target=TWO)).state == "done"
    world.run(world.operation("move", FILES, target=THREE, way_back_seconds=60))
    assert order_at(world, TWO, FILES).follow.peer.site == THREE
    assert world.roles(FILES) == {ONE: ("standby", 2), TWO: ("standby", 2), THREE: ("primary", 2)}


def test_container_moves_by_its_route_and_rests_at_the_source():
    world = running_shop()
    ended = world.run(world.operation("move", WEB, target=ONE, way_back_seconds=60))
    assert ended.state == "done"
    assert world.roles(WEB) == {ONE: ("primary", 2), TWO: ("standby", 2)}
    route = world.facts[THREE, "route/shop/web"].order
    assert (route.upstream.stream.peer.site, route.upstream.epoch) == (ONE, 2)
    assert not any(isinstance(order, TicketOrder) for _, order in world.issued)


def test_container_that_leaves_is_erased_and_its_credential_revoked():
    world = running_shop()
    world.run(world.operation("move", WEB, target=ONE, leave=True))
    assert world.roles(WEB) == {ONE: ("primary", 2)}
    assert [grant.name for grant in order_at(world, ONE, FILES).grants] == [f"web@{ONE}"]


def test_route_is_switched_before_the_source_ends():
    world = running_shop()
    world.run(world.operation("move", WEB, target=ONE))
    route = next(
        i
        for i, (_, o) in enumerate(world.issued)
        if isinstance(o, RouteOrder) and o.upstream and o.upstream.epoch == 2
    )
    ended = next(
        i
        for i, (s, o) in enumerate(world.issued)
        if isinstance(o, ReplicaOrder) and o.key == WEB and s == TWO and str(o.role) == "absent"
    )
    assert route < ended


def test_retire_waits_for_consumers_and_retains():
    world = running_shop()
    waits = world.run(world.operation("retire", FILES, retrieval_seconds=60), limit=3)
    assert waits.reason == f"web at {TWO} still uses files"
    assert world.run(world.operation("retire", WEB)).state == "done"
    assert world.run(waits).state == "done"
    assert world.roles(FILES) == {ONE: ("retained", 1)}
    assert world.run(world.operation("retire", FILES, erase_now=True)).state == "done"
    assert world.roles(FILES) == {}


def test_deploy_again_after_everything_was_erased_takes_a_new_epoch():
    world = running_shop()
    world.run(world.operation("retire", WEB))
    world.run(world.operation("deploy", WEB, target=TWO))
    assert world.roles(WEB) == {TWO: ("primary", 2)}


def test_drop_ends_the_way_back_and_nothing_else():
    world = running_shop()
    world.run(world.operation("move", FILES, target=THREE, way_back_seconds=60))
    assert world.run(world.operation("drop", FILES, source=ONE, retrieval_seconds=60)).state == "done"
    assert world.roles(FILES) == {ONE: ("retained", 2), THREE: ("primary", 2)}
    assert [grant.name for grant in order_at(world, THREE, FILES).grants] == [f"web@{TWO}"]


def test_drop_of_a_site_that_serves_again_does_nothing():
    world = running_shop()
    before = world.state_orders()
    assert world.run(world.operation("drop", FILES, source=ONE)).state == "done"
    assert world.state_orders() == before


def test_connect_grants_survive_a_move():
    world = running_shop()
    fact = world.facts[ONE, f"replica/{FILES}"]
    grant = fact.order.grants[0].model_copy(update={"name": "connect:abc"})
    fact.order = fact.order.model_copy(update={"grants": (*fact.order.grants, grant)})
    world.run(world.operation("move", FILES, target=THREE, way_back_seconds=60))
    assert "connect:abc" in [grant.name for grant in order_at(world, THREE, FILES).grants]


def test_ended_operation_gives_its_end_again():
    world = running_shop()
    ended = world.run(world.operation("move", FILES, target=THREE))
    again = step(ended, world.view(ended), world.now)
    assert (again.operation, again.orders) == (ended, ())
