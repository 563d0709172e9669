"""The search itself: its bounds, and what it says when it may not go on."""

import itertools
import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hanse.matching.search.assignment import INFINITE, assignment_cost
from hanse.matching.search.problem import UNDECIDED, Group, Problem, Variable
from hanse.matching.search.solve import Effort, solve


def variable(costs, places):
    keys = np.array(places, dtype=np.int64)
    column = np.array(costs, dtype=np.int64)
    return Variable(column, {"site": keys, "provider": keys, "country": keys}, [()] * len(costs))


def apart(count, places=6):
    prices = [10 + place for place in range(places)]
    members = tuple(range(count))
    return Problem(
        tuple(variable(prices, range(places)) for _ in members), groups=(Group("apart", "site", members),)
    )


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32))
def test_the_assignment_bound_is_the_least_of_all_assignments(seed):
    dice = random.Random(seed)  # noqa: S311
    rows, columns = dice.randint(1, 4), dice.randint(1, 5)
    costs = [[dice.choice((0, 1, 5, 9, INFINITE)) for _ in range(columns)] for _ in range(rows)]
    totals = [
        sum(costs[row][column] for row, column in enumerate(order))
        for order in itertools.permutations(range(columns), rows)
    ]
    least = min(totals, default=INFINITE)
    found = assignment_cost(np.array(costs, dtype=np.int64))
    assert min(found, INFINITE) == min(least, INFINITE)


def test_those_apart_take_the_cheapest_places_between_them():
    found = solve(apart(4), Effort())
    assert (found.cost, found.proved) == (10 + 11 + 12 + 13, True)


def test_more_variables_than_places_have_no_solution_and_that_is_seen_at_once():
    effort = Effort()
    assert solve(apart(12, places=11), effort) is None
    assert effort.used < 100


def test_groups_that_contradict_each_other_are_seen_at_once():
    both = (
        Group("apart", "provider", (0, 1, 2)),
        Group("together", "site", (0, 3)),
        Group("together", "site", (3, 2)),
    )
    problem = apart(4)
    effort = Effort()
    assert solve(Problem(problem.variables, groups=both), effort) is None
    assert effort.used == 0


def test_a_search_that_may_not_go_on_says_that_it_does_not_know():
    assert solve(apart(4), Effort(granted=30)) is UNDECIDED


def test_a_bundle_found_before_the_end_is_not_called_proved():
    uneven = [
        variable([1, 2, 9, 9], range(4)),
        variable([1, 9, 9, 3], range(4)),
        variable([1, 9, 4, 9], range(4)),
    ]
    pairs = tuple(Group("apart", "site", pair) for pair in itertools.combinations(range(3), 2))
    problem = Problem(tuple(uneven), groups=pairs)
    early, late = (solve(problem, Effort(granted=granted)) for granted in (80, 10_000))
    assert not early.proved
    assert (late.cost, late.proved) == (2 + 3 + 1, True)
