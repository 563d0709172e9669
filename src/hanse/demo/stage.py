"""The stage: directories, networks and processes of a hub and three sites, on this machine."""

import asyncio
import fcntl
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hanse.demo.network import Network, SceneryError, unmount_below
from hanse.demo.scenery import COMPANIES, site_file
from hanse.drivers.identity import ProcessMark

STARTED_SECONDS = 40
END_SECONDS = 15.0


class CommandError(Exception):
    """A `hanse` command that the story needs said no; the message is what it said."""


@dataclass
class Stage:
    """One demo on this machine. `directory` holds everything, the processes' identities too."""

    directory: Path
    network: Network
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @classmethod
    def claim(cls) -> "Stage":
        """A free number, directory and network. Raises SceneryError when 100 demos run already.

        The directory gets its name with its owner in it, so that nobody takes it for an abandoned one.
        """
        draft = Path(tempfile.mkdtemp(prefix="hanse-new-demo-"))
        _save_mark(os.getpid(), draft / "owner")
        for number in range(100):
            directory = Path(tempfile.gettempdir(), f"hanse-demo-{number}")
            if Network(number).taken or directory.exists():
                continue
            try:
                draft.rename(directory)
            except OSError:
                continue
            return cls(directory, Network(number))
        shutil.rmtree(draft)
        raise SceneryError("100 demos stand on this machine already: end them with `hanse demo down`")

    @classmethod
    def all(cls) -> list["Stage"]:
        """The demos that stand on this machine, running or left behind.

        Everybody may write to the temporary directory, so only this user's own directories count.
        """
        places = sorted(Path(tempfile.gettempdir()).glob("hanse-demo-*"))
        numbered = [(place, place.name.rpartition("-")[2]) for place in places if _is_own(place)]
        return [cls(place, Network(int(number))) for place, number in numbered if number.isdecimal()]

    @property
    def abandoned(self) -> bool:
        """The process that owned it has ended without taking it down, and `up` did not keep it."""
        return ProcessMark.load(self.directory / "owner") is None

    @property
    def kept(self) -> bool:
        """`hanse demo up` left it running on purpose."""
        owner = self.directory / "owner"
        return owner.exists() and owner.read_text(encoding="utf-8") == "kept"

    def site_directory(self, index: int) -> Path:
        """Where a site keeps everything, index from 1."""
        return self.directory / COMPANIES[index - 1].provider

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which `hanse` finds this demo's hub."""
        return os.environ | {"HANSE_CONFIG": str(self.directory / "hub.json"), "NO_COLOR": "1"}

    def hanse(self, *arguments: str, words: str = "") -> str:
        """Output of a `hanse` command that reads `words`. Raises CommandError with its own words."""
        command = [sys.executable, "-m", "hanse", *arguments]
        done = subprocess.run(
            command, env=self.environment, input=words, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise CommandError(f"hanse {' '.join(arguments)}\n{done.stdout}{done.stderr}".rstrip())
        return done.stdout

    def hanse_json(self, *arguments: str) -> Any:
        """The one JSON document that a command prints last."""
        return json.loads(self.hanse(*arguments, "--json").splitlines()[-1])

    def start(self, name: str, prefix: Sequence[str], *arguments: str) -> None:
        """A `hanse` process that stays; its words go to NAME.log."""
        with (self.directory / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [*prefix, sys.executable, "-m", "hanse", *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        _save_mark(self.processes[name].pid, self.directory / f"{name}.pid")

    def start_hub(self) -> None:
        """The hub, on the bridge between the sites; returns once it answers."""
        listen = f"{self.network.hub_address}:8443"
        self.start("hub", (), "hub", "run", "--dir", str(self.directory / "hub"), "--listen", listen)
        self.wait_until("the hub to answer", lambda: self._answers("providers"))

    def kill_hub(self) -> None:
        """As a power cut would: no time to tidy up."""
        hub = self.processes["hub"]
        hub.kill()
        hub.wait()

    def join_sites(self) -> None:
        """Invite, join and run each company's site in its own network namespace."""
        for index, company in enumerate(COMPANIES, 1):
            offers = self.directory / f"{company.provider}.yaml"
            offers.write_text(site_file(company, self.network.address(index)), encoding="utf-8")
            token = self.hanse_json("invite", company.site_id)["token"]
            place = str(self.site_directory(index))
            self.hanse("site", "join", "-", "--dir", place, "--offers", str(offers), words=token)
            self.start(company.provider, self.network.inside(index), "site", "run", "--dir", place)
        self.wait_until("all sites to state their offers", self._all_sites_bookable)

    def _answers(self, *arguments: str) -> bool:
        try:
            self.hanse(*arguments)
        except CommandError:
            return False
        return True

    def _all_sites_bookable(self) -> bool:
        offers = self.hanse_json("offers", "--where", "bookable == true")["offers"]
        return {company.site_id for company in COMPANIES} <= {offer["site"] for offer in offers}

    def wait_until(self, what: str, ready: Any, seconds: float = STARTED_SECONDS) -> None:
        """Poll. Raises SceneryError that names what was waited for and which process has died."""
        deadline = time.monotonic() + seconds
        while not ready():
            dead = [name for name, process in self.processes.items() if process.poll() is not None]
            if dead or time.monotonic() > deadline:
                names = dead or list(self.processes)
                words = "\n".join(f"{name}: {tail(self.directory / f'{name}.log')}" for name in names)
                raise SceneryError(
                    f"waited in vain for {what}. The last words of {', '.join(names)}:\n{words}"
                )
            time.sleep(0.2)

    def strike(self) -> None:
        """End every process of this demo, by its identity, and take everything away.

        If somebody else does it already, this waits until it is done.
        Raises SceneryError, and keeps the directory, if a site cannot be stopped for certain.
        """
        try:
            handle = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _is_still_at(handle, self.directory):
                self._strike()
        finally:
            os.close(handle)

    def _strike(self) -> None:
        for index, company in enumerate(COMPANIES, 1):
            _end(self.directory / f"{company.provider}.pid")
            self._stop_site(index)
        _end(self.directory / "hub.pid")
        self.network.remove(len(COMPANIES))
        unmount_below(self.directory)
        shutil.rmtree(self.directory)

    def _stop_site(self, index: int) -> None:
        place = self.site_directory(index)
        if not (place / "hub.json").exists():
            return
        inside = self.network.inside(index) if self.network.has_namespace(index) else ()
        command = [*inside, sys.executable, "-m", "hanse", "site", "stop", "--erase", "--dir", str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            words = f"{done.stdout}{done.stderr}".strip()
            raise SceneryError(f"the site in {place} could not be stopped: {words}. Then: hanse demo down")


def _is_own(place: Path) -> bool:
    """A directory, no link, that this very user made."""
    try:
        found = place.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _is_still_at(handle: int, directory: Path) -> bool:
    """Not taken away meanwhile, nor made anew by another demo."""
    try:
        return os.path.samestat(os.fstat(handle), directory.stat())
    except FileNotFoundError:
        return False


def _save_mark(pid: int, file: Path) -> None:
    """Which process it is, for certain; nothing of one that has ended already."""
    mark = ProcessMark.of(pid)
    if mark is not None:
        mark.save(file)


def _end(file: Path) -> None:
    """Terminate the very process that a file names, kill it if it lingers; no error if it is gone."""
    mark = ProcessMark.load(file)
    if mark is not None:
        asyncio.run(mark.end(END_SECONDS))
    file.unlink(missing_ok=True)


def tail(log: Path, lines: int = 8) -> str:
    """Last lines of a log."""
    if not log.exists():
        return "(no log)"
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
