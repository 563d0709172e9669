"""The clinic of the examples: programs that nobody here wrote, run by their own file, moved while used."""

import json
from collections.abc import Iterator
from contextlib import closing

import pytest
from journey_database import rows
from journey_footprint import difference, footprint
from journey_stage import SITES, Journey

from hanse.demo.clients import RECORDS, Answer, Client, open_ward, patient, ward
from hanse.demo.images import Example

pytestmark = pytest.mark.xdist_group("stage")

SCAN = bytes(range(256)) * 200


def silent(_line: str) -> None:
    return None


@pytest.fixture(scope="module")
def urls(journey: Journey) -> Iterator[dict[str, str]]:
    """The example under another name; its addresses. Afterwards nothing of it is left."""
    example = Example("clinic")
    digests = {name: journey.push(file) for name, file in example.images(silent).items()}
    text = example.application(digests).replace("\nname: clinic\n", "\nname: hospital\n")
    before = footprint(journey)
    journey.do("apply", journey.file("hospital.yaml", text), "--yes")
    endpoints = journey.status("hospital")["endpoints"]
    yield {each["component"]: f"http://{each['address']}:{each['port']}" for each in endpoints}
    journey.do("retire", "hospital", "--erase-now", "--yes")
    assert difference(before, footprint(journey)) == []


@pytest.fixture
def records(urls: dict[str, str]) -> Iterator[Client]:
    assert open_ward(urls["records-web"]).acknowledged
    with closing(ward(urls["records-web"])) as client:
        yield client


def visit_of(records: Client, name: str) -> int:
    answer = records.request("GET", f"{RECORDS}/{name}")
    assert answer.acknowledged, answer
    return int(json.loads(answer.content)["data"]["number"])


def test_kinto_keeps_records_in_the_database(journey: Journey, records: Client) -> None:
    assert records.request("PUT", f"{RECORDS}/ada", patient(7, b"seen")).status == 201
    assert visit_of(records, "ada") == 7
    assert rows(journey, "hospital/records", "select count(*) > 2 from objects") == ["t"]


def test_the_webdav_server_keeps_images_in_the_bucket(urls: dict[str, str]) -> None:
    with closing(Client(urls["images-web"])) as images:
        assert images.request("PUT", "scan.dcm", SCAN).acknowledged
        assert images.request("GET", "scan.dcm").content == SCAN


def test_records_are_written_while_their_database_moves(journey: Journey, records: Client) -> None:
    target = next(site for site in SITES if site != journey.site_of("hospital/records"))
    answers: list[Answer] = []
    with journey.begin("move", "hospital/records", "--to", target, "--yes") as moving:
        while moving.poll() is None:
            number = len(answers)
            answers.append(records.request("PUT", f"{RECORDS}/p{number}", patient(number, b"")))
        assert moving.returncode == 0, moving.communicate()[0]
    assert [answer for answer in answers if not answer.acknowledged] == []
    assert [visit_of(records, f"p{number}") for number in range(len(answers))] == [*range(len(answers))]
    assert journey.site_of("hospital/records") == target
