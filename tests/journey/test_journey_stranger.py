"""A stranger's application from the docs alone: what examples/hello/README.md shows, typed as it stands."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from journey_footprint import difference, footprint
from journey_objects import Visitors, request
from journey_stage import Journey

pytestmark = pytest.mark.xdist_group("stage")

HELLO = Path(__file__).parents[2] / "examples" / "hello"
GREETING = b"Hello from wherever I run.\n"


class Stranger:
    """Somebody with a shell who types what a page shows."""

    def __init__(self, journey: Journey, directory: Path) -> None:
        self._directory = directory
        shutil.copytree(HELLO, directory, dirs_exist_ok=True)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._environment = journey.stage.environment | {"PATH": path}
        text = (HELLO / "README.md").read_text()
        blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
        self._commands = [re.findall(r"^\$ (.*)$", block, re.MULTILINE) for block in blocks]

    def type_next_block(self) -> str:
        """The commands of the page's next block, each of which must succeed."""
        said = ""
        for command in self._commands.pop(0):
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
            said += done.stdout
        return said

    @property
    def is_through(self) -> bool:
        return not self._commands


@pytest.fixture
def stranger(clinic: Journey, tmp_path: Path) -> Iterator[Stranger]:
    before = footprint(clinic)
    yield Stranger(clinic, tmp_path)
    for image in clinic.ask("image", "list")["images"]:
        if not image["used_by"]:
            clinic.do("image", "remove", image["digest"])
    assert difference(before, footprint(clinic)) == []


def test_every_command_of_the_page_works_and_nobody_who_visits_notices_the_move(
    clinic: Journey, stranger: Stranger
) -> None:
    stranger.type_next_block()
    assert "page.memory" in stranger.type_next_block()
    told = stranger.type_next_block()
    url = clinic.url("hello")
    assert url in told
    assert request(url, "GET", "") == (200, GREETING)
    assert clinic.site_of("hello/page") == "lindworm/leipzig"
    with Visitors(url, "", GREETING) as visitors:
        stranger.type_next_block()
        visitors.wait_for_more()
    assert visitors.failed == []
    assert clinic.site_of("hello/page") != "lindworm/leipzig"
    stranger.type_next_block()
    assert stranger.is_through
