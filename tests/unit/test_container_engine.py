"""The engine's place, on real podman."""

import shutil
from pathlib import Path

import pytest

from hanse.drivers.container.engine import Engine

pytestmark = pytest.mark.real


async def test_a_directory_that_was_deleted_while_mounted_is_mounted_anew(tmp_path: Path) -> None:
    directory = tmp_path / "engine"
    await Engine(directory).ask("ps")
    shutil.rmtree(directory)
    engine = Engine(directory)
    asked = await engine.ask("ps")
    await engine.dispose()
    assert (asked.code, asked.complaint) == (0, "")
