"""The table of roles, and what an order comes to against a site's own memory."""

from itertools import product

import pytest
from step_world import FILES, MANDATE

from hanse.model.replica.order import ReplicaOrder
from hanse.model.replica.role import ReplicaRole
from hanse.model.replica.spec import BucketSpec, Size
from hanse.replicas.level import Hold, Refused, Standing, judge
from hanse.replicas.roles import TRANSITIONS, RoleEvent, TransitionError, path, transition

PRIMARY, STANDBY, FENCED, RETAINED, ABSENT = (
    ReplicaRole.PRIMARY,
    ReplicaRole.STANDBY,
    ReplicaRole.FENCED,
    ReplicaRole.RETAINED,
    ReplicaRole.ABSENT,
)


def order(role: ReplicaRole, epoch: int, handed_over_from: int | None = None) -> ReplicaOrder:
    return ReplicaOrder(
        key=FILES,
        role=role,
        epoch=epoch,
        mandate=MANDATE,
        spec=BucketSpec(size=Size(), bucket="files"),
        handed_over_from=handed_over_from,
    )


@pytest.mark.parametrize(("role", "event"), list(product(ReplicaRole, RoleEvent)))
def test_what_is_not_in_the_table_raises(role, event):
    if (role, event) in TRANSITIONS:
        assert transition(role, event) is TRANSITIONS[role, event]
    else:
        with pytest.raises(TransitionError):
            transition(role, event)


@pytest.mark.parametrize(
    ("role", "wanted", "stateful"), list(product(ReplicaRole, ReplicaRole, [True, False]))
)
def test_every_path_is_a_walk_over_the_table(role, wanted, stateful):
    try:
        events = path(role, wanted, stateful=stateful)
    except TransitionError:
        return
    for event in events:
        role = transition(role, event)
    assert role is wanted


@pytest.mark.parametrize("role", ReplicaRole)
def test_erasing_is_possible_from_every_role(role):
    assert not path(ABSENT, ABSENT, stateful=True)
    assert role is ABSENT or path(role, ABSENT, stateful=True)[-1] is RoleEvent.ERASE


def test_primary_with_state_follows_only_after_a_cut_over():
    with pytest.raises(TransitionError):
        path(PRIMARY, STANDBY, stateful=True)
    assert path(FENCED, STANDBY, stateful=True) == (RoleEvent.REJOIN,)
    assert path(PRIMARY, STANDBY, stateful=False) == (RoleEvent.REST,)


GAVE_3 = Standing(FENCED, 3, served_epoch=3, relinquished_epoch=3)
SERVES_4 = Standing(PRIMARY, 4, served_epoch=4)
FOLLOWS_3 = Standing(STANDBY, 3)


@pytest.mark.parametrize(
    ("standing", "ordered", "given", "role", "epoch"),
    [
        (Standing(), order(PRIMARY, 1), 0, PRIMARY, 1),
        (SERVES_4, order(PRIMARY, 4), 0, PRIMARY, 4),
        (SERVES_4, order(PRIMARY, 4, 3), 0, PRIMARY, 4),
        (SERVES_4, order(STANDBY, 3), 0, PRIMARY, 4),
        (SERVES_4, order(ABSENT, 3), 0, PRIMARY, 4),
        (SERVES_4, order(ABSENT, 4), 0, ABSENT, 4),
        (SERVES_4, order(RETAINED, 4), 0, RETAINED, 4),
        (GAVE_3, order(PRIMARY, 3), 0, FENCED, 3),
        (GAVE_3, order(STANDBY, 4), 0, STANDBY, 4),
        (GAVE_3, order(RETAINED, 4), 0, RETAINED, 4),
        (FOLLOWS_3, order(PRIMARY, 4, 3), 0, STANDBY, 3),
        (FOLLOWS_3, order(PRIMARY, 4, 3), 3, PRIMARY, 4),
        (FOLLOWS_3, order(ABSENT, 3), 0, ABSENT, 3),
        (Standing(ABSENT, 3, 3, 3), order(PRIMARY, 4), 0, PRIMARY, 4),
        (Standing(ABSENT, 3, 3, 3), order(PRIMARY, 3), 0, ABSENT, 3),
    ],
)
def test_what_happened_outranks_an_older_order(standing, ordered, given, role, epoch):
    verdict = judge(ordered, standing, stateful=True, relinquished_to_us=given)
    assert isinstance(verdict, Hold)
    assert (verdict.role, verdict.epoch) == (role, epoch)
    assert bool(verdict.why) == ((ordered.role, ordered.epoch) != (role, epoch))


@pytest.mark.parametrize(
    ("standing", "ordered", "code"),
    [
        (SERVES_4, order(STANDBY, 5), "still-primary"),
        (SERVES_4, order(ABSENT, 5), "still-primary"),
        (SERVES_4, order(RETAINED, 5), "still-primary"),
        (SERVES_4, order(PRIMARY, 5), "no-relinquishment"),
        (SERVES_4, order(PRIMARY, 5, 4), "no-relinquishment"),
        (FOLLOWS_3, order(PRIMARY, 4), "no-relinquishment"),
        (FOLLOWS_3, order(PRIMARY, 2), "epoch-passed"),
        (FOLLOWS_3, order(STANDBY, 2), "epoch-passed"),
        (Standing(), order(PRIMARY, 4, 3), "no-relinquishment"),
        (Standing(RETAINED, 3, 3, 3), order(PRIMARY, 4), "no-relinquishment"),
    ],
)
def test_an_order_without_the_right_is_refused(standing, ordered, code):
    verdict = judge(ordered, standing, stateful=True)
    assert isinstance(verdict, Refused)
    assert verdict.code == code


def test_a_relinquishment_is_good_for_the_next_epoch_only():
    verdict = judge(order(PRIMARY, 6, 3), FOLLOWS_3, stateful=True, relinquished_to_us=3)
    assert isinstance(verdict, Hold)
    assert verdict.role is STANDBY


@pytest.mark.parametrize("role", [PRIMARY, STANDBY, ABSENT])
def test_without_state_only_the_epoch_counts(role):
    standing = Standing(PRIMARY, 4, served_epoch=4)
    assert judge(order(role, 4), standing, stateful=False) == Hold(role, 4)
    assert isinstance(judge(order(role, 3), standing, stateful=False), Refused)
