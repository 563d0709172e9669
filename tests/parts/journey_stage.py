"""A running stage for journeys: hub, three sites in networks of their own, and the `hanse` command."""

import hashlib
import io
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from journey_clinic import application_file, pack_rclone

from hanse.__main__ import main
from hanse.demo.scenery import COMPANIES
from hanse.demo.stage import Stage

BASILISCO, LINDWORM, TARASQUE = (company.site_id for company in COMPANIES)
SITES = (BASILISCO, LINDWORM, TARASQUE)
COMMAND = (sys.executable, "-m", "hanse")
BUSYBOX = Path("/bin/busybox")


@dataclass(frozen=True)
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        return self.out + self.err


def sound(said: Said) -> Said:
    """The same, if no mistake of Hanse itself shows in it."""
    assert "Traceback" not in said.words, said.words
    assert "mistake in hanse" not in said.words, said.words
    return said


@contextmanager
def environment(wanted: dict[str, str]) -> Iterator[None]:
    """This process's environment, for a while."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Journey:
    """One stage, and a person who types."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.directory = stage.directory

    def type(self, *words: str, env: dict[str, str] | None = None) -> Said:
        """A command to its end, in this process; it never shows a traceback."""
        out, err = io.StringIO(), io.StringIO()
        with environment(self.stage.environment | (env or {})), redirect_stdout(out), redirect_stderr(err):
            try:
                code = main(words)
            except SystemExit as end:
                code = int(end.code or 0)
        return sound(Said(code, out.getvalue(), err.getvalue()))

    def do(self, *words: str, **how: Any) -> str:
        """A command that succeeds; what it prints."""
        said = self.type(*words, **how)
        assert said.code == 0, f"{words}\n{said.words}"
        return said.out

    def ask(self, *words: str) -> Any:
        """The one JSON document of a command."""
        return json.loads(self.do(*words, "--json").splitlines()[-1])

    def refused(self, *words: str, code: int = 1, **how: Any) -> str:
        """A command that says no, on the standard error; what it says."""
        said = self.type(*words, **how)
        assert said.code == code, f"{words} ended with {said.code}\n{said.words}"
        assert said.err.strip(), f"{words} said no without a word"
        return said.err

    def begin(self, *words: str) -> "subprocess.Popen[str]":
        """A command that goes on; its output is one pipe."""
        return subprocess.Popen(
            [*COMMAND, *words],
            env=self.stage.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def answer(self, *words: str, answers: str) -> Said:
        """A command at a terminal at which a person types these answers, one a line."""
        person, terminal = pty.openpty()
        try:
            os.write(person, answers.encode())
            done = subprocess.run(
                [*COMMAND, *words],
                env=self.stage.environment,
                stdin=terminal,
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
        finally:
            os.close(person)
            os.close(terminal)
        return sound(Said(done.returncode, done.stdout, done.stderr))

    @property
    def config(self) -> dict[str, str]:
        """Where the hub is: `url`, `token_file`, `ca_file`."""
        return dict(json.loads((self.directory / "hub.json").read_text()))

    def file(self, name: str, text: str) -> str:
        """A file of the person."""
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    def place(self, site: str) -> Path:
        """A site's directory."""
        return self.stage.site_directory(number_of(site))

    def agent_of(self, site: str) -> int:
        """The process id of a site's agent, the child of its supervisor; 0 while there is none."""
        parent = self.stage.processes[COMPANIES[number_of(site) - 1].provider].pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return int(children[0]) if children else 0

    def kill_agent(self, site: str) -> None:
        """As the kernel would for want of memory; its parent starts another."""
        killed = wait_until(lambda: self.agent_of(site), f"the agent of {site}")
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: self.agent_of(site) not in (0, killed), f"the next agent of {site}")

    def status(self, application: str) -> Any:
        return self.ask("status", application)

    def site_of(self, what: str) -> str:
        """Where `APP/COMPONENT` is served."""
        application, _, component = what.partition("/")
        parts = self.status(application)["components"]
        return str(next(each["site"] for each in parts if each["component"] == component))

    def url(self, application: str) -> str:
        """The stable address of its exposed component."""
        endpoint = self.status(application)["endpoints"][0]
        return f"http://{endpoint['address']}:{endpoint['port']}"

    def push(self, archive: Path) -> str:
        return str(self.ask("image", "push", str(archive))["digest"])

    def is_idle(self, application: str) -> bool:
        """Nothing is under way; False also while the hub does not answer."""
        said = self.type("status", application, "--json")
        if said.code:
            return False
        operations = json.loads(said.out.splitlines()[-1])["operations"]
        return not any(each["state"] in ("ordering", "open", "stuck") for each in operations)


def number_of(site: str) -> int:
    """A site's number on the stage, from 1."""
    return SITES.index(site) + 1


def wait_until(ready: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """Poll what real processes do; what `ready` answered."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := ready():
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")


@contextmanager
def stage() -> Iterator[Journey]:
    """A hub and three joined sites, struck at the end whatever happens."""
    made = Stage.claim()
    try:
        made.network.build(len(COMPANIES))
        made.start_hub()
        made.join_sites()
        yield Journey(made)
    finally:
        made.strike()
        for process in made.processes.values():
            process.wait()


@contextmanager
def small_disk(journey: Journey, site: str, kind: str, size: str) -> Iterator[None]:
    """The site's disk for components of a kind is this small, and empty in the end."""
    place = journey.place(site) / "parts" / kind
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True)
    try:
        yield
        assert list(place.iterdir()) == []
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def run_clinic(journey: Journey) -> None:
    """The demo's application: rclone's WebDAV server over a bucket, at two providers."""
    image = journey.push(pack_rclone(journey.directory))
    journey.do("apply", journey.file("clinic.yaml", application_file(image)), "--yes")


def pack_busybox(archive: Path, **pages: str) -> Path:
    """A root file system of one static program and these pages below /www."""
    root = archive.with_suffix(".root")
    (root / "bin").mkdir(parents=True)
    (root / "www").mkdir()
    shutil.copy2(BUSYBOX, root / "bin" / "busybox")
    for name, text in pages.items():
        (root / "www" / name).write_text(text)
    with tarfile.open(archive, "w") as tar:
        tar.add(root, ".")
    shutil.rmtree(root)
    return archive


def pages_file(name: str, image: str, *, command: str = "", site: str = "") -> str:
    """An application of one small container."""
    command = command or "[/bin/busybox, httpd, -f, -p, '8080', -h, /www]"
    policy = f"policy: {{providers: [{site.partition('/')[0]}]}}\n" if site else ""
    return f"""\
hanse: 1
name: {name}
{policy}components:
  pages:
    kind: container
    image: {image}
    command: {command}
    size: {{vcpu: 0.5, memory_gib: 0.1, disk_gib: 0.1}}
    expose: {{port: 8080}}
"""


def bucket_file(name: str, *, storage_gib: float = 1, more: str = "") -> str:
    """An application of one bucket."""
    return f"""\
hanse: 1
name: {name}
components:
  files:
    kind: bucket
    size: {{storage_gib: {storage_gib}}}
{more}"""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
