"""What a user owns survives: hub and agents killed at bad moments, restarts, a second demo beside."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from journey_objects import Visitors, connected, request
from journey_stage import (
    BASILISCO,
    COMMAND,
    LINDWORM,
    TARASQUE,
    Journey,
    bucket_file,
    number_of,
    pack_busybox,
    pages_file,
    wait_until,
)

from hanse.demo.scenery import COMPANIES
from hanse.demo.stage import Stage
from hanse.drivers.identity import ProcessMark

pytestmark = pytest.mark.xdist_group("survival")

PAGE = "the same bytes as ever"


@pytest.fixture(scope="module")
def home(journey: Journey) -> Iterator[Journey]:
    """A page at lindworm and a bucket with objects at basilisco."""
    archive = pack_busybox(journey.directory / "pages.tar", **{"index.html": PAGE})
    file = pages_file("home", journey.push(archive), site=LINDWORM)
    journey.do("apply", journey.file("home.yaml", file), "--yes")
    journey.do("apply", journey.file("chest.yaml", bucket_file("chest")), "--yes")
    with connected(journey, "chest/files") as bucket:
        for number in range(8):
            bucket.put(f"{number}.bin", bytes([number]) * 2**20)
    yield journey
    for name in ("home", "chest"):
        journey.do("retire", name, "--erase-now", "--yes")


def objects_of(journey: Journey) -> list[str]:
    with connected(journey, "chest/files") as bucket:
        assert bucket.get("7.bin") == b"\7" * 2**20
        return bucket.names()


def restart_hub(journey: Journey, application: str) -> None:
    """Started again in the same directory; returns when nothing is under way."""
    journey.stage.start_hub()
    wait_until(lambda: journey.is_idle(application), f"{application} to settle")


def test_work_goes_on_while_the_hub_is_off_and_commands_say_so(home: Journey) -> None:
    url = home.url("home")
    with Visitors(url, "", PAGE.encode()) as visitors:
        home.stage.kill_hub()
        visitors.wait_for_more()
        told = home.refused("status", "home")
        home.stage.start_hub()
        visitors.wait_for_more()
    assert visitors.failed == []
    assert home.config["url"] in told
    assert "hanse hub run" in told


def test_a_hub_killed_in_the_middle_of_apply_finishes_it(home: Journey) -> None:
    applying = home.begin("apply", home.file("late.yaml", bucket_file("late")), "--yes")
    wait_until(lambda: home.type("status", "late").code == 0, "the order")
    home.stage.kill_hub()
    applying.communicate(timeout=60)
    restart_hub(home, "late")
    wait_until(lambda: home.status("late")["state"] == "running", "the application to run")
    with connected(home, "late/files") as bucket:
        bucket.put("a.txt", b"a")
        assert bucket.names() == ["a.txt"]
    home.do("retire", "late", "--erase-now", "--yes")


def test_a_hub_killed_in_the_middle_of_a_move_loses_nothing(home: Journey) -> None:
    moving = home.begin("move", "chest/files", "--to", TARASQUE, "--yes")
    assert moving.stdout is not None
    line = next((line for line in moving.stdout if "copies" in line), "")
    assert line, "the move ended before it copied"
    home.stage.kill_hub()
    moving.communicate(timeout=60)
    restart_hub(home, "chest")
    assert home.site_of("chest/files") == TARASQUE
    assert len(objects_of(home)) == 8


def test_an_agent_killed_while_it_copies_is_started_again_and_the_move_succeeds(home: Journey) -> None:
    moving = home.begin("move", "chest/files", "--to", LINDWORM, "--yes")
    assert moving.stdout is not None
    next(line for line in moving.stdout if "copies" in line)
    home.kill_agent(LINDWORM)
    words, _ = moving.communicate(timeout=120)
    assert moving.returncode == 0, words
    assert home.site_of("chest/files") == LINDWORM
    assert len(objects_of(home)) == 8


def end_agent(journey: Journey, site: str) -> None:
    """As an operator would: SIGTERM to `hanse site run`."""
    process = journey.stage.processes[COMPANIES[number_of(site) - 1].provider]
    process.terminate()
    process.wait(30)


def start_agent(journey: Journey, site: str) -> None:
    inside = journey.stage.network.inside(number_of(site))
    name = COMPANIES[number_of(site) - 1].provider
    journey.stage.start(name, inside, "site", "run", "--dir", str(journey.place(site)))
    wait_until(lambda: journey.agent_of(site), "the agent")


def test_a_site_that_is_started_again_knows_its_roles(home: Journey) -> None:
    with Visitors(home.url("home"), "", PAGE.encode()) as visitors:
        end_agent(home, LINDWORM)
        visitors.wait_for_more()
        start_agent(home, LINDWORM)
        visitors.wait_for_more()
    assert visitors.failed == []
    assert len(objects_of(home)) == 8


@contextmanager
def squatter(journey: Journey, site: str, port: int) -> Iterator[None]:
    """A program of somebody else has this port at the site."""
    inside = journey.stage.network.inside(number_of(site))
    command = [*inside, "/bin/busybox", "nc", "-l", "-p", str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        try:
            yield
        finally:
            process.kill()


def test_a_data_port_that_somebody_has_is_named_and_taken_once_it_is_free(home: Journey) -> None:
    end_agent(home, BASILISCO)
    log = home.directory / "basilisco.log"
    with squatter(home, BASILISCO, 7100):
        start_agent(home, BASILISCO)
        wait_until(lambda: "port 7100 at " in log.read_text(), "the port to be named")
        wait_until(lambda: "it is started again in" in log.read_text(), "the next try")
    listening = (*home.stage.network.inside(1), "ss", "-Hltn", "sport", "=", ":7100")
    wait_until(lambda: subprocess.run(listening, capture_output=True, check=True).stdout, "the channel")
    assert "Traceback" not in log.read_text()


def test_a_second_agent_of_a_site_and_a_second_hub_are_refused_by_name(home: Journey) -> None:
    place = home.place(LINDWORM)
    assert f"The site in {place} already runs" in home.refused("site", "run", "--dir", str(place))
    hub = str(home.directory / "hub")
    assert f"already runs in {hub}" in home.refused("hub", "run", "--dir", hub, "--listen", "127.0.0.1:1")


def test_a_port_of_the_hub_that_somebody_has_is_named(home: Journey, tmp_path: Path) -> None:
    listen = f"{home.stage.network.hub_address}:8443"
    told = home.refused("hub", "run", "--dir", str(tmp_path / "two"), "--listen", listen)
    assert "port 8443" in told
    assert "--listen" in told


def test_a_demo_interrupted_while_it_is_set_up_leaves_nothing_and_touches_no_kept_one(home: Journey) -> None:
    with kept(home):
        setting_up = subprocess.Popen(
            [*COMMAND, "demo", "up"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ
        )
        new = wait_until(lambda: owned_by(setting_up.pid), "the set-up")
        wait_until((new / "hub.pid").exists, "the hub's start")
        setting_up.send_signal(signal.SIGINT)
        words, _ = setting_up.communicate(timeout=120)
    assert setting_up.returncode == 130, words
    assert b"Traceback" not in words
    assert not new.exists()
    assert request(home.url("home"), "GET", "") == (200, PAGE.encode())


def owned_by(pid: int) -> Path | None:
    """The directory of the demo that a process sets up."""
    owner = ProcessMark.of(pid)
    places = [stage.directory for stage in Stage.all()]
    return next((one for one in places if owner and ProcessMark.load(one / "owner") == owner), None)


@contextmanager
def kept(journey: Journey) -> Iterator[None]:
    """As `hanse demo up` leaves it: no process owns it, and it is to stay."""
    owner = journey.directory / "owner"
    before = owner.read_text()
    owner.write_text("kept")
    try:
        yield
    finally:
        owner.write_text(before)
