"""What stands on the machine for a stage: processes, mounts, network interfaces, files. To be compared."""

import os
import subprocess
from collections import Counter
from contextlib import suppress
from pathlib import Path

from journey_stage import SITES, Journey, number_of

RUN_DIRECTORY = Path("/run/hanse")
PROXY = "haproxy"
"""Its workers end when their last client leaves, so only its presence counts."""
VISITORS = ("rclone", "podman")
"""A standby's passes and an agent's looks come and go; what podman runs has names of its own."""
FLEETING = (".log", "-journal", "-wal", "-shm", ".tmp", "rclone.conf", "rclone.keys")
DEPTH = 2
"""Below it a part keeps its own house."""


def footprint(journey: Journey) -> "Counter[str]":
    """Everything that a stage has on this machine, without what changes by itself."""
    found: Counter[str] = Counter()
    for site in SITES:
        found.update(_processes(journey, site))
        found.update(_interfaces(journey, site))
        found.update(_files(journey.place(site)))
    found.update(_mounts(journey))
    found.update(f"image {each['digest']}" for each in journey.ask("image", "list")["images"])
    return found


def difference(before: "Counter[str]", after: "Counter[str]") -> list[str]:
    """What has come and what has gone. Images of other applications may go meanwhile."""
    gone = [each for each in before - after if not each.startswith("image ")]
    return sorted([f"new: {each}" for each in after - before] + [f"gone: {each}" for each in gone])


def _processes(journey: Journey, site: str) -> list[str]:
    """In a site's network, or named after its directory; a container's own network is a child of the site."""
    place, network = str(journey.place(site)), _network_of(journey, site)
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            inside = str((process / "ns" / "net").readlink()) == network
            if words and (inside or place in words):
                found.append(f"process at {site}: {words.split()[0]}")
    lasting = [each for each in found if PROXY not in each and not each.endswith(VISITORS)]
    return lasting + sorted({each for each in found if PROXY in each})


def _network_of(journey: Journey, site: str) -> str:
    path = Path("/run/netns", journey.stage.network.namespace(number_of(site)))
    return f"net:[{path.stat().st_ino}]"


def _interfaces(journey: Journey, site: str) -> list[str]:
    inside = journey.stage.network.inside(number_of(site))
    done = subprocess.run([*inside, "ip", "-o", "link"], capture_output=True, text=True, check=True)
    return [f"interface at {site}: {line.split()[1].partition('@')[0]}" for line in done.stdout.splitlines()]


def _mounts(journey: Journey) -> list[str]:
    """Mounts of whatever lies below the stage, also where they are seen elsewhere."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    name = journey.directory.name
    return [f"mount: {line.split()[4]}" for line in lines if name in line]


def _files(place: Path) -> list[str]:
    """What drivers keep of components; the proxy's own files are of the site."""
    found = []
    for kind in ("bucket", "container", "networks", "postgres", "pooler"):
        top = place / "parts" / kind
        for directory, below, files in os.walk(top):
            if len(Path(directory).relative_to(top).parts) >= DEPTH:
                below.clear()
            found += [f"file: {directory}/{name}" for name in files if not name.endswith(FLEETING)]
    return found
