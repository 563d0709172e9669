"""Writers that commit again and again: `python -m bench.parts.writers LOG`; the `PG…` variables say where.

Each acknowledged row is one line of LOG.N: the monotonic second of the answer and the row's id; `error` in
place of the id where there was none. It ends when standard input closes.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

WRITERS = 4
PAUSE_SECONDS = 0.005
"""Between the commits of a writer. Both sides of a bench, all sites and all clients share one machine:
writers without any pause would measure who gets its processors."""


def write(number: int, log: Path, stop: threading.Event) -> None:
    """Rows of this writer, each committed alone; reconnects when it must."""
    row = number * 100_000_000
    with log.with_suffix(f".{number}").open("a", encoding="utf-8", buffering=1) as told:
        while not stop.is_set():
            try:
                with psycopg.connect(autocommit=True, prepare_threshold=None) as connection:
                    while not stop.is_set():
                        row += 1
                        connection.execute("INSERT INTO written VALUES (%s)", (row,))
                        told.write(f"{time.monotonic():.6f} {row}\n")
                        stop.wait(PAUSE_SECONDS)
            except psycopg.Error:
                told.write(f"{time.monotonic():.6f} error\n")
                stop.wait(0.05)


def main() -> int:
    """Until standard input closes."""
    log, stop = Path(sys.argv[1]), threading.Event()
    threads = [threading.Thread(target=write, args=(n, log, stop)) for n in range(1, WRITERS + 1)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    return 0


@dataclass(frozen=True, slots=True)
class Database:
    """How a client reaches a database: libpq's variables, and what leads into the right network."""

    variables: dict[str, str]
    prefix: tuple[str, ...] = ()

    def sql(self, statement: str) -> str:
        """What psql prints, unaligned."""
        command = [*self.prefix, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", statement]
        return subprocess.run(
            command, env=os.environ | self.variables, stdout=subprocess.PIPE, text=True, check=True
        ).stdout

    def lost(self, acknowledged: Sequence[tuple[float, int]]) -> int:
        """Acknowledged rows that are not there."""
        there = {int(word) for word in self.sql("SELECT id FROM written").split()}
        return len({row for _, row in acknowledged} - there)


class Writing:
    """The writers as a process of their own; its `LOG.N` files are read while it writes them."""

    def __init__(self, database: "Database", log: Path) -> None:
        self._log = log
        command = [*database.prefix, sys.executable, "-m", "bench.parts.writers", str(log)]
        self._process = subprocess.Popen(command, env=os.environ | database.variables, stdin=subprocess.PIPE)

    def __enter__(self) -> Self:
        self.wait_until(time.monotonic())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=90)

    def wait_until(self, moment: float) -> None:
        """Until a row was acknowledged a second after `moment` (monotonic); 60 s at most."""
        deadline = time.monotonic() + 60
        while max((at for at, _ in self.acknowledged()), default=0.0) < moment + 1:
            if time.monotonic() > deadline:
                raise SystemExit("no writer was acknowledged for 60 s")
            time.sleep(0.1)

    def acknowledged(self) -> list[tuple[float, int]]:
        """Moments and ids, in order of time."""
        return sorted((at, int(word)) for at, word in self._lines() if word != "error")

    def errors(self) -> int:
        """Statements that failed."""
        return sum(1 for _, word in self._lines() if word == "error")

    def gap_ms(self, began: float) -> float:
        """Longest time without any acknowledgement since `began`."""
        times = [began, *(at for at, _ in self.acknowledged() if at >= began)]
        return max((b - a for a, b in pairwise(times)), default=0.0) * 1000

    def _lines(self) -> list[tuple[float, str]]:
        found = []
        for number in range(1, WRITERS + 1):
            path = self._log.with_suffix(f".{number}")
            lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            found += [(float(at), word) for at, _, word in (line.partition(" ") for line in lines) if word]
        return found


if __name__ == "__main__":
    sys.exit(main())
