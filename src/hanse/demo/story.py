"""The main job, scene by scene. Everything is done through the `hanse` command."""

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hanse.demo.clients import Client, open_ward
from hanse.demo.images import Example
from hanse.demo.network import SceneryError
from hanse.demo.scenery import COMPANIES, sample_images
from hanse.demo.stage import CommandError, Stage
from hanse.demo.verdict import Scene, expected, lines_of, seen, wrong_reads
from hanse.demo.watch import KINDS, Watch, count_different

BASILISCO, _, TARASQUE = (company.site_id for company in COMPANIES)
WRITES_BETWEEN_SCENES = 20
ASKED = {"images": "images-web", "records": "records-web"}
"""What clients want, and the component that they ask for it."""


@dataclass
class Story:
    """One performance on one stage; `say` gets each line for the person who watches."""

    stage: Stage
    say: Callable[[str], None]
    scenes: list[Scene] = field(default_factory=list)
    source_served_after_cut: bool | None = None
    move_finished_after_hub_kill: bool | None = None
    watch: Watch | None = None

    def set_up(self) -> None:
        """Networks, hub and three sites."""
        self.say("Building three sites of three invented providers, each in a network of its own …")
        self.stage.network.build(len(COMPANIES))
        self.stage.start_hub()
        self.stage.join_sites()

    def place(self) -> None:
        """Push the images, plan on the market, apply, load the files."""
        clinic = Example("clinic")
        pushed = {
            name: str(self.stage.hanse_json("image", "push", str(file))["digest"])
            for name, file in clinic.images(self.say).items()
        }
        file = self.stage.directory / "clinic.yaml"
        file.write_text(clinic.application(pushed), encoding="utf-8")
        self.say(self.stage.hanse("plan", str(file)).rstrip())
        self.stage.hanse("apply", str(file), "--yes")
        self.say(self.stage.hanse("status", "clinic").rstrip())
        self.watch = Watch(self.stage.directory, self.urls, self._load(self.urls))

    @property
    def urls(self) -> dict[str, str]:
        """Where clients reach the images and the records, now and after every move."""
        endpoints = self._status()["endpoints"]
        found = {each["component"]: f"http://{each['address']}:{each['port']}" for each in endpoints}
        return {what: found[component] for what, component in ASKED.items()}

    def _load(self, urls: dict[str, str]) -> dict[str, str]:
        """Store the sample images, and make the place for records, through the endpoints."""
        client, loaded = Client(urls["images"]), {}
        for path in sample_images():
            content = path.read_bytes()
            answer = client.request("PUT", path.name, content)
            if not answer.acknowledged:
                words = f"loading {path.name} through the endpoint was answered with HTTP {answer.status}"
                raise SceneryError(words)
            loaded[path.name] = hashlib.sha256(content).hexdigest()
        answer = open_ward(urls["records"])
        if not answer.acknowledged:
            raise SceneryError(
                f"Kinto refused a collection with HTTP {answer.status}: {answer.content!r:.300}"
            )
        self.say(f"Loaded {len(loaded)} DICOM sample images and opened a ward, through the endpoints.")
        return loaded

    def move(self) -> None:
        """The scenes, while the clients write and read."""
        watch = self._watch()
        watch.begin()
        if not watch.wait_for_writes(0, WRITES_BETWEEN_SCENES):
            raise SceneryError("the writers got no acknowledgement for a minute before anything was moved")
        self._scene("the database moves", lambda: self._move("clinic/records", "--to", TARASQUE))
        self._scene("a link is cut in a move", self._cut_link_in_a_move)
        self._scene("the hub is killed in a move", self._kill_hub_in_a_move)
        self._scene("all goes to one provider", lambda: self._move("clinic", "--to", "tarasque"))
        self._scene("all comes back", lambda: self._move("clinic", "--back"))
        self._scene("all leaves one provider", lambda: self._move("clinic", "--away-from", "lindworm"))

    def _watch(self) -> Watch:
        if self.watch is None:
            raise SceneryError("the application was not placed")
        return self.watch

    def _move(self, *arguments: str) -> None:
        self.stage.hanse("move", *arguments, "--yes")

    def _scene(self, title: str, act: Callable[[], None]) -> None:
        watch, began = self._watch(), time.monotonic()
        act()
        ended = time.monotonic()
        watch.wait_for_writes(ended, WRITES_BETWEEN_SCENES)
        scene = Scene(title, ended - began, watch.during(began))
        self.scenes.append(scene)
        gaps = ", ".join(f"{kind} {found.gap_ms} ms" for kind, found in scene.clients.items())
        self.say(f"{title}: {scene.seconds:.1f} s, longest gaps: {gaps}")

    def _cut_link_in_a_move(self) -> None:
        """The bucket is being copied when source and target lose each other; the source serves on."""
        source = self._site_of("images")
        moving = self._start_move("clinic/images", "--to", BASILISCO)
        self._wait_for(moving, ("following", "copies"))
        self.stage.network.cut(_number(source), _number(BASILISCO))
        try:
            cut = time.monotonic()
            served = self._watch().wait_for_writes(cut, WRITES_BETWEEN_SCENES)
            self.source_served_after_cut = served and self._site_of("images") == source
        finally:
            self.stage.network.mend(_number(source), _number(BASILISCO))
        self._finish(moving)

    def _kill_hub_in_a_move(self) -> None:
        """Kill -9 once the ticket is out; the sites finish alone; then the hub comes back and agrees."""
        before = self._site_of("images")
        moving = self._start_move("clinic/images", "--back")
        self._wait_for(moving, ("cut-over",))
        self.stage.kill_hub()
        killed = time.monotonic()
        moving.wait(timeout=60)
        served = self._watch().wait_for_writes(killed, WRITES_BETWEEN_SCENES)
        self.stage.start_hub()
        self.stage.wait_until("the move to be recorded", self._no_operation_open, 60)
        self.move_finished_after_hub_kill = served and self._site_of("images") != before

    def _start_move(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "hanse", "move", *arguments, "--yes"]
        pipe, both = subprocess.PIPE, subprocess.STDOUT
        return subprocess.Popen(command, env=self.stage.environment, stdout=pipe, stderr=both, text=True)

    def _wait_for(self, moving: subprocess.Popen[str], phases: tuple[str, ...]) -> None:
        """Until the move tells one of these phases. Raises CommandError if it ends before."""
        lines: list[str] = []
        for line in moving.stdout or ():
            lines.append(line)
            if any(phase in line for phase in phases):
                return
        raise CommandError(f"the move ended without being in {' or '.join(phases)}:\n{''.join(lines)}")

    def _finish(self, moving: subprocess.Popen[str]) -> None:
        rest, _ = moving.communicate(timeout=180)
        if moving.returncode:
            raise CommandError(f"the move did not end well:\n{rest}")

    def _status(self) -> Any:
        return self.stage.hanse_json("status", "clinic")

    def _no_operation_open(self) -> bool:
        try:
            found = self._status()
        except CommandError:
            return False
        return not any(each["state"] in ("ordering", "open", "stuck") for each in found["operations"])

    def _site_of(self, component: str) -> str:
        components = self._status()["components"]
        return str(next(c["site"] for c in components if c["component"] == component))

    def end(self) -> dict[str, Any]:
        """Stop the clients, compare all that was acknowledged, retire; the verdict from the clients' logs."""
        watch = self._watch()
        watch.finish()
        logs = {kind: lines_of(watch.log(kind)) for kind in KINDS}
        images, records = watch.loaded | expected(logs["write"]), expected(logs["record"])
        absent, different = count_different((watch.urls["images"], images), (watch.urls["records"], records))
        self.say(
            f"Fetched all {len(images)} acknowledged objects and {len(records)} records: "
            f"{absent} absent, {different} different."
        )
        self.stage.hanse("retire", "clinic", "--erase-now", "--yes")
        self.say(self.stage.hanse("history", "clinic").rstrip())
        found = [seen(lines) for lines in logs.values()]
        return {
            "writes_acknowledged": len(images) + len(records) - len(watch.loaded),
            "writes_lost": absent,
            "client_errors": sum(each.errors for each in found),
            "gap_ms_max": max(each.gap_ms for each in found),
            "source_served_after_cut": self.source_served_after_cut,
            "move_finished_after_hub_kill": self.move_finished_after_hub_kill,
            "objects_different": different + wrong_reads(watch.loaded, logs["read"]),
        }


def _number(site: str) -> int:
    """A site's number on the stage, from 1."""
    return [company.site_id for company in COMPANIES].index(site) + 1
