"""What the benches run on: a hub and three sites of three companies, each in a network of its own."""

import json
import shutil
import socket
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hanse.demo.scenery import COMPANIES
from hanse.demo.stage import Stage

BASILISCO, LINDWORM, TARASQUE = (company.site_id for company in COMPANIES)
BUSYBOX = Path("/bin/busybox")
COMMAND = ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/www"]


@contextmanager
def standing() -> Iterator[Stage]:
    """Struck at the end whatever happens."""
    made = Stage.claim()
    try:
        made.network.build(len(COMPANIES))
        made.start_hub()
        made.join_sites()
        yield made
    finally:
        made.strike()


def pack_pages(archive: Path) -> Path:
    """A root file system of one static program and one page."""
    root = archive.with_suffix(".root")
    (root / "bin").mkdir(parents=True)
    (root / "www").mkdir()
    shutil.copy2(BUSYBOX, root / "bin" / "busybox")
    (root / "www" / "index.html").write_text("here\n", encoding="utf-8")
    with tarfile.open(archive, "w") as tar:
        tar.add(root, ".")
    shutil.rmtree(root)
    return archive


def apply(stage: Stage, name: str, text: str) -> None:
    """Run an application from its text."""
    file = stage.directory / f"{name}.yaml"
    file.write_text(text, encoding="utf-8")
    stage.hanse("apply", str(file), "--yes")


def retire(stage: Stage, name: str) -> None:
    """Leave nothing of an application."""
    stage.hanse("retire", name, "--yes", "--erase-now")


def url_of(stage: Stage, name: str) -> str:
    """Where its clients go."""
    endpoint = stage.hanse_json("status", name)["endpoints"][0]
    return f"http://{endpoint['address']}:{endpoint['port']}/"


def free_ports(count: int) -> list[int]:
    """TCP ports of the loopback that nobody has at the moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def command_yaml() -> str:
    """The command of `pack_pages` as the application file writes it."""
    return json.dumps(COMMAND)
