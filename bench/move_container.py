"""A container moves while a client asks: `python -m bench.move_container [--quick]`, one JSON line.

The raw side is `raw/container.sh`: podman on two engines and haproxy, without TLS, orders or records.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.parts.observer import Observer
from bench.parts.pairs import PAIRS, Side, compare, tell
from bench.parts.stage import (
    LINDWORM,
    TARASQUE,
    apply,
    command_yaml,
    free_ports,
    pack_pages,
    retire,
    standing,
    url_of,
)

from hanse.demo.stage import Stage

SCRIPT = Path(__file__).parent / "raw" / "container.sh"


def application(name: str, image: str) -> str:
    return f"""\
hanse: 1
name: {name}
policy: {{providers: [lindworm, tarasque]}}
components:
  pages:
    kind: container
    image: {image}
    command: {command_yaml()}
    size: {{vcpu: 0.5, memory_gib: 0.1, disk_gib: 0.1}}
    way_back: 0
    expose: {{port: 8080}}
"""


def ours(stage: Stage, image: str, number: int) -> Side:
    name = f"pages-{number}"
    apply(stage, name, application(name, image))
    component = stage.hanse_json("status", name)["components"][0]
    target = TARASQUE if component["site"] != TARASQUE else LINDWORM
    with Observer(url_of(stage, name)) as client:
        began = time.monotonic()
        stage.hanse("move", f"{name}/pages", "--to", target, "--yes")
        ended = time.monotonic()
        side = Side(ended - began, client.gap_ms(began, ended), client.errors)
    retire(stage, name)
    return side


def raw(archive: Path) -> Side:
    place = Path(tempfile.mkdtemp(prefix="hanse-bench-"))
    front, *others = free_ports(4)
    words = [str(place), str(archive), str(front), *map(str, others)]
    subprocess.run(["bash", str(SCRIPT), "start", *words], check=True)
    try:
        with Observer(f"http://127.0.0.1:{front}/") as client:
            began = time.monotonic()
            subprocess.run(["bash", str(SCRIPT), "move", str(place)], check=True)
            ended = time.monotonic()
            return Side(ended - began, client.gap_ms(began, ended), client.errors)
    finally:
        subprocess.run(["bash", str(SCRIPT), "end", str(place)], check=True)
        shutil.rmtree(place, ignore_errors=True)


def main() -> None:
    pairs = 1 if "--quick" in sys.argv else PAIRS
    with standing() as stage:
        archive = pack_pages(stage.directory / "pages.tar")
        image = str(stage.hanse_json("image", "push", str(archive))["digest"])
        tell(compare("move_container", lambda n: ours(stage, image, n), lambda _: raw(archive), pairs))


if __name__ == "__main__":
    main()
