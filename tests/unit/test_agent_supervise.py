"""The parent: real processes, started again soon, ended together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

PARENT = """
import sys
from hanse.agent.process.supervise import Supervisor
sys.exit(Supervisor([sys.executable, "-c", sys.argv[1]], lambda words: print(words, flush=True)).run())
"""
RECORD = "import os, time; open({path!r}, 'a').write(str(os.getpid()) + ' ' + str(time.time()) + '\\n'); "


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


def starts(path: Path, count: int) -> list[tuple[int, float]]:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        lines = path.read_text().splitlines() if path.exists() else []
        if len(lines) >= count:
            return [(int(pid), float(at)) for pid, at in (line.split() for line in lines)]
        time.sleep(0.02)
    raise AssertionError(f"not started {count} times")


def test_a_killed_agent_runs_again_within_a_second(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    with parent(RECORD.format(path=str(path)) + "time.sleep(60)"):
        first = starts(path, 1)[0][0]
        killed = time.time()
        os.kill(first, signal.SIGKILL)
        second, at = starts(path, 2)[1]
    assert second != first
    assert at - killed < 1.0


def test_sigterm_ends_parent_and_agent(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    with parent(RECORD.format(path=str(path)) + "time.sleep(60)") as process:
        child = starts(path, 1)[0][0]
        process.terminate()
        assert process.wait(10) == 0
    assert not Path(f"/proc/{child}").exists()


def test_a_crash_loop_slows_down(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    with parent(RECORD.format(path=str(path)) + "raise SystemExit(3)"):
        times = [at for _, at in starts(path, 4)]
    gaps = [after - before for before, after in pairwise(times)]
    assert gaps[0] < 1.0
    assert gaps[2] > gaps[0] + 0.3


def test_what_a_person_must_mend_is_not_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    with parent(RECORD.format(path=str(path)) + "raise SystemExit(78)") as process:
        assert process.wait(10) == 78
    assert len(starts(path, 1)) == 1


def test_the_parent_is_small() -> None:
    program = "import hanse.agent.process.supervise, sys; print({'pydantic', 'asyncio'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "set()"
