"""The house rules hold: lint, types, layers and limits are tests like any other."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-6000:]}\n{done.stderr[-2000:]}"


@pytest.mark.parametrize("arguments", [("check", "."), ("format", "--check", ".")], ids=["check", "format"])
def test_ruff_finds_nothing(arguments):
    run(str(BIN / "ruff"), *arguments)


def test_types_hold_in_strict_mode():
    run(str(BIN / "mypy"))


def test_layers_hold():
    run(str(BIN / "lint-imports"))


def test_limits_hold():
    run(sys.executable, "tools/tidy.py")


def test_pure_rooms_work_without_clock_files_network_or_randomness():
    run(sys.executable, "tests/parts/poisoned.py")
