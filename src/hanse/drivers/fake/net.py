"""The fakes' data network: who listens where, who may reach whom, what is asked and answered."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from hanse.ports import Clock

Address = tuple[str, int]


class Refused(Exception):  # noqa: N818 - a client's word for it: connection refused
    """Nobody listens there, the gate is closed, or the way is cut. The request was not read."""


class Lost(Exception):  # noqa: N818
    """The connection broke after the request was sent: it may have been done or not."""


class Denied(Exception):  # noqa: N818
    """The request was read and refused: wrong certificate, wrong credential, or no writes here now."""


class Unknown(Denied):
    """The request was refused for its credential alone."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client or a follower asks."""

    verb: str
    """`put`, `get`, `list` or `ping`."""
    name: str = ""
    data: bytes = b""
    access_key: str = ""
    secret_key: str = field(default="", repr=False)
    certificate_pem: str = field(default="", repr=False)
    """Certificate that the client shows at the gate it comes through."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    data: bytes = b""
    objects: Mapping[str, bytes] = field(default_factory=dict)
    served_by: str = ""
    """Site of the replica that answered."""


class Listener(Protocol):
    """Whoever answers at an address. Raises Refused, Lost or Denied."""

    async def answer(self, request: Request) -> Reply:
        """One request, one reply."""
        ...


@dataclass(slots=True)
class Net:
    """One network for all sites of a world. Addresses that start with a site's own host are its own."""

    clock: Clock
    delay_seconds: Callable[[str, str], float] = lambda _origin, _to: 0.0
    """From host to host, one way."""
    reachable: Callable[[str, str], bool] = lambda _origin, _to: True
    _listeners: dict[Address, Listener] = field(default_factory=dict)

    def listen(self, address: Address, listener: Listener) -> None:
        """Answer at an address; replaces whoever did before."""
        self._listeners[address] = listener

    def leave(self, address: Address) -> None:
        """Answer there no more."""
        self._listeners.pop(address, None)

    def listens(self, address: Address) -> bool:
        """True if somebody answers there."""
        return address in self._listeners

    async def ask(self, origin: str, address: Address, request: Request) -> Reply:
        """Send a request from a host. Raises Refused, Lost or Denied."""
        delay = self.delay_seconds(origin, address[0])
        if delay:
            await self.clock.sleep(delay)
        listener = self._listeners.get(address)
        if listener is None or not self.reachable(origin, address[0]):
            raise Refused(f"nobody answers at {address[0]}:{address[1]}")
        reply = await listener.answer(request)
        if delay:
            await self.clock.sleep(delay)
        if not self.reachable(address[0], origin):
            raise Lost(f"the answer of {address[0]}:{address[1]} was lost")
        return reply
