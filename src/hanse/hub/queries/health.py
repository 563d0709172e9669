"""How the hub itself is: since when, who is connected, what is under way, how much room is left."""

import shutil
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path

from hanse.hub.context import Hub
from hanse.hub.membership import joined_sites
from hanse.hub.records import ApplicationRecord, ImageRecord, load_all
from hanse.model.replica.operation import Operation
from hanse.model.shape import Moment, Shape, SiteId
from hanse.ports import Transaction

CONNECTED_SECONDS = 60
"""A site asks for orders at least twice a minute."""


class ConnectedSite(Shape):
    """A joined site, and whether it is heard from."""

    site: SiteId
    connected: bool
    last_seen_at: Moment | None


class OpenOperation(Shape):
    """An operation that has not ended."""

    operation: str
    application: str
    component: str
    kind: str
    state: str
    """`ordering`, `open`, `stuck`."""
    reason: str


class Disk(Shape):
    """Room where the hub keeps its things, in bytes."""

    directory: str
    free_bytes: int
    total_bytes: int
    store_bytes: int
    """What the hub remembers, without images."""
    images_bytes: int


class HubStatus(Shape):
    """The hub as a whole."""

    version: str
    url: str
    thumbprint: str
    started_at: Moment | None
    applications: dict[str, int]
    """How many are in each state."""
    sites: tuple[ConnectedSite, ...]
    operations: tuple[OpenOperation, ...]
    disk: Disk


def hub_status(hub: Hub) -> HubStatus:
    """The document."""
    now = hub.clock.now()
    with hub.look() as tx:
        started = tx.entries("hub/", limit=1)
        applications = load_all(tx, "application", ApplicationRecord)
        images_bytes = sum(each.value.size_bytes for each in load_all(tx, "image", ImageRecord))
        sites = tuple(_site(hub, now, each.key, each.value.last_observed_at) for each in joined_sites(tx))
        operations = tuple(_open_operations(tx))
    states = [each.state for each in applications]
    return HubStatus(
        version=version("hanse"),
        url=hub.url,
        thumbprint=hub.signer.thumbprint,
        started_at=started[0]["at"] if started else None,
        applications={state: states.count(state) for state in sorted(set(states))},
        sites=sites,
        operations=operations,
        disk=_disk(hub.images.parent, images_bytes),
    )


def _site(hub: Hub, now: datetime, site: str, observed_at: datetime | None) -> ConnectedSite:
    seen = hub.seen.get(site)
    last = max((at for at in (seen, observed_at) if at is not None), default=None)
    connected = seen is not None and now - seen <= timedelta(seconds=CONNECTED_SECONDS)
    return ConnectedSite(site=site, connected=connected, last_seen_at=last)


def _open_operations(tx: Transaction) -> list[OpenOperation]:
    found = []
    for state in ("ordering", "open", "stuck"):
        for each in load_all(tx, "operation", Operation, state=state):
            value = each.value
            found.append(
                OpenOperation(
                    operation=value.operation,
                    application=value.key.application,
                    component=value.key.component,
                    kind=value.kind,
                    state=state,
                    reason=value.reason,
                )
            )
    return sorted(found, key=lambda each: each.operation)


def _disk(directory: Path, images_bytes: int) -> Disk:
    room = shutil.disk_usage(directory)
    return Disk(
        directory=str(directory),
        free_bytes=room.free,
        total_bytes=room.total,
        store_bytes=sum(file.stat().st_size for file in directory.glob("hub.sqlite*")),
        images_bytes=images_bytes,
    )
