"""Orders of later stages that go out early: only while something is waited for, never after a failure."""

from step_world import FILES, ONE, running_shop

from hanse.model.replica.observation import Failure
from hanse.replicas.walks.checks import ahead
from hanse.replicas.walks.stages import SATISFIED, Check

FAILED = Check(failure=Failure(code="disk-full", message="no room", temporary=False))


def _later() -> Check:
    order = running_shop().facts[ONE, f"replica/{FILES}"].order
    return Check(orders=((ONE, order),), why="told early")


def test_what_later_stages_order_goes_out_while_this_one_waits():
    later = _later()
    assert ahead(Check(why="not ready yet"), later) == Check(orders=later.orders, why="not ready yet")
    assert ahead(later, later).orders == later.orders * 2


def test_nothing_goes_out_early_once_it_is_done_or_has_failed():
    later = _later()
    for check in (SATISFIED, FAILED, Check(stuck="a person must act"), Check(undo="given up")):
        assert ahead(check, later) == check
