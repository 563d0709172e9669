"""A process counts as gone when nothing of it can act any more."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hanse.drivers.identity import ProcessMark

HALF_GONE = """
import ctypes, os, threading, time
threading.Thread(target=time.sleep, args=(60,)).start()
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)  # this thread alone ends
"""


@pytest.fixture
def half_gone() -> Iterator[int]:
    """The process id of one whose first thread has ended while another goes on."""
    with subprocess.Popen([sys.executable, "-c", HALF_GONE]) as process:
        _wait_for_its_end(process.pid)
        yield process.pid
        process.kill()


def _wait_for_its_end(pid: int) -> None:
    """Of its first thread."""
    until = time.monotonic() + 30
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < until
        time.sleep(0.01)


async def test_a_process_is_there_until_its_last_thread_has_ended(half_gone: int) -> None:
    mark = ProcessMark.of(half_gone)
    assert mark is not None
    assert mark.alive()
    assert not await mark.gone(0.1)
    assert mark.signal(signal.SIGKILL)
    assert await mark.gone(30.0)


def test_one_that_only_waits_to_be_reaped_is_gone() -> None:
    with subprocess.Popen(["true"]) as process:
        _wait_for_its_end(process.pid)
        assert ProcessMark.of(process.pid) is None
