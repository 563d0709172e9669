"""Endpoints that move: a new address beside the old one, both follow, then the old one ends."""

import pytest
from step_world import FILES, ONE, THREE, TWO, WEB, StepWorld, running_shop

from hanse.model.replica.observation import Failure
from hanse.model.replica.order import ReplicaOrder, TicketOrder


def move_address(world: StepWorld, target: str, **how: object):
    how = how or {"way_back_seconds": 3600}
    fields = {"component_kind": "endpoint", "source": world.endpoint, "target": target}
    ended = world.run(world.operation("move", WEB, **fields, **how))
    if ended.state == "done":
        world.endpoint = target
    return ended


def leads_to(world: StepWorld) -> dict[str, str | None]:
    """By site of an address: where it sends requests."""
    return {
        site: fact.order.upstream.stream.peer.site if fact.order.upstream else None
        for (site, subject), fact in world.facts.items()
        if subject == "route/shop/web"
    }


def grants(world: StepWorld, site: str) -> list[str]:
    return [grant.name for grant in world.facts[site, f"replica/{WEB}"].order.grants]


def test_the_new_address_answers_beside_the_old_one():
    world = running_shop()
    assert move_address(world, ONE).state == "done"
    assert leads_to(world) == {THREE: TWO, ONE: TWO}
    assert grants(world, TWO) == [f"endpoint@{ONE}", f"endpoint@{THREE}"]


def test_the_new_endpoint_is_let_in_before_it_sends_anybody():
    world = running_shop()
    begin = len(world.issued)
    move_address(world, ONE)
    assert [type(order).__name__ for _, order in world.issued[begin:]] == ["ReplicaOrder", "RouteOrder"]


def test_both_addresses_follow_when_the_component_moves():
    world = running_shop()
    move_address(world, ONE)
    assert world.run(world.operation("move", WEB, target=ONE, way_back_seconds=60)).state == "done"
    assert leads_to(world) == {THREE: ONE, ONE: ONE}
    assert world.run(world.operation("move", WEB, target=TWO, way_back_seconds=60)).state == "done"
    assert leads_to(world) == {THREE: TWO, ONE: TWO}


def test_an_old_address_that_is_silent_holds_no_move_up():
    world = running_shop()
    move_address(world, ONE)
    world.silent = {THREE}
    assert world.run(world.operation("move", WEB, target=ONE, way_back_seconds=60)).state == "done"
    assert leads_to(world)[ONE] == ONE


def test_leaving_ends_the_old_address_at_once_and_lets_it_in_no_more():
    world = running_shop()
    assert move_address(world, ONE, leave=True).state == "done"
    assert leads_to(world) == {THREE: None, ONE: TWO}
    assert grants(world, TWO) == [f"endpoint@{ONE}"]


def test_an_old_address_is_dropped_when_its_time_is_over():
    world = running_shop()
    move_address(world, ONE)
    drop = world.operation("drop", WEB, component_kind="endpoint", source=THREE)
    assert world.run(drop).state == "done"
    assert leads_to(world) == {THREE: None, ONE: TWO}
    assert grants(world, TWO) == [f"endpoint@{ONE}"]


def test_dropping_the_address_in_use_does_nothing():
    world = running_shop()
    assert world.run(world.operation("drop", WEB, component_kind="endpoint", source=THREE)).state == "done"
    assert leads_to(world) == {THREE: TWO}


def test_going_back_to_an_address_that_still_answers_orders_nothing_new():
    world = running_shop()
    move_address(world, ONE)
    begin = len(world.issued)
    assert move_address(world, THREE).state == "done"
    assert world.issued[begin:] == []
    assert leads_to(world) == {THREE: TWO, ONE: TWO}


def test_a_port_that_is_taken_at_the_new_site_leaves_the_old_address_alone():
    world = running_shop()
    before = world.state_orders()
    taken = Failure(code="port-taken", message="8000 is taken at fiction/one", temporary=False)
    world.meet = lambda site, order: taken if site == ONE and not isinstance(order, ReplicaOrder) else None
    ended = move_address(world, ONE)
    assert (ended.state, ended.reason) == ("aborted", taken.message)
    assert world.state_orders() == before


@pytest.mark.parametrize(
    ("source", "target", "why"),
    [(TWO, ONE, "stands at legend/three"), (THREE, THREE, "already"), (THREE, "no/where", "has not joined")],
)
def test_a_wish_that_does_not_fit_is_refused(source: str, target: str, why: str):
    world = running_shop()
    fields = {"component_kind": "endpoint", "source": source, "target": target}
    ended = world.run(world.operation("move", WEB, **fields))
    assert ended.state == "aborted"
    assert why in ended.reason


def test_retiring_ends_every_address():
    world = running_shop()
    move_address(world, ONE)
    assert world.run(world.operation("retire", WEB, erase_now=True)).state == "done"
    assert leads_to(world) == {THREE: None, ONE: None}


def test_a_bucket_moves_without_the_addresses_of_its_consumer():
    world = running_shop()
    move_address(world, ONE)
    world.run(world.operation("move", FILES, target=THREE))
    tickets = [order.ticket for _, order in world.issued if isinstance(order, TicketOrder)]
    assert {peer.site for peer in tickets[0].routes} == {TWO}
