"""Watching operations: what is told, when it ends, what happens when the hub falls silent."""

import io
from collections.abc import Iterator
from typing import Any

import pytest

from hanse.cli.show.follow import Board, follow, verdict
from hanse.cli.show.operations import doing
from hanse.cli.show.table import duration, size, table
from hanse.ports import Permanent, Temporary

BASE: dict[str, Any] = {
    "operation": "op-1",
    "component": "files",
    "kind": "move",
    "state": "open",
    "phase": "following",
    "reason": "",
    "source": "alder/one",
    "target": "birch/one",
    "ticket": None,
    "abort_wanted": False,
    "progress": None,
    "dark_ms": None,
    "failure": None,
    "started_at": "2026-01-01T00:00:00Z",
    "ended_at": None,
}
PROGRESS = {
    "phase": "copying",
    "bytes_done": 3 * 1024**2,
    "bytes_total": 10 * 1024**2,
    "objects_done": 4,
    "objects_total": 9,
    "lag_bytes": 0,
    "lag_objects": None,
    "seconds_left": 4.2,
}
DONE = BASE | {"state": "done", "phase": "done", "dark_ms": 120, "ended_at": "2026-01-01T00:00:02.5Z"}


class PlayedHub:
    """Shows one status after the other; a failure is raised."""

    def __init__(self, *shown: dict[str, Any] | BaseException) -> None:
        self._shown: Iterator[dict[str, Any] | BaseException] = iter(shown)

    def get(self, path: str) -> dict[str, Any]:
        assert path == "/v1/applications/shop"
        now = next(self._shown)
        if isinstance(now, BaseException):
            raise now
        return {"application": "shop", "state": "running", "reason": "", "operations": [now]} | now.get(
            "whole", {}
        )


def watch(*shown: dict[str, Any] | BaseException) -> tuple[Any, str]:
    out = io.StringIO()
    found = follow(PlayedHub(*shown), "shop", ["op-1"], Board(out), pause=lambda _: None)
    return found, out.getvalue()


def test_each_phase_is_told_once_and_the_cut_over_by_its_name():
    _, words = watch(BASE, BASE, BASE | {"phase": "cutting-over"}, BASE | {"phase": "cutting-over"}, DONE)
    lines = words.splitlines()
    assert len(lines) == 3
    assert ["cut-over" in line for line in lines[:2]] == [False, True]


def test_what_comes_and_goes_between_two_looks_is_not_told_again():
    copying = BASE | {"progress": PROGRESS}
    _, words = watch(copying, copying | {"progress": PROGRESS | {"lag_objects": 3}}, copying, DONE)
    assert words.count("copying") == 1


def test_what_could_not_be_bought_is_watched_until_it_is_cleared_away():
    clearing = DONE | {"state": "aborted", "whole": {"state": "retiring", "reason": "no image"}}
    found, _ = watch(BASE, clearing, clearing | {"whole": {"state": "declined", "reason": "no image"}})
    assert verdict(found, ["op-1"])[1][-1] == "shop was not bought: no image"


def test_a_reason_is_told_once_and_then_only_what_changed():
    reason = "component pages does not start: exit code 3, no such table"
    failure = {"code": "program-ended", "message": reason, "detail": "no such table"}
    failing = BASE | {"kind": "deploy", "phase": "starting", "reason": reason, "failure": failure}
    clearing = {"state": "retiring", "reason": f"deploying pages was aborted: {reason}"}
    ended = failing | {"state": "aborted", "whole": clearing}
    board = Board(io.StringIO())
    shown = [BASE, failing, failing, failing | {"phase": "undoing"}, ended]
    last = ended | {"whole": clearing | {"state": "declined"}}
    found = follow(PlayedHub(*shown, last), "shop", ["op-1"], board, pause=lambda _: None)
    for line in verdict(found, ["op-1"])[1]:
        board.line(line)
    words = board.out.getvalue() + "\n".join(board.rest([f"shop: declined ({found['reason']})"]))
    assert words.count(reason) == 1
    assert len(words.splitlines()) == 8
    assert "shop was not bought: deploying pages was aborted: see above" in words


