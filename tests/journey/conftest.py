"""One running stage a worker: start-up is paid once for every group of journeys."""

from collections.abc import Iterator

import pytest
from journey_stage import Journey, run_clinic, stage


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
