"""What a site's proxy was last told to hold; on disk, so that a new agent goes on from there."""

from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from hanse.drivers.contract import GateStream, LocalRoute
from hanse.drivers.identity import write_file
from hanse.ports import Permanent

FILE = "held.json"


@dataclass(frozen=True, slots=True)
class Held:
    """Streams and routes. Nothing secret: certificates are public."""

    streams: tuple[GateStream, ...] = ()
    routes: tuple[LocalRoute, ...] = ()

    @classmethod
    def load(cls, directory: Path) -> "Held":
        """What `save` wrote; nothing at all if it never did."""
        data = read(directory / FILE)
        return _HELD.validate_json(data) if data else cls()

    def save(self, directory: Path) -> None:
        """Write as a whole, only if it differs."""
        replace_file(directory / FILE, _HELD.dump_json(self))

    def stream(self, name: str) -> GateStream:
        """Raises Permanent(`stream-unknown`)."""
        for one in self.streams:
            if one.name == name:
                return one
        raise Permanent("stream-unknown", f"This site's proxy has no stream {name[:200]}.")

    def with_stream(self, name: str, *, is_open: bool) -> "Held":
        """The same with one stream opened or closed. Raises Permanent(`stream-unknown`)."""
        changed = replace(self.stream(name), open=is_open)
        return replace(self, streams=tuple(changed if one.name == name else one for one in self.streams))

    def route(self, name: str) -> LocalRoute:
        """Raises Permanent(`route-unknown`)."""
        for one in self.routes:
            if one.name == name:
                return one
        raise Permanent("route-unknown", f"This site's proxy has no route {name[:200]}.")

    def with_active(self, name: str, upstream: str | None) -> tuple["Held", LocalRoute]:
        """The same with another upstream in use. Raises Permanent(`route-unknown`)."""
        found = self.route(name)
        changed = replace(found, active=upstream)
        routes = tuple(changed if one is found else one for one in self.routes)
        return replace(self, routes=routes), changed


_HELD = TypeAdapter(Held)


def read(path: Path) -> bytes | None:
    """A file's bytes, or None if there is none."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def replace_file(path: Path, data: bytes) -> None:
    """Write only what differs. All of it is held anew after a power cut."""
    if read(path) != data:
        write_file(path, data, durable=False)
