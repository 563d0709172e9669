"""The demo's stages: only what this user made is ever taken down."""

import fcntl
import json
import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from hanse.demo.network import Network
from hanse.demo.stage import Stage


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_directory_of_this_user_is_a_stage(temporary: Path) -> None:
    (temporary / "hanse-demo-7").mkdir()
    assert [stage.network.number for stage in Stage.all()] == [7]


def test_a_claimed_stage_is_owned_from_its_first_moment(temporary: Path) -> None:
    first, second = Stage.claim(), Stage.claim()
    assert first.network.number != second.network.number
    assert not first.abandoned
    assert sorted(path.name for path in temporary.iterdir()) == sorted(
        [first.directory.name, second.directory.name]
    )
    assert first.directory.stat().st_mode & 0o077 == 0


def test_a_stage_whose_owner_has_ended_is_abandoned_also_if_another_has_its_number(temporary: Path) -> None:
    stage = Stage.claim()
    mark = json.loads((stage.directory / "owner").read_text())
    (stage.directory / "owner").write_text(json.dumps(mark | {"start_ticks": mark["start_ticks"] - 1}))
    assert stage.abandoned


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


def test_two_may_take_the_same_stage_down(temporary: Path) -> None:
    (temporary / "hanse-demo-97").mkdir()
    first, second = Stage.all() + Stage.all()
    other = os.open(first.directory, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with ThreadPoolExecutor(2) as pool:
        strikes = [pool.submit(first.strike), pool.submit(second.strike)]
        assert not wait(strikes, timeout=0.1).done
        os.close(other)
    assert [strike.exception() for strike in strikes] == [None, None]
    assert not first.directory.exists()


@pytest.mark.real
def test_a_process_left_inside_a_site_does_not_keep_its_cable() -> None:
    network = next(one for one in map(Network, range(99, 90, -1)) if not one.taken)
    network.build(1)
    lingering = subprocess.Popen([*network.inside(1), "sleep", "60"])
    try:
        network.remove(1)
        assert not Path("/sys/class/net", network.cable(1)).exists()
        network.build(1)
    finally:
        lingering.kill()
        lingering.wait()
        network.remove(1)
    assert not network.taken
