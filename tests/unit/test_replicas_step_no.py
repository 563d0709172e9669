"""When the hub cannot go on: refusals, aborts, failures, silence; and every step repeated and failed."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from step_world import FILES, ONE, THREE, TWO, WEB, StepWorld, running_shop

from hanse.model.replica.observation import Failure
from hanse.model.replica.operation import Operation
from hanse.model.replica.order import TicketOrder

DISK = Failure(code="disk-full", message="fable/two: no room for files; free 2 GiB", temporary=False)
BUSY = Failure(code="busy", message="try again", temporary=True, retry_after_seconds=1)

Make = Callable[[StepWorld], Operation]


def address(world: StepWorld, **how: object) -> Operation:
    """The endpoint of web goes from three to one."""
    return world.operation("move", WEB, component_kind="endpoint", source=THREE, target=ONE, **how)


WALKS: dict[str, Make] = {
    "move bucket": lambda w: w.operation("move", FILES, target=THREE, way_back_seconds=60),
    "leave bucket": lambda w: w.operation("move", FILES, target=THREE, leave=True, retrieval_seconds=60),
    "move container": lambda w: w.operation("move", WEB, target=ONE, way_back_seconds=60),
    "leave container": lambda w: w.operation("move", WEB, target=ONE, leave=True),
    "move address": lambda w: address(w, way_back_seconds=60),
    "leave address": lambda w: address(w, leave=True),
    "standby": lambda w: w.operation("standby", FILES, target=THREE),
    "retire": lambda w: w.operation("retire", WEB, erase_now=True),
}


def fail_nth(number: int, failure: Failure) -> Callable[[str, object], Failure | None]:
    """Meet the n-th new order with a failure: a temporary one once, a permanent one for good."""
    seen: list[object] = []

    def meet(_site: str, order: object) -> Failure | None:
        if order not in seen:
            seen.append(order)
            if len(seen) == number:
                return failure
        return failure if seen.index(order) == number - 1 and not failure.temporary else None

    return meet


@pytest.mark.parametrize("walk", WALKS)
def test_every_step_failed_for_a_while_ends_as_if_nothing_was(walk: str):
    clean = running_shop()
    done = clean.run(WALKS[walk](clean))
    assert done.state == "done"
    for number in range(1, len(clean.issued) + 1):
        world = running_shop()
        world.meet = fail_nth(number, BUSY)
        assert world.run(WALKS[walk](world)).state == "done", number
        assert world.roles(FILES) == clean.roles(FILES)
        assert world.roles(WEB) == clean.roles(WEB)


@pytest.mark.parametrize("walk", WALKS)
def test_every_step_failed_for_good_is_undone_or_said(walk: str):
    clean = running_shop()
    before = clean.state_orders()
    clean.run(WALKS[walk](clean))
    for number in range(1, len(clean.issued) + 1):
        world = running_shop()
        world.meet = fail_nth(number, DISK)
        ended = world.run(WALKS[walk](world), limit=40)
        assert ended.state in ("aborted", "stuck", "done"), (number, ended)
        if ended.state == "aborted":
            assert world.state_orders() == before
            assert DISK.message in ended.reason
        if ended.state == "stuck":
            assert DISK.message in ended.reason


@pytest.mark.parametrize("walk", ["move bucket", "move container", "move address", "standby"])
def test_abort_after_every_step_restores_everything_or_comes_too_late(walk: str):
    for steps in range(30):
        world = running_shop()
        before = world.state_orders()
        operation = world.run(WALKS[walk](world), limit=steps)
        ended = world.run(operation.model_copy(update={"abort_wanted": True}))
        assert ended.state in ("aborted", "done")
        if ended.state == "aborted":
            assert world.state_orders() == before, operation.phase
            assert ended.reason == "abort was asked for"
    assert ended.state == "done"


def test_way_back_target_is_a_standby_again_after_an_abort():
    world = running_shop()
    world.run(world.operation("move", FILES, target=THREE, way_back_seconds=60))
    roles = world.roles(FILES)
    world.ticket_fails = 99
    ended = world.run(world.operation("move", FILES, target=ONE, way_back_seconds=60))
    assert ended.state == "aborted"
    assert world.roles(FILES) == roles


def test_called_off_cut_over_is_tried_again_with_a_new_ticket():
    world = running_shop()
    world.ticket_fails = 2
    assert world.run(world.operation("move", FILES, target=THREE)).state == "done"
    tickets = {order.ticket.ticket for _, order in world.issued if isinstance(order, TicketOrder)}
    assert len(tickets) == 3


def test_move_gives_up_after_five_called_off_cut_overs():
    world = running_shop()
    before = world.state_orders()
    world.ticket_fails = 99
    ended = world.run(world.operation("move", FILES, target=THREE))
    assert ended.state == "aborted"
    assert "5 cut-overs were called off; the last: the target did not answer" in ended.reason
    assert world.state_orders() == before


def _tickets(world: StepWorld) -> list[str]:
    return sorted({order.ticket.ticket for _, order in world.issued if isinstance(order, TicketOrder)})


def _cutting_over(world: StepWorld, limit: int = 12):
    """A move whose first ticket was called off while its target is silent."""
    operation = world.run(world.operation("move", FILES, target=THREE), limit=1)
    while not operation.ticket:
        operation = world.run(operation, limit=1)
    world.facts[THREE, f"ticket/{operation.ticket}"].answered = 0
    world.silent = {THREE}
    return world.run(operation, limit=limit)


def test_tickets_are_not_used_up_while_the_target_is_silent():
    world = running_shop()
    world.ticket_fails = 1
    waiting = _cutting_over(world)
    assert len(_tickets(world)) == 1
    assert f"the target did not answer); {THREE} is not heard from: this waits for it until" in waiting.reason
    world.silent = set()
    assert world.run(waiting).state == "done"
    assert len(_tickets(world)) == 2


def test_a_target_that_stays_silent_ends_the_move_with_words():
    world = running_shop()
    world.ticket_fails = 1
    began = world.now
    waiting = _cutting_over(world, limit=120)
    world.silent = set()
    ended = world.run(waiting)
    assert ended.state == "aborted"
    assert f"for 10 minutes {THREE} is not heard from" in ended.reason
    assert world.now - began < timedelta(minutes=14)


def test_a_way_that_is_lost_is_waited_for_before_the_next_ticket():
    world = running_shop()
    world.ticket_fails = 99
    operation = world.run(world.operation("move", FILES, target=THREE), limit=1)
    while not operation.ticket:
        operation = world.run(operation, limit=1)
    world.reach[f"{ONE}>{THREE}"] = False
    waiting = world.run(operation, limit=20)
    assert f"{ONE} does not reach {THREE}: this waits for it until" in waiting.reason
    assert len(_tickets(world)) == 1


def test_the_pauses_between_tickets_grow():
    world = running_shop()
    world.ticket_fails = 99
    began = world.now
    assert world.run(world.operation("move", FILES, target=THREE)).state == "aborted"
    assert timedelta(seconds=100) < world.now - began < timedelta(seconds=240)


def test_move_without_reach_is_stuck_with_the_pair_and_moves_once_there_is_reach():
    world = running_shop()
    world.reach[f"{THREE}>{ONE}"] = False
    stuck = world.run(world.operation("move", FILES, target=THREE), limit=3)
    assert stuck.state == "stuck"
    assert f"{THREE} does not reach {ONE}" in stuck.reason
    world.reach[f"{THREE}>{ONE}"] = True
    assert world.run(stuck).state == "done"


@pytest.mark.parametrize(
    ("kind", "key", "target", "words"),
    [
        ("move", FILES, ONE, "runs at fiction/one already: name another site"),
        ("move", FILES, "nowhere/at-all", "nowhere/at-all has not joined"),
        ("deploy", FILES, TWO, "runs at fiction/one already: move it instead"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_order(kind, key, target, words):
    world = running_shop()
    before = len(world.issued)
    ended = world.run(world.operation(kind, key, target=target))
    assert ended.state == "aborted"
    assert words in ended.reason
    assert len(world.issued) == before


def test_move_of_what_does_not_run_is_refused():
    world = StepWorld()
    ended = world.run(world.operation("move", FILES, target=TWO))
    assert "does not run anywhere: apply it first" in ended.reason


def test_silent_consumer_does_not_hold_up_a_move():
    world = running_shop()
    world.silent.add(TWO)
    assert world.run(world.operation("move", FILES, target=THREE)).state == "done"


def test_silent_source_is_waited_for_and_never_overruled():
    world = running_shop()
    operation = world.run(world.operation("move", FILES, target=THREE), limit=3)
    world.silent.add(ONE)
    operation = world.run(operation, limit=10)
    assert operation.phase == "cutting-over"
    waits = world.run(operation.model_copy(update={"abort_wanted": True}))
    assert waits.state == "open"
    assert world.roles(FILES) == {ONE: ("primary", 1), THREE: ("standby", 1)}


def test_failed_deploy_leaves_nothing_and_says_the_sites_words():
    world = StepWorld()
    world.meet = lambda _site, order: DISK if str(order.role) == "primary" else None
    ended = world.run(world.operation("deploy", FILES, target=TWO))
    assert ended.state == "aborted"
    assert ended.reason == DISK.message
    assert ended.failure == DISK
    assert world.roles(FILES) == {}
