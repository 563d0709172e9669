"""A follower's way to a bucket in tests: the source's gate stream over mutual TLS."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from router_world import SiteFiles, free_port

from hanse.drivers.contract import Credential, GateStream, Source
from hanse.model.replica.spec import Peer, Stream


@asynccontextmanager
async def follower_source(
    directory: Path, followers: tuple[str, int], credential: Credential
) -> AsyncIterator[Source]:
    """A gate in front of `followers` for the time of the block."""
    here = SiteFiles(directory / uuid.uuid4().hex, "fiction/one")
    there = SiteFiles(directory / uuid.uuid4().hex, "fable/two")
    port = free_port(here.address)
    router = here.router()
    name = "shop/part/0/live:followers"
    await router.hold((GateStream(name, port, followers, (there.pem,), True),), ())
    peer = Peer(
        site="fiction/one", thumbprint="", certificate_pem=here.pem, sealing_key="", address=here.address
    )
    try:
        yield Source(
            Stream(name=name, peer=peer, port=port),
            str(there.certificate_file),
            str(there.key_file),
            str(here.certificate_file),
            credential.fields,
        )
    finally:
        await router.stop()
