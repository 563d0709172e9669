"""A conversation with the hub as text that a stranger can read; compared to the golden one."""

import json
import os
import re
from pathlib import Path
from typing import Any

from hub_files import shop_file
from hub_world import PlayedSite, World

GOLDEN = Path(__file__).parent.parent / "golden" / "http" / "life.txt"


class Scribe:
    """Asks the hub and writes down what was said."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lines: list[str] = []

    def say(self, words: str) -> None:
        self.lines += [f"# {words}", ""]

    def ask(self, method: str, path: str, body: Any = None, keep: tuple[str, ...] = ()) -> Any:
        reply = self.world.http.request(method, path, json=body)
        self.lines.append(f"> {method} {path}")
        if body is not None:
            self.lines += [
                f"> {line}" for line in json.dumps(short(body), indent=1, ensure_ascii=False).splitlines()
            ]
        answer = reply.json()
        shown = {name: answer[name] for name in keep} if keep else answer
        self.lines.append(f"< {reply.status_code} {reply.headers['content-type']}")
        self.lines += [
            f"< {line}" for line in json.dumps(short(shown), indent=1, ensure_ascii=False).splitlines()
        ]
        self.lines.append("")
        return answer

    def text(self) -> str:
        return "\n".join(self.lines)


def short(value: Any) -> Any:
    """Keys, digests and signatures differ each time: only their kind is shown."""
    if isinstance(value, dict):
        return {name: short(each) for name, each in value.items()}
    if isinstance(value, list):
        return [short(each) for each in value]
    if not isinstance(value, str):
        return value
    if value.startswith("-----BEGIN"):
        return "(PEM)"
    if value.startswith("hanse1."):
        return "(join token)"
    if re.fullmatch(r"[0-9a-f]{64}", value):
        return "(thumbprint)"
    return re.sub(r"sha256:[0-9a-f]{64}", "sha256:…", value)


def life(world: World) -> str:
    scribe = Scribe(world)
    scribe.say("Three sites join, each with its own key.")
    token = scribe.ask("POST", "/v1/invitations", {"site": "alder/one"})["token"]
    site = PlayedSite(world, "alder/one")
    site.enrol(token)
    world.sites["alder/one"] = site
    site.state()
    world.join("birch/one", "cedar/one")
    world.play()
    scribe.ask("GET", "/v1/sites?where=joined&limit=1", keep=("total", "sites"))
    scribe.say("A plan with a mistake, then a good one.")
    scribe.ask("POST", "/v1/plans", {"file": "hanse: 1\nname: Shop\n"})
    image = world.push_image()
    plan = scribe.ask("POST", "/v1/plans", {"file": shop_file(image)}, keep=("id", "application"))
    scribe.say("It is bought: holds first.")
    scribe.ask("PUT", "/v1/applications/shop", {"plan": plan["id"]})
    scribe.ask("GET", "/v1/applications/shop", keep=("state", "order"))
    world.play()
    scribe.say("The sites held, accepted and started everything.")
    scribe.ask("GET", "/v1/applications/shop", keep=("state", "order", "mandate", "components", "endpoints"))
    scribe.say("The bucket moves.")
    moved = scribe.ask("POST", "/v1/applications/shop/moves", {"component": "files", "to": "birch/one"})
    scribe.ask("POST", "/v1/applications/shop/moves", {"component": "files", "to": "cedar/one"})
    world.play()
    scribe.ask("GET", f"/v1/operations/{moved['operations'][0]}")
    scribe.say("Everything ends.")
    scribe.ask("POST", "/v1/applications/shop/retirement", {"erase_now": True})
    world.play()
    scribe.ask("GET", "/v1/applications/shop", keep=("state", "components"))
    return scribe.text() + "\n"


def test_the_conversation_is_the_golden_one(tmp_path: Path) -> None:
    text = life(World(tmp_path / "images"))
    if os.environ.get("HANSE_WRITE_GOLDEN"):
        GOLDEN.parent.mkdir(parents=True, exist_ok=True)
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text(), "run once with HANSE_WRITE_GOLDEN=1 and read the difference"
