"""Holding clients during a cut-over: only a fresh ticket holds, everything ends it, nothing waits for it."""

from random import Random

import pytest
from step_world import FILES, ONE, THREE, TWO, peer

from hanse.model.replica.order import Ticket
from hanse.model.replica.spec import Stream
from hanse.replicas.cutover import RouteSwitch, SourceCutOver, advance
from hanse.replicas.cutover import actions as act
from hanse.replicas.cutover import events as ev

TICKET = Ticket(
    ticket="op-1.1",
    key=FILES,
    from_epoch=3,
    source=peer(ONE),
    target=peer(TWO),
    routes=(peer(THREE),),
    holding=("web",),
    target_stream=Stream(name="files:clients", peer=peer(TWO), port=9000),
)
HOLD_BOTH = [ev.HoldAsked("endpoints"), ev.HoldAsked("connectors")]


def walk(state, events):
    actions = []
    for event in events:
        state, new = advance(state, event)
        actions += new
    return state, actions


def test_the_gate_closes_only_after_the_routes_were_held_or_waited_for():
    state, actions = walk(SourceCutOver(TICKET), [ev.PeerPrepared()])
    assert actions == [act.HoldRoutes(seconds=5.0)]
    assert advance(state, ev.GateClosed()) == (state, ())
    assert advance(state, ev.RoutesHeld())[1] == (act.CloseGate(),)


def test_a_duplicated_word_that_routes_are_held_closes_nothing_twice():
    state, _ = walk(SourceCutOver(TICKET), [ev.PeerPrepared(), ev.RoutesHeld()])
    assert advance(state, ev.RoutesHeld()) == (state, ())


def test_a_route_holds_each_stage_once_and_switches_connectors_first():
    state, actions = walk(RouteSwitch(TICKET), [*HOLD_BOTH, ev.HoldAsked("connectors")])
    assert actions == [act.HoldRoute("endpoints"), act.HoldRoute("connectors")]
    state, actions = walk(state, [ev.Relinquished("p"), ev.RoutesSwitched()])
    assert actions == [act.SwitchRoute(4)]
    assert (state.phase, state.held) == ("switched", ("endpoints",))
    state, actions = advance(state, ev.ReleaseAsked())
    assert (state.phase, state.held, actions) == ("done", (), (act.ReleaseRoute(),))


@pytest.mark.parametrize(
    "event",
    [ev.ReleaseAsked(), ev.DeadlinePassed(), ev.AbortAsked(), ev.Restarted(), ev.Failed("pause")],
)
def test_whatever_ends_a_hold_lets_everything_go_and_a_late_hold_does_nothing(event):
    state, _ = walk(RouteSwitch(TICKET), HOLD_BOTH)
    state, actions = advance(state, event)
    assert (state.phase, state.held, actions) == ("aborted", (), (act.ReleaseRoute(),))
    assert walk(state, HOLD_BOTH) == (state, [])
    assert advance(state, ev.Relinquished("p"))[1] == (act.SwitchRoute(4),)


def test_held_endpoints_are_let_go_at_the_deadline_even_if_the_target_says_nothing():
    way = [*HOLD_BOTH, ev.Relinquished("p"), ev.RoutesSwitched(), ev.DeadlinePassed()]
    state, actions = walk(RouteSwitch(TICKET), way)
    assert (state.phase, state.held, actions[-1]) == ("done", (), act.ReleaseRoute())


def test_a_used_ticket_holds_nothing():
    used, _ = walk(RouteSwitch(TICKET), [ev.Relinquished("p"), ev.RoutesSwitched()])
    assert used.phase == "done"
    assert walk(used, HOLD_BOTH) == (used, [])


SOUP = [
    *HOLD_BOTH,
    ev.ReleaseAsked(),
    ev.Relinquished("p"),
    ev.RoutesSwitched(),
    ev.DeadlinePassed(),
    ev.AbortAsked(),
    ev.Failed("x"),
]


@pytest.mark.parametrize("seed", range(200))
def test_in_any_soup_what_is_held_is_let_go_and_an_ended_route_holds_nothing(seed):
    random = Random(seed)  # noqa: S311 - a seed that replays, not a secret
    state, holding = RouteSwitch(TICKET), set()
    for _ in range(30):
        before = state
        state, actions = advance(state, random.choice(SOUP))
        holding |= {one.stage for one in actions if isinstance(one, act.HoldRoute)}
        if any(isinstance(one, act.SwitchRoute) for one in actions):
            holding.discard("connectors")
        if act.ReleaseRoute() in actions:
            holding.clear()
        assert holding == set(state.held)
        assert before.phase == "accepted" or not (set(state.held) - set(before.held))
    state, _ = walk(state, [ev.DeadlinePassed(), ev.RoutesSwitched()])
    assert state.held == ()
    assert state.phase in ("done", "aborted")
