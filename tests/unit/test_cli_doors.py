"""The first word, the way to the hub, help and exit codes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hanse.__main__ import main
from hanse.cli.command import ROOMS

IN_GROUPS = {"catalogue": ["import"], "image": ["push"], "hub": ["status"], "import": ["postgres"]}
HEAVY = ("numpy", "fastapi", "sqlalchemy", "pydantic", "uvicorn", "asyncio", "rich", "cryptography")


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    for name in ("HANSE_HUB", "HANSE_TOKEN", "HANSE_TOKEN_FILE", "HANSE_HUB_CA", "HANSE_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HANSE_CONFIG", str(tmp_path / "hub.json"))


def config(tmp_path: Path, **fields: str) -> None:
    (tmp_path / "admin.token").write_text("a-token\n")
    (tmp_path / "hub.json").write_text(json.dumps({"token_file": str(tmp_path / "admin.token"), **fields}))


def test_help_lists_every_command(capsys):
    assert main(["--help"]) == 0
    words = capsys.readouterr().out
    assert all(f"\n  {room}" in words for room in (*ROOMS, "hub", "site", "doctor", "demo"))
    assert max(len(line) for line in words.splitlines()) <= 100


def test_no_word_at_all_is_help_and_a_usage_error(capsys):
    assert main([]) == 2
    assert "Usage: hanse" in capsys.readouterr().out


def test_an_unknown_command_is_told_with_the_nearest(capsys):
    assert main(["mvoe"]) == 2
    assert "Do you mean `hanse move`?" in capsys.readouterr().err


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_every_command_has_help_with_an_example(room, capsys):
    words = [room, *IN_GROUPS.get(room, ())]
    assert main([*words, "--help"]) == 0
    found = capsys.readouterr().out
    assert f"`hanse {' '.join(words)}" in found
    assert "--json" in found or room == "psql"
    assert max(len(line) for line in found.splitlines()) <= 100


def test_help_names_each_option_with_its_value_and_words(capsys):
    assert main(["offers", "--help"]) == 0
    found = capsys.readouterr().out
    assert "  --limit N       Rows at most. Default: 100." in found
    assert "  --json          One JSON document as the last line." in found
    assert main(["psql", "--help"]) == 0
    assert capsys.readouterr().out.startswith("Usage: hanse psql COMPONENT [ARGUMENTS …]\n")


def test_a_group_without_a_command_lists_its_commands(capsys):
    assert main(["image", "--help"]) == 0
    found = capsys.readouterr().out
    assert all(f"\n  {name} " in found for name in ("push", "list", "remove"))
    assert main(["image"]) == 2
    assert capsys.readouterr().out == found


@pytest.mark.parametrize(
    "words", [["plan"], ["plan", "a", "b"], ["status", "--bogus"], ["offers", "--limit", "x"]]
)
def test_wrong_use_is_one_line_and_2(words, capsys):
    assert main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_without_a_hub_a_command_says_how_to_start_one(capsys):
    assert main(["status"]) == 1
    assert "hanse hub run" in capsys.readouterr().err


def test_a_hub_that_is_not_there_is_told_with_its_address(tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        config(tmp_path, url=f"https://127.0.0.1:{taken.getsockname()[1]}")
        assert main(["status"]) == 1
    words = capsys.readouterr().err
    assert "connection refused" in words
    assert "hanse hub run" in words


def test_an_address_that_is_none_is_refused(tmp_path, capsys):
    config(tmp_path, url="http://127.0.0.1:1")
    assert main(["status"]) == 1
    assert "https://HOST:PORT" in capsys.readouterr().err


def test_a_damaged_configuration_is_named(tmp_path, capsys):
    (tmp_path / "hub.json").write_text("{")
    assert main(["status"]) == 1
    assert str(tmp_path / "hub.json") in capsys.readouterr().err


def test_a_token_that_cannot_be_read_is_named(tmp_path, capsys):
    config(tmp_path, url="https://127.0.0.1:1", token_file=str(tmp_path / "gone"))
    assert main(["status"]) == 1
    assert "gone" in capsys.readouterr().err


def test_the_environment_goes_before_the_configuration(tmp_path, monkeypatch, capsys):
    config(tmp_path, url="https://127.0.0.1:1")
    monkeypatch.setenv("HANSE_HUB", "https://127.0.0.1:2")
    monkeypatch.setenv("HANSE_TOKEN", "a-token")
    assert main(["status"]) == 1
    assert "https://127.0.0.1:2" in capsys.readouterr().err


def test_a_reader_that_went_away_is_no_traceback():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "hanse", "--help"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_command_loads_only_what_it_needs():
    code = (
        "import sys; from hanse.__main__ import main;"
        "main(['status']); main(['--help']); main(['plan', '--help']);"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
