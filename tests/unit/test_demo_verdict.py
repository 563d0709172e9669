"""The demo's verdict: from the clients' logs, and from nothing else."""

import json
from pathlib import Path

import pytest

from hanse.demo.verdict import Scene, expected, good, lines_of, seen, table, verdict_line, wrong_reads

GOOD = {
    "writes_acknowledged": 5,
    "writes_lost": 0,
    "client_errors": 0,
    "gap_ms_max": 900,
    "source_served_after_cut": True,
    "move_finished_after_hub_kill": True,
    "objects_different": 0,
}


def request(at: float, status: int = 201, name: str = "a", sha256: str = "x", ms: int = 10):
    return {"at": at, "ms": ms, "what": "PUT", "name": name, "sha256": sha256, "status": status}


def test_the_gap_is_the_longest_time_between_two_answers():
    assert seen([request(1.0), request(1.5), request(4.0), request(4.1)]).gap_ms == 2500


def test_a_request_without_answer_is_an_error_and_widens_the_gap():
    found = seen([request(1.0), request(2.0, status=0), request(3.0)])
    assert (found.requests, found.errors, found.gap_ms) == (3, 1, 2000)


def test_only_the_span_that_was_asked_for_counts():
    assert seen([request(1.0), request(2.0), request(9.0)], since=1.5, until=5.0).requests == 1


def test_what_was_not_acknowledged_is_not_expected():
    lines = [request(1.0, name="kept"), request(2.0, status=503, name="refused")]
    assert expected(lines) == {"kept": "x"}


def test_a_read_with_other_bytes_counts_as_wrong():
    reads = [request(1.0, status=200, sha256="x"), request(2.0, status=200, sha256="z")]
    assert wrong_reads({"a": "x"}, reads) == 1


def test_a_torn_last_line_is_left_out(tmp_path: Path):
    log = tmp_path / "log"
    log.write_text(json.dumps(request(1.0)) + '\n{"at": 2.')
    assert lines_of(log) == [request(1.0)]


def test_a_log_that_is_not_there_yet_is_empty(tmp_path: Path):
    assert lines_of(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("writes_lost", 1),
        ("client_errors", 1),
        ("objects_different", 1),
        ("writes_acknowledged", 0),
        ("source_served_after_cut", False),
        ("move_finished_after_hub_kill", False),
        ("move_finished_after_hub_kill", None),
    ],
)
def test_anything_but_a_clean_run_is_not_good(key: str, value: object):
    assert good(GOOD)
    assert not good(GOOD | {key: value})


def test_the_last_line_is_one_json_document_with_the_total_first():
    assert json.loads(verdict_line(12.345, GOOD)) == {"seconds_total": 12.3} | GOOD


def test_the_table_tells_each_kind_of_client_apart():
    quick, slow = seen([request(1.0), request(1.1)]), seen([request(1.0), request(3.0, status=503)])
    told = table([Scene("a move", 2.5, {"record": quick, "write": slow, "read": quick})])
    assert "Kinto writes" in told
    line = next(line for line in told.splitlines() if line.startswith("a move"))
    assert line.split()[2:] == ["2.5", "s", "2", "0", "100", "1", "1", "0", "2", "0", "100"]
