"""A bucket from this machine with the printed credential; what a component says, and what happened."""

import json
import os
import socket

import pytest
from journey_objects import connected, request
from journey_stage import Journey

pytestmark = pytest.mark.xdist_group("stage")


def test_objects_are_listed_stored_and_fetched_with_what_is_printed(clinic: Journey) -> None:
    content = os.urandom(100_000)
    with connected(clinic, "clinic/images") as bucket:
        bucket.put("from/here.bin", content)
        assert "from/here.bin" in bucket.names()
        assert bucket.get("from/here.bin") == content
    assert request(clinic.url("clinic"), "GET", "from/here.bin") == (200, content)


def test_the_secret_is_in_a_private_file_and_gone_afterwards(clinic: Journey) -> None:
    with connected(clinic, "clinic/images") as bucket:
        file = bucket.facts["secret_key_file"]
        assert os.stat(file).st_mode & 0o077 == 0  # noqa: PTH116 - the path is text
        assert bucket.secret not in json.dumps(bucket.facts)
        assert bucket.close() == 0
    assert not os.path.exists(file)  # noqa: PTH110


def test_a_credential_is_refused_after_its_connection_has_ended(clinic: Journey) -> None:
    with connected(clinic, "clinic/images") as ended:
        assert ended.names() is not None
        ended.close()
    with connected(clinic, "clinic/images") as bucket:
        ended.facts["endpoint"] = bucket.facts["endpoint"]
        done = ended.rclone("lsf", ended.path())
        assert done.returncode != 0
        assert b"InvalidAccessKeyId" in done.stderr or b"Forbidden" in done.stderr or b"403" in done.stderr
        assert bucket.names() is not None


def test_a_port_that_somebody_has_is_named(clinic: Journey) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = clinic.refused("connect", "clinic/images", "--port", str(port))
    assert f"port {port} " in told
    assert "--port" in told


def test_documents_for_programs_are_one_line_of_json(clinic: Journey) -> None:
    assert clinic.ask("status")["applications"][0]["application"] == "clinic"
    assert {each["component"] for each in clinic.status("clinic")["components"]} == {"images", "web"}
    assert clinic.ask("history", "clinic")["entries"]
    assert "pieces" in clinic.ask("logs", "clinic/web")
    assert clinic.ask("plan", str(clinic.directory / "clinic.yaml"))["plan"]["outcome"] == "plan"
    assert clinic.ask("explain", str(clinic.directory / "clinic.yaml"))["application"] == "clinic"
    for words in (["providers"], ["sites"], ["offers"], ["image", "list"], ["doctor"]):
        assert clinic.ask(*words)


def test_history_tells_who_was_bought_from_and_what_was_done(clinic: Journey) -> None:
    with connected(clinic, "clinic/images"):
        pass
    told = clinic.do("history", "clinic")
    for kind in ("applied", "deploy", "connection-opened"):
        assert kind in told, told
