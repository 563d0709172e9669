"""Questions at a terminal: a no does nothing, erasing asks twice, a script is never asked."""

from collections.abc import Iterator

import pytest
from journey_footprint import difference, footprint
from journey_stage import TARASQUE, Journey

pytestmark = pytest.mark.xdist_group("stage")


@pytest.fixture(autouse=True)
def nothing_done(clinic: Journey) -> Iterator[None]:
    """The application runs as before, and no operation was begun."""
    before, operations = footprint(clinic), clinic.status("clinic")["operations"]
    yield
    assert difference(before, footprint(clinic)) == []
    assert clinic.status("clinic")["operations"] == operations


@pytest.mark.parametrize("answer", ["n\n", "\n", "maybe\n"])
def test_apply_shows_the_plan_and_does_nothing_without_a_yes(clinic: Journey, answer: str) -> None:
    file = clinic.directory / "clinic.yaml"
    said = clinic.answer("apply", str(file), answers=answer)
    assert said.code == 1
    assert "EUR a month" in said.out
    assert "Buy and run clinic like this? [y/N]" in said.err
    assert said.out.rstrip().endswith("Nothing was done.")


def test_a_move_shows_price_and_way_back_before_it_asks(clinic: Journey) -> None:
    said = clinic.answer("move", "clinic/images", "--to", TARASQUE, answers="n\n")
    assert said.code == 1
    assert "way back" in said.out
    assert "EUR/month now" in said.out
    assert "Move like this? [y/N]" in said.err


def test_erasing_asks_twice_and_names_what_is_lost(clinic: Journey) -> None:
    said = clinic.answer("retire", "clinic", "--erase-now", answers="y\nn\n")
    assert said.code == 1
    assert "images (bucket)" in said.out
    assert "Retire clinic? [y/N]" in said.err
    assert "Erase every byte of clinic now? Nobody can bring it back. [y/N]" in said.err
    assert "Nothing was done." in said.out


def test_retiring_asks_once_and_says_that_data_is_kept(clinic: Journey) -> None:
    said = clinic.answer("retire", "clinic", answers="n\n")
    assert said.code == 1
    assert "kept read-only" in said.out
    assert "Erase" not in said.err


@pytest.mark.parametrize("words", [["retire", "clinic"], ["move", "clinic/images", "--to", "tarasque"]])
def test_a_script_without_yes_is_told_so(clinic: Journey, words: list[str]) -> None:
    told = clinic.refused(*words)
    assert "Add --yes" in told
    assert "nothing was done" in told
