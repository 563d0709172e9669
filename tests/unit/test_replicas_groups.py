"""Moves of a whole application, and purchases of a whole plan: all in a good order, or not at all."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from hanse.model.replica.observation import HoldState
from hanse.replicas.groups import Group, GroupMove, NoOrder, order_moves
from hanse.replicas.holds import decide_holds

A, B, C = "fiction/a", "fable/b", "legend/c"
NOW = datetime(2030, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=60)


def everywhere(_origin, _to):
    return True


def test_providers_move_before_their_consumers():
    group = Group({"web": A, "files": A, "api": A}, [("web", "api"), ("api", "files")])
    moves = [GroupMove(name, B) for name in ("web", "api", "files")]
    ordered = order_moves(group, moves, everywhere)
    assert [move.component for move in ordered] == ["files", "api", "web"]


def test_consumer_goes_first_where_only_the_new_site_reaches_back():
    group = Group({"web": A, "files": A}, [("web", "files")])
    ordered = order_moves(group, [GroupMove("files", B), GroupMove("web", B)], lambda o, t: (o, t) == (B, A))
    assert [move.component for move in ordered] == ["web", "files"]


def test_no_order_says_whom_each_first_move_would_cut_off():
    group = Group({"web": A, "files": A}, [("web", "files")])
    ordered = order_moves(group, [GroupMove("files", B), GroupMove("web", B)], lambda _o, _t: False)
    assert isinstance(ordered, NoOrder)
    assert ordered.why[0] == f"moving files to {B}: web at {A} would not reach files at {B}"


def test_endpoint_must_reach_what_it_exposes():
    group = Group({"web": A, "web-endpoint": C}, [("web-endpoint", "web")])
    assert isinstance(order_moves(group, [GroupMove("web", B)], lambda _o, t: t == A), NoOrder)


def legal(sites, group, reach):
    pairs = [(sites[c], sites[p]) for c, p in group.bindings]
    return all(a == b or (a, b) in reach for a, b in pairs)


def legal_orders(group, moves, reach, forbidden):
    """By brute force: every order of which every prefix reaches everybody and is not forbidden."""
    good = []
    for order in permutations(moves):
        sites, done, fine = dict(group.sites), set(), True
        for move in order:
            sites[move.component] = move.target
            done.add(move.component)
            fine = fine and legal(sites, group, reach) and frozenset(done) not in forbidden
        if fine:
            good.append(order)
    return good


PLACES = st.sampled_from([A, B, C])
FOUR = st.lists(PLACES, min_size=4, max_size=4)
SETS = st.sets(st.frozensets(st.sampled_from("wxyz"), min_size=1), max_size=8)


@given(
    FOUR,
    FOUR,
    st.sets(st.tuples(st.sampled_from("wxyz"), st.sampled_from("wxyz")).filter(lambda p: p[0] < p[1])),
    st.sets(st.tuples(PLACES, PLACES)),
    SETS,
    st.booleans(),
)
def test_an_order_is_found_exactly_when_brute_force_finds_one(before, after, bindings, reach, no, back):
    group = Group(dict(zip("wxyz", before, strict=True)), sorted(bindings))
    if not legal(group.sites, group, reach):
        return
    moves = [GroupMove(n, s) for n, s in zip("wxyz", after, strict=True)]
    good = legal_orders(group, moves, reach, no)
    found = order_moves(
        group,
        moves,
        lambda a, b: (a, b) in reach,
        breaks=lambda done: ("breaks a rule",) if done in no else (),
        last_first=back,
    )
    assert found in good if good else isinstance(found, NoOrder)


def test_where_every_order_is_free_going_back_is_the_way_there_reversed():
    group = Group({"web": A, "files": A, "db": A}, [("web", "files"), ("web", "db")])
    moves = [GroupMove(name, B) for name in ("web", "db", "files")]
    there = order_moves(group, moves, everywhere)
    assert order_moves(group, moves, everywhere, last_first=True) == there[::-1]


def test_no_order_says_which_rule_each_first_move_would_break():
    group = Group({"web": A, "files": A})
    moves = [GroupMove("files", B), GroupMove("web", B)]
    rule = ("breaks together-1: files and web stand at one site",)
    found = order_moves(group, moves, everywhere, breaks=lambda done: rule if len(done) == 1 else ())
    assert isinstance(found, NoOrder)
    assert found.proved
    assert list(found.why) == [f"moving {name} to {B}: {rule[0]}" for name in ("files", "web")]


def test_a_rule_that_only_the_last_placement_breaks_names_what_came_before():
    group = Group({"web": A, "files": A})
    moves = [GroupMove("files", B), GroupMove("web", B)]
    found = order_moves(group, moves, everywhere, breaks=lambda d: ("too dear",) if len(d) == 2 else ())
    assert found.why[0] == f"moving web to {B} after files: too dear"


def decide(*states, confirming=False, now=NOW):
    heard = {f"h{i}": HoldState(state=s) if s else None for i, s in enumerate(states)}
    return decide_holds(heard, confirming=confirming, expires_at=LATER, now=now)


def test_all_held_are_then_accepted_and_only_then_settled():
    assert decide("held", None).wanted == "held"
    assert decide("held", "held").wanted == "accepted"
    assert not decide("accepted", "held", confirming=True).settled
    assert decide("accepted", "accepted", confirming=True).settled


def test_one_declined_hold_releases_all_of_them():
    verdict = decide("accepted", "declined", confirming=True)
    assert (verdict.wanted, verdict.settled, list(verdict.refusals)) == ("released", False, ["h1"])
    assert decide("released", "declined").settled


def test_silence_until_the_expiry_releases_all_of_them():
    assert decide("held", None, now=LATER).wanted == "released"
    assert decide("accepted", "held", confirming=True, now=LATER).wanted == "released"
    assert decide("accepted", "accepted", confirming=True, now=LATER).settled
