"""The set-up may be cut off at any moment; the next one leaves no half-installed package behind."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[2] / "tools" / "setup"
PLAYED_UV = """#!/bin/sh
case "$1" in
--version) echo "uv {version}" ;;
sync)
    mkdir -p .venv
    if [ -e cut-off ]; then touch .venv/half; rm cut-off; kill -KILL "$PPID"; exit 1; fi
    touch .venv/whole ;;
esac
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with the set-up, and a uv that is played."""
    version = re.search(r"^uv_version=(.+)$", SETUP.read_text(), re.MULTILINE)
    assert version is not None
    (tmp_path / "tools").mkdir()
    shutil.copy2(SETUP, tmp_path / "tools" / "setup")
    uv = tmp_path / ".state" / "tools" / "bin" / "uv"
    uv.parent.mkdir(parents=True)
    uv.write_text(PLAYED_UV.format(version=version[1]))
    uv.chmod(0o755)
    return tmp_path


def set_up(place: Path) -> int:
    return subprocess.run([place / "tools" / "setup"], capture_output=True, check=False).returncode


@pytest.mark.real
def test_an_environment_that_was_cut_off_is_begun_anew(place: Path) -> None:
    (place / "cut-off").touch()
    assert set_up(place) == -9
    assert (place / ".venv" / "half").exists()
    assert set_up(place) == 0
    assert [path.name for path in (place / ".venv").iterdir()] == ["whole"]


@pytest.mark.real
def test_an_environment_that_is_whole_is_kept(place: Path) -> None:
    assert set_up(place) == 0
    (place / ".venv" / "mine").touch()
    assert set_up(place) == 0
    assert {path.name for path in (place / ".venv").iterdir()} == {"whole", "mine"}
