"""The client's line to a hub: who it trusts, what it sends again, what it says when refused."""

import hashlib
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cli_hub import live_hub

from hanse.ports import Permanent, Temporary
from hanse.trust.authority import make_authority
from hanse.trust.keys import make_key
from hanse.wire.api_client import ApiClient
from hanse.wire.problem import ApiProblem


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with live_hub(tmp_path_factory.mktemp("hub"), "alder/one") as live:
        yield live


@pytest.fixture
def authority(hub) -> str:
    return Path(json.loads(Path(hub.environment["HANSE_CONFIG"]).read_text())["ca_file"]).read_text()


@pytest.fixture
def client(hub, authority):
    made = ApiClient(hub.url, "the-admin-token", authority)
    yield made
    made.close()


def test_a_wrong_token_is_refused_with_its_code(hub, authority):
    client = ApiClient(hub.url, "another", authority)
    with pytest.raises(ApiProblem) as refused:
        client.get("/v1/applications")
    client.close()
    assert (refused.value.code, refused.value.status) == ("wrong-credential", 401)


def test_a_hub_of_another_authority_hears_nothing(hub):
    other = make_authority(make_key(), datetime.now(UTC))
    client = ApiClient(hub.url, "the-admin-token", other.certificate_pem)
    with pytest.raises(Temporary, match="does not show a certificate of this hub") as refused:
        client.get("/v1/applications")
    assert refused.value.code == "hub-key-wrong"


def test_one_connection_serves_many_requests_and_a_broken_one_is_opened_again(client):
    client.get("/v1/applications")
    kept = client._connection
    client.get("/v1/sites", limit=1, where="", cursor=None)
    assert client._connection is kept
    kept.sock.close()
    assert client.get("/v1/sites", limit=1)["sites"]


def test_each_write_has_a_key_of_its_own(client):
    first = client.send("POST", "/v1/invitations", {"site": "dogwood/one"})
    assert client.send("POST", "/v1/invitations", {"site": "dogwood/one"})["token"] != first["token"]


def test_an_upload_is_streamed_and_tells_how_far_it_is(client):
    data, told = b"x" * 3_000_000, []
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    stored = client.upload(f"/v1/images/{digest}", io.BytesIO(data), len(data), told.append)
    assert stored["size_bytes"] == len(data) == told[-1]
    assert len(told) == 3


def test_an_upload_that_is_refused_midway_says_why(client):
    size = 3 * 1024**3
    with pytest.raises(ApiProblem) as refused:
        client.upload(f"/v1/images/sha256:{'0' * 64}", io.BytesIO(b"x" * 8_000_000), size, lambda _: None)
    assert refused.value.code == "image-too-large"


def test_an_upload_of_other_bytes_than_its_digest_is_refused(client):
    with pytest.raises(ApiProblem) as refused:
        client.upload(f"/v1/images/sha256:{'0' * 64}", io.BytesIO(b"bytes"), 5, lambda _: None)
    assert refused.value.code == "digest-wrong"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "127.0.0.1:1", "https://"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(Permanent) as refused:
        ApiClient(url, "token")
    assert refused.value.code == "url-malformed"


def test_an_authority_that_is_no_certificate_is_refused():
    with pytest.raises(Permanent) as refused:
        ApiClient("https://127.0.0.1:1", "token", "not a certificate")
    assert refused.value.code == "certificate-unreadable"
