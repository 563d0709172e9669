"""What a program wrote, as its monitor keeps it: lines in pieces, two streams, a file cut off."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from hanse.drivers.container.output import joined, last_lines

AT = "2026-11-23T04:14:37.093666117+00:00"
WORDS = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=8)


def test_a_line_that_came_in_pieces_is_whole() -> None:
    text = f"{AT} stderr P ERROR: \n{AT} stderr P no such file\n{AT} stderr F \n"
    assert joined(text) == ["ERROR: no such file"]


def test_pieces_of_two_streams_are_kept_apart() -> None:
    text = f"{AT} stdout P one \n{AT} stderr F other\n{AT} stdout F line\n"
    assert joined(text) == ["other", "one line"]


def test_what_never_ended_is_told_too() -> None:
    assert joined(f"{AT} stdout F done\n{AT} stderr P dying") == ["done", "dying"]


@settings(deadline=None)
@given(st.lists(st.lists(WORDS, min_size=1, max_size=4), max_size=8), st.integers(0, 30))
def test_however_it_is_cut_every_other_line_is_there(lines: list[list[str]], cut: int) -> None:
    rows = [
        f"{AT} stdout {'F' if piece is pieces[-1] and number == len(pieces) - 1 else 'P'} {piece}"
        for pieces in lines
        for number, piece in enumerate(pieces)
    ]
    whole = ["".join(pieces) for pieces in lines]
    assert joined("\n".join(rows)) == whole
    assert joined("\n".join([*rows, f"{AT} stdout F late"[:cut]]))[: len(whole)] == whole


def test_of_a_long_file_the_last_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "ctr.log"
    path.write_text("".join(f"{AT} stdout F {number:040}\n" for number in range(40_000)))
    assert [int(line) for line in last_lines(path, 3)] == [39_997, 39_998, 39_999]
    assert last_lines(path, 0) == last_lines(tmp_path / "none", 5) == []
