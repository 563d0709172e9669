"""The pinned HTTP client against servers that lie, stall, break off or talk too much."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanse.ports import Permanent, Temporary
from hanse.trust.authority import make_authority
from hanse.trust.keys import make_key, private_pem, thumbprint_of
from hanse.wire import http_client
from hanse.wire.http_client import PinnedHttp
from hanse.wire.problem import problem_of
from hanse.wire.tls import first_contact_context, hub_server_context

NOW = datetime.now(UTC)
KEY = make_key()
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(directory: Path, script: Script) -> AsyncIterator[PinnedHttp]:
    authority = make_authority(make_key(), NOW)
    (directory / "key").write_bytes(private_pem(KEY))
    (directory / "crt").write_text(authority.issue_server(KEY, ["127.0.0.1"], NOW))
    context = hub_server_context(directory / "crt", directory / "key", authority.certificate_pem)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await script(reader, writer)
        except (OSError, EOFError):
            pass
        finally:
            writer.transport.abort()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    port = listener.sockets[0].getsockname()[1]
    client = PinnedHttp(f"https://127.0.0.1:{port}", first_contact_context(), thumbprint_of(KEY))
    async with listener:
        yield client
        await client.aclose()


def answering(*answers: bytes, then_stall: bool = False) -> Script:
    """One answer a request, on one connection; then the connection ends, or nothing more comes."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        if then_stall:
            await reader.read()
        else:
            writer.close()
            await writer.wait_closed()

    return script


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00\xff garbage \r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
    ],
)
async def test_whatever_a_broken_server_says_is_temporary(tmp_path: Path, answer: bytes) -> None:
    async with server(tmp_path, answering(answer)) as client:
        with pytest.raises(Temporary) as caught:
            await client.request("GET", "/")
    assert caught.value.code == "hub-unreachable"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok"])
async def test_a_silent_server_costs_no_more_than_the_timeout(tmp_path: Path, answer: bytes) -> None:
    async with server(tmp_path, answering(answer, then_stall=True)) as client:
        with pytest.raises(Temporary, match="in time"):
            await client.request("GET", "/", timeout_seconds=0.05)


async def test_an_endless_answer_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "BODY_LIMIT_BYTES", 1000)
    endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"400\r\n" + b"x" * 1024 + b"\r\n"
    async with server(tmp_path, answering(endless, then_stall=True)) as client:
        with pytest.raises(Temporary, match="larger than"):
            await client.request("GET", "/")


async def test_a_kept_connection_that_died_is_replaced_without_a_word(tmp_path: Path) -> None:
    async with server(tmp_path, answering(OK)) as client:
        assert (await client.request("GET", "/")).body == b"ok"
        await asyncio.sleep(0)
        assert (await client.request("GET", "/")).body == b"ok"


async def test_requests_share_a_connection(tmp_path: Path) -> None:
    connections = 0
    once = answering(OK, OK, OK)

    async def counting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await once(reader, writer)

    async with server(tmp_path, counting) as client:
        for _ in range(3):
            await client.request("GET", "/")
    assert connections == 1


@pytest.mark.parametrize("url", ["http://a", "https://", "a:1", "", "https:///x"])
def test_an_address_that_is_none_is_said(url: str) -> None:
    with pytest.raises(Permanent) as caught:
        PinnedHttp(url, first_contact_context(), "0" * 64)
    assert caught.value.code == "url-malformed"


@given(st.integers(300, 599), st.binary() | st.text().map(lambda text: json.dumps(text).encode()))
def test_any_refusal_becomes_words(status: int, body: bytes) -> None:
    problem = problem_of(status, body)
    assert problem.code == f"http-{status}"
    assert problem.message
    assert problem.errors == []


@given(
    st.dictionaries(st.sampled_from(["code", "title", "detail", "next", "errors"]), st.lists(st.integers()))
)
def test_problem_fields_of_a_wrong_kind_are_ignored(fields: dict[str, object]) -> None:
    problem = problem_of(400, json.dumps(fields).encode())
    assert problem.code == "http-400"
    assert problem.errors == []


def test_a_problem_reads_as_sentences() -> None:
    fields = {
        "code": "no-reach",
        "title": "not moved",
        "detail": "a does not reach b.",
        "next": "open port 1",
    }
    problem = problem_of(422, json.dumps({**fields, "errors": [{"line": 3}]}).encode())
    assert problem.message == "not moved. a does not reach b. open port 1."
    assert (problem.code, problem.status, problem.errors) == ("no-reach", 422, [{"line": 3}])
