"""`hanse site` and `hanse doctor`: mistakes are answered in words, and leave nothing behind."""

import json
import os
import pty
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from hanse.agent.process.supervise import EXIT_NOT_AGAIN
from hanse.site import run
from hanse.trust.invitation import Invitation

FILE = """\
provider: {id: nord, name: Nord Sky, country: "NO"}
site: {id: nord/oslo, city: Oslo, country: "NO", latitude: 59.9, longitude: 10.7}
"""


@pytest.fixture
def offers(tmp_path: Path) -> Path:
    path = tmp_path / "offers.yaml"
    path.write_text(FILE)
    return path


def test_a_torn_token_is_named(tmp_path: Path, offers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["site", "join", "hanse1.abc", "--dir", str(tmp_path / "s"), "--offers", str(offers)]) == 1
    assert "not a whole join token" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_the_token_can_come_by_the_standard_input(
    tmp_path: Path, offers: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = Invitation("https://127.0.0.1:1", "0" * 64, "secret").encode()
    monkeypatch.setattr("sys.stdin", StringIO(f"{token}\n"))
    assert run(["site", "join", "-", "--dir", str(tmp_path / "s"), "--offers", str(offers)]) == 1
    assert "cannot be reached" in capsys.readouterr().err


def test_at_a_terminal_the_token_is_asked_for_and_not_shown(tmp_path: Path, offers: Path) -> None:
    person, terminal = pty.openpty()
    words = ["site", "join", "-", "--dir", str(tmp_path / "s"), "--offers", str(offers)]
    command = [sys.executable, "-m", "hanse", *words]
    with subprocess.Popen(command, stdin=terminal, stderr=subprocess.PIPE, start_new_session=True) as join:
        assert join.stderr is not None
        assert join.stderr.read(5) == b"The t"
        os.write(person, b"hanse1.abc\n")
        told = join.stderr.read().decode()
    os.write(terminal, b"nothing else was shown")
    assert os.read(person, 100).strip() == b"nothing else was shown"
    for end in (terminal, person):
        os.close(end)
    assert "not a whole join token" in told


def test_a_hub_that_does_not_answer_leaves_the_keys_for_a_second_try(
    tmp_path: Path, offers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = Invitation("https://127.0.0.1:1", "0" * 64, "secret").encode()
    command = ["site", "join", token, "--dir", str(tmp_path / "s"), "--offers", str(offers)]
    assert run(command) == 1
    key = (tmp_path / "s" / "site.key").read_bytes()
    assert "cannot be reached" in capsys.readouterr().err
    assert run(command) == 1
    assert (tmp_path / "s" / "site.key").read_bytes() == key
    assert not (tmp_path / "s" / "hub.json").exists()


def test_a_bad_site_file_is_refused_before_anything_is_made(
    tmp_path: Path, offers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    offers.write_text(FILE.replace('"NO", latitude', "NO, latitude"))
    token = Invitation("https://127.0.0.1:1", "0" * 64, "secret").encode()
    assert run(["site", "join", token, "--dir", str(tmp_path / "s"), "--offers", str(offers)]) == 1
    assert "line 2, column 44: NO without quotes" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("command", ["run", "leave"])
def test_a_directory_that_never_joined_is_told_how(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["site", command, "--dir", str(tmp_path)]) == 1
    assert "hanse site join -" in capsys.readouterr().err


def test_an_agent_whose_journal_was_lost_does_not_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hub.json").write_text("{}")
    assert run(["site", "agent", "--dir", str(tmp_path)]) == EXIT_NOT_AGAIN
    assert "journal.sqlite is not there" in capsys.readouterr().err
    assert not (tmp_path / "journal.sqlite").exists()


def test_stopping_a_site_that_does_not_run_is_no_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["site", "stop", "--dir", str(tmp_path)]) == 0
    assert "agent: did not run" in capsys.readouterr().out


def test_an_unknown_option_is_answered_with_where_to_look(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["site", "run", "--directory", "x"]) == 2
    assert "hanse site --help" in capsys.readouterr().err


def test_the_doctor_says_what_runs_here_and_what_nobody_enforces(capsys: pytest.CaptureFixture[str]) -> None:
    run(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert set(found) >= {"container", "bucket", "endpoint"}
    assert all(set(one) == {"usable", "missing", "not_enforced"} for one in found.values())


@pytest.mark.parametrize(
    "words", [["site", "join", "--help"], ["site", "run", "--help"], ["doctor", "--help"]]
)
def test_help_shows_an_example(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 0
    assert "xample" in capsys.readouterr().out
