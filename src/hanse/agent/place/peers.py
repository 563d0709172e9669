"""The other sites that this one talks to: known from signed orders only, pinned by their keys."""

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel

from hanse.model.replica.spec import Peer
from hanse.ports import Journal

_TABLE = "peer"


class Peers:
    """Every peer that an order of the hub named. Only these may open the channel."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._known = {key: Peer.model_validate(value) for key, value in journal.items(_TABLE)}
        self.on_change: Callable[[], None] = lambda: None

    def learn(self, order: BaseModel) -> None:
        """Remember every peer that stands anywhere in an order; a site's newer key replaces its older."""
        named = {peer.thumbprint: peer for peer in _peers_in(order)}
        fresh = [peer for peer in named.values() if self._known.get(peer.thumbprint) != peer]
        for peer in fresh:
            for thumbprint, other in list(self._known.items()):
                if other.site == peer.site and thumbprint != peer.thumbprint:
                    del self._known[thumbprint]
                    self._journal.delete(_TABLE, thumbprint)
            self._known[peer.thumbprint] = peer
            self._journal.put(_TABLE, peer.thumbprint, peer.model_dump(mode="json"))
        if fresh:
            self.on_change()

    def by_thumbprint(self, thumbprint: str) -> Peer | None:
        """The peer with this key, or None for a stranger."""
        return self._known.get(thumbprint)

    def all(self) -> tuple[Peer, ...]:
        """Every known peer, by thumbprint."""
        return tuple(self._known[key] for key in sorted(self._known))


def _peers_in(value: Any) -> Iterator[Peer]:
    match value:
        case Peer():
            yield value
        case BaseModel():
            for name in type(value).model_fields:
                yield from _peers_in(getattr(value, name))
        case tuple() | list():
            for item in value:
                yield from _peers_in(item)
