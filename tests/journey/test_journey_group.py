"""A whole application changes provider with its address, comes back, and leaves, while people use it."""

import os
from collections.abc import Iterator

import pytest
from journey_clinic import application_file, pack_rclone
from journey_following import AddressBook, Followers
from journey_footprint import difference, footprint
from journey_objects import Visitors, request
from journey_stage import BASILISCO, TARASQUE, Journey, wait_until

pytestmark = pytest.mark.xdist_group("stage")

CONTENT = os.urandom(20_000)


def ward_file(image: str) -> str:
    """The demo's application under another name, without the rule that keeps its parts apart."""
    lines = application_file(image).replace("name: clinic", "name: ward").splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if line.startswith("  apart:"))
    return "".join(lines[:at] + lines[at + 2 :])


@pytest.fixture(scope="module")
def ward(clinic: Journey) -> Iterator[Journey]:
    """All of it at one provider, with one file in it; retired at the end, and then nothing of it is left."""
    before = footprint(clinic)
    image = clinic.push(pack_rclone(clinic.directory / "ward"))
    clinic.do("apply", clinic.file("ward.yaml", ward_file(image)), "--yes")
    clinic.do("move", "ward", "--to", TARASQUE, "--yes")
    assert set(stands(clinic).values()) == {TARASQUE}
    assert request(clinic.url("ward"), "PUT", "image.bin", CONTENT)[0] == 201
    yield clinic
    wait_until(lambda: clinic.is_idle("ward"), "the last move")
    clinic.do("retire", "ward", "--erase-now", "--yes")
    assert difference(before, footprint(clinic)) == []


def stands(journey: Journey) -> dict[str, str]:
    status = journey.status("ward")
    found = {each["component"]: each["site"] for each in status["components"]}
    return {**found, "address": status["endpoints"][0]["site"]}


def test_a_dry_run_shows_every_step_and_begins_nothing(ward: Journey) -> None:
    words = ward.do("move", "ward", "--to", BASILISCO, "--dry-run")
    for step in ("1  images", "2  web ", "3  web-endpoint", "24 h", "expected gap", "for ways back"):
        assert step in words
    assert f"its address {ward.url('ward')} changes" in words
    assert set(stands(ward).values()) == {TARASQUE}


def test_everything_changes_provider_and_both_addresses_answer(ward: Journey) -> None:
    old, book = ward.url("ward"), AddressBook(ward, "ward")
    with Visitors(old, "image.bin", CONTENT) as visitors, Followers(book, "image.bin", CONTENT) as followers:
        words = ward.do("move", "ward", "--to", BASILISCO, "--yes")
        visitors.wait_for_more()
        followers.wait_for_more()
    assert (visitors.failed, followers.failed, followers.looked_up) == ([], [], 0)
    assert set(stands(ward).values()) == {BASILISCO}
    new = book.look()
    assert new != old
    assert f"address of web: {new} at {BASILISCO}" in words
    assert f"old address of web: {old} at {TARASQUE} answers until" in words
    assert request(new, "GET", "image.bin") == (200, CONTENT)


def test_everything_comes_back_by_the_way_back(ward: Journey) -> None:
    there = ward.url("ward")
    with Visitors(there, "image.bin", CONTENT) as visitors:
        ward.do("move", "ward", "--back", "--yes")
        visitors.wait_for_more()
    assert visitors.failed == []
    assert set(stands(ward).values()) == {TARASQUE}
    assert request(ward.url("ward"), "GET", "image.bin") == (200, CONTENT)


def test_everything_leaves_a_provider_and_a_client_that_looks_again_goes_along(ward: Journey) -> None:
    old, book = ward.url("ward"), AddressBook(ward, "ward")
    with Followers(book, "image.bin", CONTENT) as followers:
        words = ward.do("move", "ward", "--away-from", "tarasque", "--yes")
        followers.wait_for_more()
    assert followers.failed == []
    assert "the old one ends with this step" in words
    assert TARASQUE not in stands(ward).values()
    with pytest.raises(ConnectionRefusedError):
        request(old, "GET", "image.bin")
    assert request(book.look(), "GET", "image.bin") == (200, CONTENT)
    assert f"images is retained at {TARASQUE}" in ward.do("status", "ward")
