"""One running stage a worker: start-up is paid once for every group of journeys."""

import signal
from collections.abc import Iterator

import pytest
from journey_stage import Journey, run_clinic, stage

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # who is started in the background ignores Ctrl-C, and so would every command that is typed here
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def journey() -> Iterator[Journey]:
    """A hub and three sites, joined and running."""
    with stage() as made:
        yield made


@pytest.fixture(scope="session")
def clinic(journey: Journey) -> Journey:
    """The same, with the demo's application running on it."""
    run_clinic(journey)
    return journey
