"""The real hub and the real agents in a virtual world. A failing seed: `python -m tests.simulation SEED`."""

import pytest
from sim_world import play

SEEDS = 200
CALM_SEEDS = 20
BATCH = 5


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_faults_lose_no_write_and_never_make_two_writers(first):
    for seed in range(first, first + BATCH):
        told = replayable(seed)
        assert told.acknowledged > 0, f"seed {seed}: nobody could write"


@pytest.mark.parametrize("seed", range(10_000, 10_000 + CALM_SEEDS))
def test_without_faults_no_client_sees_an_error_or_waits_long(seed):
    told = play(seed, faults=False)
    assert told.errors == ()
    assert told.gap_seconds < 1.0
    assert all(move.endswith("done") for move in told.moves)


def test_one_seed_is_one_run():
    assert play(4) == play(4)


def replayable(seed):
    try:
        return play(seed)
    except Exception as error:
        raise AssertionError(f"python -m tests.simulation {seed}: {error}") from error
