"""The parent: starts the agent, starts it again within a second, ends with it. Standard library only."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

EXIT_NOT_AGAIN = 78
"""The agent says: a person must act first, starting again is of no use."""
_PAUSE_FIRST_SECONDS = 0.2
_PAUSE_LONGEST_SECONDS = 30.0
_HEALTHY_SECONDS = 10.0
_END_SECONDS = 15.0
_SPARING = {"MALLOC_ARENA_MAX": "2"}
"""Threads of the agent share what memory the C library keeps, instead of keeping some each."""


class Supervisor:
    """Keeps one child running until SIGTERM or SIGINT, or until the child says that it is of no use.

    The first restart comes at once; in a crash loop the pause doubles from 0.2 s to 30 s. Processes that
    the child started are not touched.
    """

    def __init__(self, command: Sequence[str], say: Callable[[str], None]) -> None:
        self._command = list(command)
        self._say = say
        self._child: subprocess.Popen[bytes] | None = None
        self._is_ending = False

    def run(self) -> int:
        """Until the end; the exit code for the parent."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        pause = _PAUSE_FIRST_SECONDS
        while not self._is_ending:
            began = time.monotonic()
            self._child = subprocess.Popen(self._command, env={**_SPARING, **os.environ})
            if self._is_ending:
                self._child.terminate()
            code = self._child.wait()
            if self._is_ending:
                return 0
            if code in {0, EXIT_NOT_AGAIN}:
                return code
            if time.monotonic() - began >= _HEALTHY_SECONDS:
                pause = _PAUSE_FIRST_SECONDS
            self._say(f"The agent ended with code {code}; it is started again in {pause:.1f} s.")
            self._sleep(pause)
            pause = min(2 * pause, _PAUSE_LONGEST_SECONDS)
        return 0

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._is_ending and time.monotonic() < until:
            time.sleep(0.05)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._is_ending = True
        child = self._child
        if child is None or child.poll() is not None:
            return
        child.terminate()
        signal.signal(signal.SIGALRM, self._on_alarm)
        signal.setitimer(signal.ITIMER_REAL, _END_SECONDS)

    def _on_alarm(self, number: int, frame: FrameType | None) -> None:
        """The child did not end by itself in time."""
        del number, frame
        if self._child is not None and self._child.poll() is None:
            self._child.kill()


def take_over(directory: str) -> NoReturn:
    """Become the parent of the site's agent: this process goes on with the standard library alone.

    Open files that were made inheritable, such as a lock, stay open in the parent, not in the agent.
    """
    os.execv(sys.executable, [sys.executable, "-m", __name__, directory])  # noqa: S606 - no shell is wanted


def main(directory: str) -> int:
    """Supervise the agent of the site in `directory`, whose `agent.pid` names this process meanwhile."""
    command = (sys.executable, "-m", "hanse.site", "agent", "--dir", directory)
    try:
        return Supervisor(command, lambda words: print(words, file=sys.stderr, flush=True)).run()  # noqa: T201
    finally:
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(directory, "agent.pid"))  # noqa: PTH108, PTH118 - pathlib costs memory


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
