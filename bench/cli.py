"""CPU that each command costs by itself: `python -m bench.cli [--quick]`, one JSON line. Seconds of CPU.

Commands that ask a hub are answered by one that runs here, with nothing in it, so that what is left is
interpreter, imports, TLS and text. `over_budget` lists those above 0.3 s.
"""

import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BUDGET_SECONDS = 0.3
FILE = """\
hanse: 1
name: bench
components:
  files:
    kind: bucket
    size: {storage_gib: 10}
"""
ALONE = (["--help"], ["--version"], ["explain", "FILE"], ["move", "--help"], ["site", "--help"])
ASKING = (
    ["status"],
    ["plan", "FILE"],
    ["providers"],
    ["sites"],
    ["offers"],
    ["image", "list"],
    ["invite", "nord/oslo"],
)


def cpu_seconds(words: list[str], environment: dict[str, str]) -> float:
    """User and system time of one command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "hanse", *words]
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


@contextmanager
def running_hub(directory: Path) -> Iterator[dict[str, str]]:
    """The environment in which commands find a fresh hub."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {"HANSE_CONFIG": str(directory / "hub.json")}
    words = ("hub", "run", "--dir", str(directory / "hub"), "--listen", f"127.0.0.1:{port}", "--json")
    command = [sys.executable, "-m", "hanse", *words]
    hub = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
    try:
        assert hub.stdout is not None
        hub.stdout.readline()
        yield environment
    finally:
        hub.terminate()
        hub.communicate(timeout=30)


def measured(commands: tuple[list[str], ...], file: Path, environment: dict[str, str]) -> dict[str, float]:
    """Median CPU seconds by command."""
    times = 2 if "--quick" in sys.argv else 7
    found = {}
    for words in commands:
        typed = [str(file) if word == "FILE" else word for word in words]
        taken = [cpu_seconds(typed, environment) for _ in range(times)]
        found[" ".join(words)] = round(statistics.median(taken), 3)
    return found


def main() -> None:
    """Print the line."""
    with tempfile.TemporaryDirectory(prefix="hanse-bench-") as scratch:
        file = Path(scratch, "bench.yaml")
        file.write_text(FILE)
        found = measured(ALONE, file, dict(os.environ))
        with running_hub(Path(scratch)) as environment:
            found |= measured(ASKING, file, environment)
    empty = statistics.median(interpreter() for _ in range(5))
    over = [words for words, seconds in found.items() if seconds > BUDGET_SECONDS]
    print(json.dumps({"bench": "cli", "python_alone": round(empty, 3), "over_budget": over, **found}))


def interpreter() -> float:
    """What Python itself costs."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


if __name__ == "__main__":
    main()
