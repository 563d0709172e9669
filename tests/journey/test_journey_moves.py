"""Moves under mistakes and bad luck: the source goes on, the target is clean, and it is said why."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from journey_footprint import difference, footprint
from journey_objects import Visitors, connected, request
from journey_stage import (
    BASILISCO,
    LINDWORM,
    TARASQUE,
    Journey,
    bucket_file,
    number_of,
    sha256,
    small_disk,
    wait_until,
)

pytestmark = pytest.mark.xdist_group("stage")

MIB = 2**20


@pytest.fixture(scope="module")
def vault(clinic: Journey) -> Iterator[Journey]:
    """A bucket with 24 MiB of its own; erased at the end, and then nothing of it is left."""
    before = footprint(clinic)
    clinic.do("apply", clinic.file("vault.yaml", bucket_file("vault")), "--yes")
    with connected(clinic, "vault/files") as bucket:
        for number in range(3):
            bucket.put(f"{number}.bin", os.urandom(8 * MIB))
    yield clinic
    wait_until(lambda: is_calm(clinic, "vault"), "the way back to follow")
    clinic.do("retire", "vault", "--erase-now", "--yes")
    assert difference(before, footprint(clinic)) == []


def is_calm(journey: Journey, application: str) -> bool:
    """Every replica does what it is ordered, and is ready."""
    parts = journey.status(application)["components"]
    return all(replica["ready"] for part in parts for replica in part["replicas"])


def other_site(journey: Journey, what: str) -> str:
    """A site without any part of it."""
    application, _, name = what.partition("/")
    component = next(c for c in journey.status(application)["components"] if c["component"] == name)
    used = {each["site"] for each in component["replicas"] if each["role"] not in (None, "absent")}
    return next(site for site in (LINDWORM, TARASQUE, BASILISCO) if site not in used | {component["site"]})


def test_a_file_of_50_mb_passes_through_the_endpoint_also_while_its_bucket_moves(clinic: Journey) -> None:
    content, small, url = os.urandom(50 * MIB), os.urandom(1000), clinic.url("clinic")
    assert request(url, "PUT", "large.bin", content)[0] == 201
    assert request(url, "PUT", "small.bin", small)[0] == 201
    moving = clinic.begin("move", "clinic/images", "--to", TARASQUE, "--yes")
    with Visitors(url, "small.bin", small) as visitors:
        assert request(url, "PUT", "moving.bin", content)[0] == 201
        words, _ = moving.communicate(timeout=150)
        visitors.wait_for_more()
    assert moving.returncode == 0, words
    assert visitors.failed == []
    for name in ("large.bin", "moving.bin"):
        status, found = request(url, "GET", name)
        assert (status, sha256(found)) == (200, sha256(content))


def test_a_full_disk_at_the_target_leaves_the_source_as_it_is(vault: Journey) -> None:
    here = vault.site_of("vault/files")
    target = other_site(vault, "vault/files")
    with small_disk(vault, target, "bucket", "12m"):
        said = vault.type("move", "vault/files", "--to", target, "--yes")
    assert said.code == 1
    assert "disk-full" in said.words
    assert "Its source is untouched. Free space here or move to another site." in said.words
    assert vault.site_of("vault/files") == here
    with connected(vault, "vault/files") as bucket:
        assert bucket.names() == ["0.bin", "1.bin", "2.bin"]


@contextmanager
def no_way_between(journey: Journey, one: str, other: str) -> Iterator[None]:
    """A network between two sites that lets nothing through."""
    address = journey.stage.network.address(number_of(other))
    rule = ("INPUT", "-s", address, "-j", "REJECT")
    inside = (*journey.stage.network.inside(number_of(one)), "iptables", "-w")
    subprocess.run([*inside, "-I", *rule], check=True)
    try:
        yield
    finally:
        subprocess.run([*inside, "-D", *rule], check=True)


def test_a_move_without_a_way_between_the_sites_is_refused_and_names_both(vault: Journey) -> None:
    here = vault.site_of("vault/files")
    target = other_site(vault, "vault/files")
    words = ("move", "vault/files", "--to", target)
    with no_way_between(vault, here, target), no_way_between(vault, target, here):
        for site in (here, target):
            vault.kill_agent(site)  # the next one measures at once which sites it reaches
        wait_until(lambda: "does not reach" in vault.type(*words).err, "the measured reach")
        told = vault.refused(*words, "--yes")
    assert f"{here} does not reach {target}" in told
    assert "Nothing was changed" in told
    wait_until(lambda: "Add --yes" in vault.type(*words).err, "the way to be found again")


def under_way(journey: Journey, application: str) -> str:
    """The operation that has begun, or nothing."""
    operations = journey.status(application)["operations"]
    return next((each["operation"] for each in operations if each["state"] in ("open", "stuck")), "")


def test_a_move_that_is_aborted_in_the_middle_leaves_nothing_at_the_target(vault: Journey) -> None:
    before, here = footprint(vault), vault.site_of("vault/files")
    moving = vault.begin("move", "vault/files", "--to", other_site(vault, "vault/files"), "--yes")
    operation = wait_until(lambda: under_way(vault, "vault"), "the move")
    aborted = vault.type("abort", operation)
    assert aborted.code == 0, aborted.words
    words, _ = moving.communicate(timeout=60)
    assert moving.returncode == 1
    assert f"{operation} move files" in words
    assert "aborted" in words
    assert vault.site_of("vault/files") == here
    assert difference(before, footprint(vault)) == []


def test_a_second_move_waits_for_nobody_it_is_refused_with_the_first_ones_name(vault: Journey) -> None:
    target = other_site(vault, "vault/files")
    moving = vault.begin("move", "vault/files", "--to", target, "--yes")
    operation = wait_until(lambda: under_way(vault, "vault"), "the move")
    file = str(vault.directory / "vault.yaml")
    third = next(site for site in (LINDWORM, TARASQUE, BASILISCO) if site != target)
    for words in (["move", "vault/files", "--to", third], ["retire", "vault"], ["apply", file]):
        told = vault.refused(*words, "--yes")
        assert operation in told
        assert "hanse abort OPERATION" in told
    words, _ = moving.communicate(timeout=100)
    assert moving.returncode == 0, words
    assert vault.site_of("vault/files") == target
    assert re.search(r"\d+ ms between the old place closing and the new one serving", words)