def test_the_end_of_what_was_never_bought_is_no_failure():
    found = {"application": "shop", "state": "declined", "reason": "no capacity", "operations": []}
    good, words = verdict(found, [])
    assert good
    assert words == ["shop was never bought, so nothing of it is left to end"]


def test_why_a_copy_does_not_get_on_is_shown_before_how_far_it_got():
    failure = {"code": "source-unreachable", "message": "Nothing can be read from a/1.", "detail": ""}
    failing = BASE | {"progress": PROGRESS, "reason": failure["message"], "failure": failure}
    assert doing(failing).endswith(": Nothing can be read from a/1.")


def test_a_cut_over_says_what_it_waits_for_before_how_far_its_target_is():
    waiting = BASE | {"phase": "cutting-over", "progress": PROGRESS, "reason": "b/1 is not heard from"}
    assert doing(waiting).endswith(": b/1 is not heard from")


def test_what_is_put_back_is_told_with_its_reason():
    undoing = BASE | {"phase": "undoing", "reason": "the disk is full", "progress": PROGRESS}
    assert doing(undoing) == "puts everything back: the disk is full"


def test_no_line_before_the_cut_over_speaks_of_it():
    for phase in ("waiting", "reaching", "granting", "following", "preparing"):
        assert "cut-over" not in doing(BASE | {"phase": phase})


def test_progress_has_bytes_objects_lag_and_time_left():
    words = doing(BASE | {"progress": PROGRESS, "reason": "is not told, since progress is"})
    assert words == "copies: copying, 3.0 MiB of 10.0 MiB, 4 of 9 objects, lag 0 B, 4 s left"


def test_the_end_tells_time_and_dark_time():
    assert doing(DONE).startswith("done after 2.5 s, 120 ms between")


def test_a_short_silence_of_the_hub_is_waited_out():
    found, _ = watch(BASE, *[Temporary("hub-unreachable", "silent.")] * 10, DONE)
    assert verdict(found, ["op-1"]) == (True, [])


def test_a_long_silence_ends_the_watching_and_says_that_work_goes_on():
    with pytest.raises(Temporary, match="not lost"):
        watch(BASE, *[Temporary("hub-unreachable", "silent.")] * 100)


def test_an_operation_that_stays_stuck_ends_the_watching_and_names_abort():
    stuck = BASE | {"state": "stuck", "reason": "the disk is full."}
    with pytest.raises(Permanent, match=r"the disk is full.*hanse abort op-1"):
        watch(*[stuck] * 1000)


def test_ctrl_c_leaves_it_running_and_says_how_to_look():
    with pytest.raises(Permanent, match="hanse status shop") as stopped:
        watch(BASE, KeyboardInterrupt())
    assert stopped.value.code == "interrupted"


def test_an_aborted_operation_is_told_with_the_programs_last_words():
    failure = {"code": "program-ended", "message": "It ended.", "detail": "line one\nline two"}
    found, _ = watch(BASE | {"state": "aborted", "reason": "It ended.", "failure": failure})
    good, words = verdict(found, ["op-1"])
    assert not good
    assert words[1:] == ["program-ended: It ended.", "  | line one", "  | line two"]


def test_amounts_are_words():
    assert [size(each) for each in (None, 0, 1023, 1536, 5 * 1024**4)] == [
        "?",
        "0 B",
        "1023 B",
        "1.5 KiB",
        "5.0 TiB",
    ]
    assert [duration(each) for each in (4, 600, 86400, 864000)] == ["4 s", "10 min", "24 h", "10 d"]
    assert table(("a", "n"), [("xx", "1"), ("y", "22")], right=[1]) == ["a    n", "xx   1", "y   22"]
