"""The main job, scene by scene. Everything is done through the `hanse` command."""

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from hanse.demo.clients import Client
from hanse.demo.network import SceneryError
from hanse.demo.scenery import COMPANIES, application_file, pack_rclone, sample_images
from hanse.demo.stage import CommandError, Stage
from hanse.demo.verdict import Seen, expected_objects, lines_of, seen, wrong_reads
from hanse.demo.watch import Watch, fetch_different

BASILISCO, LINDWORM, TARASQUE = (company.site_id for company in COMPANIES)
WRITES_BETWEEN_SCENES = 20


@dataclass
class Scene:
    """What a scene did and what the two clients saw of it."""

    title: str
    seconds: float
    writer: Seen
    reader: Seen


@dataclass
class Story:
    """One performance on one stage; `say` gets each line for the person who watches."""

    stage: Stage
    say: Callable[[str], None]
    scenes: list[Scene] = field(default_factory=list)
    move_finished_after_hub_kill: bool | None = None
    watch: Watch | None = None

    def set_up(self) -> None:
        """Networks, hub and three sites."""
        self.say("Building three sites of three invented providers, each in a network of its own …")
        self.stage.network.build(len(COMPANIES))
        self.stage.start_hub()
        self.stage.join_sites()

    def place(self) -> None:
        """Push the image, plan on the market, apply, load the files."""
        image = self.stage.hanse_json("image", "push", str(pack_rclone(self.stage.directory)))["digest"]
        file = self.stage.directory / "clinic.yaml"
        file.write_text(application_file(image), encoding="utf-8")
        self.say(self.stage.hanse("plan", str(file)).rstrip())
        self.stage.hanse("apply", str(file), "--yes")
        self.say(self.stage.hanse("status", "clinic").rstrip())
        self.watch = Watch(self.stage.directory, self.url, self._load())

    @property
    def url(self) -> str:
        """Where clients reach the application, now and after every move."""
        endpoint = self.stage.hanse_json("status", "clinic")["endpoints"][0]
        return f"http://{endpoint['address']}:{endpoint['port']}"

    def _load(self) -> dict[str, str]:
        """Store the sample images through the endpoint."""
        client, loaded = Client(self.url), {}
        for path in sample_images():
            content = path.read_bytes()
            status, _ = client.request("PUT", path.name, content)
            if status not in (200, 201, 204):
                raise SceneryError(
                    f"loading {path.name} through the endpoint was answered with HTTP {status}"
                )
            loaded[path.name] = hashlib.sha256(content).hexdigest()
        self.say(f"Loaded {len(loaded)} DICOM sample images through the endpoint.")
        return loaded

    def move(self) -> None:
        """The scenes, while the clients write and read."""
        watch = self._watch()
        watch.begin()
        if not watch.wait_for_writes(0, WRITES_BETWEEN_SCENES):
            raise SceneryError("the writer got no acknowledgement for a minute before anything was moved")
        self._scene("the bucket moves", lambda: self._move("clinic/images", "--to", TARASQUE))
        self._scene("the web component moves", lambda: self._move("clinic/web", "--to", BASILISCO))
        self._scene("the hub is killed in a move", self._kill_hub_in_a_move)
        self._scene("all leaves one provider", lambda: self._move("clinic", "--away-from", "basilisco"))

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
        writer, reader = watch.during(began)
        self.scenes.append(Scene(title, ended - began, writer, reader))
        self.say(f"{title}: {ended - began:.1f} s, longest gap for the writer {writer.gap_ms} ms")

    def _kill_hub_in_a_move(self) -> None:
        """Kill -9 once the ticket is out; the sites finish alone; then the hub comes back and agrees."""
        moving = self._start_move()
        self._wait_for_ticket(moving)
        self.stage.kill_hub()
        killed = time.monotonic()
        moving.wait(timeout=60)
        served = self._watch().wait_for_writes(killed, WRITES_BETWEEN_SCENES)
        self.stage.start_hub()
        self.stage.wait_until("the move to be recorded", self._no_operation_open, 60)
        primary = self._site_of("images")
        self.move_finished_after_hub_kill = served and primary == LINDWORM

    def _start_move(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "hanse", "move", "clinic/images", "--to", LINDWORM, "--yes"]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, env=self.stage.environment, stdout=pipe, stderr=subprocess.STDOUT, text=True
        )

    def _wait_for_ticket(self, moving: subprocess.Popen[str]) -> None:
        lines: list[str] = []
        for line in moving.stdout or ():
            lines.append(line)
            if "cut-over" in line:
                return
        raise CommandError("the move ended before its cut-over began:\n" + "".join(lines))

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
        """Stop the clients, compare every object, retire; the verdict from the clients' logs."""
        watch = self._watch()
        watch.finish()
        writer, reader = lines_of(watch.log("write")), lines_of(watch.log("read"))
        expected = expected_objects(watch.loaded, writer)
        absent, different = fetch_different(watch.url, expected)
        self.say(f"Fetched all {len(expected)} acknowledged objects: {absent} absent, {different} different.")
        self.stage.hanse("retire", "clinic", "--erase-now", "--yes")
        self.say(self.stage.hanse("history", "clinic").rstrip())
        return {
            "writes_acknowledged": len(expected) - len(watch.loaded),
            "writes_lost": absent,
            "client_errors": seen(writer).errors + seen(reader).errors,
            "gap_ms_max": max(seen(writer).gap_ms, seen(reader).gap_ms),
            "source_served_after_cut": None,
            "move_finished_after_hub_kill": self.move_finished_after_hub_kill,
            "objects_different": different + wrong_reads(watch.loaded, reader),
        }

    def table(self) -> str:
        """What clients saw, scene by scene; what is real and what is simulated."""
        rows = [
            f"{'scene':30}{'took':>8}{'writes':>8}{'reads':>7}{'errors':>8}{'write gap':>11}{'read gap':>10}"
        ]
        for scene in self.scenes:
            errors = scene.writer.errors + scene.reader.errors
            rows.append(
                f"{scene.title:30}{scene.seconds:>6.1f} s{scene.writer.requests:>8}{scene.reader.requests:>7}"
                f"{errors:>8}{scene.writer.gap_ms:>8} ms{scene.reader.gap_ms:>7} ms"
            )
        rows += [
            "real: rclone's WebDAV server, SeaweedFS, podman, haproxy, TLS, the images, the listed prices",
            "simulated: the three companies, their prices, the distance between them (one machine)",
            "mandate: not signed · data at rest: not encrypted",
        ]
        return "\n".join(rows)


def verdict_line(seconds_total: float, verdict: dict[str, Any]) -> str:
    """The one JSON line at the end."""
    return json.dumps({"seconds_total": round(seconds_total, 1)} | verdict)


def good(verdict: dict[str, Any]) -> bool:
    """Nothing lost, nothing different, nobody saw an error, and the move finished without the hub."""
    zeros = all(verdict[key] == 0 for key in ("writes_lost", "client_errors", "objects_different"))
    return zeros and bool(verdict["writes_acknowledged"]) and verdict["move_finished_after_hub_kill"] is True


def scene_records(story: Story) -> list[dict[str, Any]]:
    """The scenes as JSON documents."""
    return [asdict(scene) for scene in story.scenes]
