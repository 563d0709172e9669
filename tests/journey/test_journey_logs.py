"""What a program writes is read while it runs, as it is written."""

import signal
from pathlib import Path

import pytest
from journey_objects import request
from journey_stage import BASILISCO, Journey, pack_busybox, pages_file

pytestmark = pytest.mark.xdist_group("stage")
COMMAND = "[/bin/busybox, sh, -c, 'echo it begins; exec /bin/busybox httpd -f -vv -p 8080 -h /www']"


@pytest.fixture
def pages(journey: Journey, tmp_path: Path):
    image = journey.push(pack_busybox(tmp_path / "pages.tar", index="a page"))
    text = pages_file("told", image, command=COMMAND, site=BASILISCO)
    journey.do("apply", journey.file("told.yaml", text), "--yes")
    yield journey
    journey.do("retire", "told", "--erase-now", "--yes")
    journey.do("image", "remove", image)


def test_a_running_programs_lines_are_read_from_its_site(pages: Journey) -> None:
    assert "it begins" in pages.do("logs", "told/pages").splitlines()
    assert request(pages.url("told"), "GET", "index") == (200, b"a page")
    found = pages.ask("logs", "told/pages", "--lines", "2")
    assert found["site"] == pages.site_of("told/pages")
    assert len(found["lines"]) == 2
    assert "response:200" in found["lines"][-1]


def test_following_tells_what_is_written_now_and_ends_with_ctrl_c(pages: Journey) -> None:
    with pages.begin("logs", "told/pages", "--follow") as follower:
        assert follower.stdout is not None
        while "it begins" not in follower.stdout.readline():
            pass
        assert request(pages.url("told"), "GET", "index") == (200, b"a page")
        while "response:200" not in follower.stdout.readline():
            pass
        follower.send_signal(signal.SIGINT)
        assert follower.wait(20) == 0
