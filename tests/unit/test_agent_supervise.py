"""The parent: real processes, started again soon, ended together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARENT = """
import sys
from hanse.agent.process.supervise import Supervisor
sys.exit(Supervisor([sys.executable, "-c", sys.argv[1]], lambda words: print(words, flush=True)).run())
"""
RECORD = "import os, time; open({path!r}, 'a').write(str(os.getpid()) + ' '); "


@contextmanager
def parent(program: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, program], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)


def starts(path: Path, count: int) -> list[int]:
    """Process ids."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        lines = path.read_text().split() if path.exists() else []
        if len(lines) >= count:
            return [int(pid) for pid in lines]
        time.sleep(0.02)
    raise AssertionError(f"not started {count} times")


def test_a_killed_agent_runs_again_at_once(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    with parent(RECORD.format(path=str(path)) + "time.sleep(60)") as process:
        first = starts(path, 1)[0]
        os.kill(first, signal.SIGKILL)
        assert starts(path, 2)[1] != first
        assert pauses(process, 1) == ["0.2"]


def pauses(process: subprocess.Popen[str], count: int) -> list[str]:
    """Seconds, as the parent told them before each start."""
    assert process.stdout is not None
    return [process.stdout.readline().rpartition(" in ")[2].partition(" ")[0] for _ in range(count)]


def test_sigterm_ends_parent_and_agent(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    with parent(RECORD.format(path=str(path)) + "time.sleep(60)") as process:
        child = starts(path, 1)[0]
        process.terminate()
        assert process.wait(10) == 0
    assert not Path(f"/proc/{child}").exists()


def test_a_crash_loop_slows_down(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    with parent(RECORD.format(path=str(path)) + "raise SystemExit(3)") as process:
        starts(path, 4)
        assert pauses(process, 3) == ["0.2", "0.4", "0.8"]


def test_what_a_person_must_mend_is_not_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    with parent(RECORD.format(path=str(path)) + "raise SystemExit(78)") as process:
        assert process.wait(10) == 78
    assert len(starts(path, 1)) == 1


def test_the_parent_is_small() -> None:
    program = "import hanse.agent.process.supervise, sys; print({'pydantic', 'asyncio'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "set()"
