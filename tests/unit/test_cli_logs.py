"""Following lines: what is new is told once, also where the beginning fell out."""

import pytest

from hanse.cli.verbs.logs import news


@pytest.mark.parametrize(
    ("told", "now", "new"),
    [
        ([], ["a", "b"], ["a", "b"]),
        (["a", "b"], ["a", "b"], []),
        (["a", "b"], ["a", "b", "c"], ["c"]),
        (["a", "b", "c"], ["b", "c", "d"], ["d"]),
        (["a", "a", "a"], ["a", "a", "b"], ["b"]),
        (["a", "b"], ["x", "y"], ["x", "y"]),
        (["a", "b"], [], []),
    ],
)
def test_only_what_is_new_is_told(told: list[str], now: list[str], new: list[str]) -> None:
    assert list(news(told, now)) == new
