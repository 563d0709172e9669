"""The demo's stages: only what this user made is ever taken down."""

import os
import tempfile
from pathlib import Path

import pytest

from hanse.demo.stage import Stage


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_directory_of_this_user_is_a_stage(temporary: Path) -> None:
    (temporary / "hanse-demo-7").mkdir()
    assert [stage.network.number for stage in Stage.all()] == [7]


@pytest.mark.real
def test_a_strangers_directory_is_left_alone(temporary: Path) -> None:
    (temporary / "hanse-demo-7").mkdir()
    os.chown(temporary / "hanse-demo-7", 65534, 65534)
    assert Stage.all() == []


def test_a_link_or_another_name_is_left_alone(temporary: Path) -> None:
    (temporary / "elsewhere").mkdir()
    (temporary / "hanse-demo-8").symlink_to(temporary / "elsewhere")
    (temporary / "hanse-demo-mine").mkdir()
    assert Stage.all() == []
