"""How a site talks to its hub: outbound only, over mutual TLS with the hub's key pinned."""

import asyncio
import contextlib
import hashlib
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from hanse.ports import Permanent, Temporary
from hanse.trust.invitation import Invitation
from hanse.wire.http_client import PinnedHttp, Reply
from hanse.wire.problem import problem_of
from hanse.wire.tls import first_contact_context, hub_client_context, require_peer

_SLACK_SECONDS = 15.0
_WAKE_LIMIT_BYTES = 4096


class HubClient:
    """A site's line to its hub; also `ports.Artifacts`.

    All methods raise Temporary(`hub-unreachable`, `hub-key-wrong`, `conflict`, or the hub's own
    code for statuses 429 and 5xx) and `ApiProblem` (a Permanent with the hub's code) for refusals.
    """

    def __init__(self, url: str, hub_thumbprint: str, identity: "Identity") -> None:
        self._identity = identity
        self._context = hub_client_context(
            identity.authority_pem, identity.certificate_file, identity.key_file
        )
        self._thumbprint = hub_thumbprint
        self._http = PinnedHttp(url, self._context, hub_thumbprint)

    async def instructions(self, since: int, wait_seconds: float) -> list[str]:
        """Signed instructions with serial > `since`, oldest first; waits if there is none."""
        query = urlencode({"since": since, "wait": f"{wait_seconds:g}"})
        reply = await self._call(
            "GET", f"/v1/site/instructions?{query}", timeout_seconds=wait_seconds + _SLACK_SECONDS
        )
        return _documents(reply.body)

    async def observe(self, documents: Sequence[str]) -> None:
        """Deliver signed observations. Delivering one twice does no harm."""
        await self._call("POST", "/v1/site/observations", {"documents": list(documents)})

    async def certificate(self) -> str:
        """A new transport certificate (PEM) over the site's key; the present one is the credential."""
        reply = await self._call("POST", "/v1/site/certificate", {})
        return _certificate(reply.body)

    def reload(self) -> None:
        """Show from the next connection on what the certificate file holds now. Raises OSError."""
        self._context.load_cert_chain(self._identity.certificate_file, self._identity.key_file)

    async def depart(self) -> None:
        """Tell the hub that this site leaves. Refused while it still holds work."""
        await self._call("POST", "/v1/site/departure", {})

    async def wakes(self) -> AsyncIterator[None]:
        """One item at once when connected, then one whenever there may be new instructions.

        Ends by raising Temporary(`hub-unreachable`); connect again after its delay.
        """
        url = self._http.url.replace("https://", "wss://", 1) + "/v1/site/wake"
        try:
            async with connect(
                url,
                ssl=self._context,
                compression=None,
                proxy=None,
                max_size=_WAKE_LIMIT_BYTES,
                max_queue=4,
                user_agent_header=None,
            ) as socket:
                _require_hub(socket, self._thumbprint, self._http.url)
                yield
                async for _ in socket:
                    yield
        except (OSError, TimeoutError, WebSocketException) as error:
            raise _lost(self._http.url, error) from error
        raise _lost(self._http.url, "it ended the connection")

    async def fetch(self, digest: str, into: Path) -> Path:
        """The image as the file `into`, complete and verified, or nothing at all.

        Raises Permanent(`image-missing`, `image-damaged`, `disk-full`), Temporary.
        """
        into.parent.mkdir(parents=True, exist_ok=True)
        part = into.with_name(f".{into.name}.{os.getpid()}.part")
        try:
            await self._download(digest, part)
            part.replace(into)
        except OSError as error:
            raise Permanent(
                "disk-full",
                f"image {digest} could not be stored in {into.parent}: {error.strerror or error}. "
                "Free space there; the site then tries again.",
            ) from error
        finally:
            part.unlink(missing_ok=True)
        return into

    async def stream(self, digest: str) -> AsyncGenerator[bytes, None]:
        """The bytes, unverified, in chunks."""
        async with self._http.exchange("GET", f"/v1/site/images/{quote(digest)}") as incoming:
            if incoming.status == 404:
                raise Permanent(
                    "image-missing",
                    f"image {digest} is not in the hub. Push it: `hanse image push FILE`.",
                )
            if incoming.status >= 300:
                raise _refusal(incoming.status, b"".join([chunk async for chunk in incoming.chunks]))
            async for chunk in incoming.chunks:
                yield chunk

    async def aclose(self) -> None:
        """End kept connections."""
        await self._http.aclose()

    async def _download(self, digest: str, part: Path) -> None:
        found = hashlib.sha256()
        with part.open("wb") as file:
            async with contextlib.aclosing(self.stream(digest)) as chunks:
                async for chunk in chunks:
                    found.update(chunk)
                    file.write(chunk)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        if f"sha256:{found.hexdigest()}" != digest:
            raise Permanent(
                "image-damaged",
                f"image {digest} arrived as sha256:{found.hexdigest()}, so it was thrown away. "
                "Push it again: `hanse image push FILE`.",
            )

    async def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        timeout_seconds: float = 30.0,
    ) -> Reply:
        data = json.dumps(body).encode() if body is not None else b""
        reply = await self._http.request(method, path, data, timeout_seconds=timeout_seconds)
        if reply.status >= 300:
            raise _refusal(reply.status, reply.body)
        return reply


class Identity:
    """What a site shows its hub, and the authority it trusts the hub's certificate by."""

    def __init__(self, authority_pem: str, certificate_file: Path, key_file: Path) -> None:
        self.authority_pem = authority_pem
        self.certificate_file = certificate_file
        self.key_file = key_file


async def enrol(invitation: Invitation, request: Mapping[str, Any]) -> dict[str, Any]:
    """The hub's answer to `POST /v1/enrolments`, from the hub whose key the invitation names.

    Raises Temporary(`hub-unreachable`, `hub-key-wrong`), `ApiProblem` (expired or used token).
    """
    http = PinnedHttp(invitation.url, first_contact_context(), invitation.hub_thumbprint)
    try:
        reply = await http.request("POST", "/v1/enrolments", json.dumps(request).encode())
    finally:
        await http.aclose()
    if reply.status >= 300:
        raise _refusal(reply.status, reply.body)
    answer = _json(reply.body)
    if not isinstance(answer, dict):
        raise _garbled()
    return answer


def _require_hub(socket: ClientConnection, thumbprint: str, url: str) -> None:
    require_peer(socket.transport, thumbprint, f"the server at {url}")


def _refusal(status: int, body: bytes) -> Temporary | Permanent:
    problem = problem_of(status, body)
    if status == 429 or status >= 500 or problem.code == "conflict":
        return Temporary(problem.code, problem.message, delay_seconds=2.0)
    return problem


def _documents(body: bytes) -> list[str]:
    found = _json(body)
    documents = found.get("documents") if isinstance(found, dict) else None
    if not isinstance(documents, list) or not all(isinstance(one, str) for one in documents):
        raise _garbled()
    return documents


def _certificate(body: bytes) -> str:
    found = _json(body)
    pem = found.get("certificate_pem") if isinstance(found, dict) else None
    if not isinstance(pem, str):
        raise _garbled()
    return pem


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _garbled() from error


def _garbled() -> Temporary:
    return Temporary("hub-garbled", "the hub's answer is not what this version expects.", delay_seconds=10.0)


def _lost(url: str, why: object) -> Temporary:
    return Temporary("hub-unreachable", f"the wake-up line to the hub at {url} is down: {why}.")
