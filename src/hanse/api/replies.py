"""Answers: a shape as JSON, the same again for the same idempotency key, not at all if unchanged."""

from collections.abc import Callable
from dataclasses import replace

from fastapi import Request, Response

from hanse.hub.context import Hub, ReplyKey
from hanse.hub.records import ReplyRecord, load
from hanse.model.shape import Shape, digest_of
from hanse.ports import Permanent, Temporary

JSON = "application/json"


def show(request: Request, value: Shape) -> Response:
    """A document with its ETag; 304 where the client has it already."""
    body = value.model_dump_json()
    tag = f'"{digest_of(body.encode())[7:39]}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag})
    return Response(body, media_type=JSON, headers={"ETag": tag})


def perform(hub: Hub, asked: ReplyKey | None, command: Callable[[Hub], Shape], status: int = 200) -> Response:
    """Run a command once. The same key and request get the kept answer of the first time.

    Raises Permanent(`idempotency-key-reused`) and what the command raises.
    """
    if asked is None:
        return Response(command(hub).model_dump_json(), status, media_type=JSON)
    asked = replace(asked, status=status)
    kept = _kept(hub, asked)
    if kept is not None:
        return kept
    try:
        result = command(hub.answering(asked))
    except Temporary:
        kept = _kept(hub, asked)
        if kept is None:
            raise
        return kept
    return Response(result.model_dump_json(), status, media_type=JSON)


def _kept(hub: Hub, asked: ReplyKey) -> Response | None:
    with hub.look() as tx:
        stored = load(tx, "reply", asked.key, ReplyRecord)
    if stored is None:
        return None
    if stored.value.request != asked.request:
        raise Permanent(
            "idempotency-key-reused",
            "This Idempotency-Key was used for another request before. Choose a fresh one for each request.",
        )
    return Response(
        stored.value.body,
        stored.value.status,
        media_type=JSON,
        headers={"Idempotency-Replayed": "true"},
    )
