"""Sites whose databases can be connected to: a TLS port that only listens, a credential that opens."""

import asyncio
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hub_answers import replica_state
from hub_world import PlayedSite

from hanse.model.replica.instruction import Instruction
from hanse.model.replica.order import ReplicaOrder
from hanse.trust.keys import private_pem, write_private
from hanse.trust.sealing import seal_for


@contextmanager
def serving(site: PlayedSite, directory: Path, **fields: str) -> Iterator[PlayedSite]:
    """The site lets everybody into its replicas with this credential, while the block runs."""
    write_private(directory / "site.key", private_pem(site.key))
    write_private(directory / "site.crt", site.certificate.encode())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "site.crt", directory / "site.key")
    with _listening(context) as port:
        site.answer = lambda _, instruction: _let_in(site, instruction, port, fields)
        try:
            yield site
        finally:
            site.answer = None


def _let_in(site: PlayedSite, instruction: Instruction, port: int, fields: dict[str, str]) -> Any:
    order = instruction.order
    if not isinstance(order, ReplicaOrder) or not order.grants:
        return None
    state = replica_state(site, order)
    assert state.clients is not None
    secret = json.dumps({"fields": fields}).encode()
    update = {
        "clients": state.clients.model_copy(update={"port": port}),
        "sealed_credentials": {grant.name: seal_for(secret, grant.sealing_key) for grant in order.grants},
    }
    return [(instruction.subject, state.model_copy(update=update), instruction)]


@contextmanager
def _listening(context: ssl.SSLContext) -> Iterator[int]:
    """A TLS port that answers nothing, in a thread of its own."""
    up, found, stop = threading.Event(), [0], asyncio.Event()

    async def listen() -> None:
        loops.append(asyncio.get_running_loop())
        async with await asyncio.start_server(_silent, "127.0.0.1", 0, ssl=context) as server:
            found[0] = server.sockets[0].getsockname()[1]
            up.set()
            await stop.wait()

    loops: list[asyncio.AbstractEventLoop] = []
    thread = threading.Thread(target=lambda: asyncio.run(listen()))
    thread.start()
    assert up.wait(20)
    try:
        yield found[0]
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(20)


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with suppress(OSError):
            await reader.read()
    finally:
        writer.transport.abort()
