"""What is said to the proxy while it runs, and what its answers mean."""

import re

from hanse.drivers.contract import LocalRoute
from hanse.drivers.endpoint.config import frontend_of, server_of
from hanse.drivers.endpoint.waiting import ONWARD

COUNT_RUNNING = "show stat -1 4 -1"
LIST_SESSIONS = "show sess"
_SESSION = re.compile(r"^(0x[0-9a-f]+): .*? fe=(\S+) ", re.MULTILINE)


def route_commands(route: LocalRoute) -> list[str]:
    """First the new one in, then the others out: there is no moment without any."""
    backend = frontend_of(route.name)
    servers = {server_of(one.name): one.name == route.active for one in route.upstreams}
    ready = [f"set server {backend}/{one} state ready" for one, used in servers.items() if used]
    return ready + [f"set server {backend}/{one} state maint" for one, used in servers.items() if not used]


def open_commands(stream: str) -> list[str]:
    """Accept connections again."""
    name = frontend_of(stream)
    return [f"set server {name}/service state ready", f"enable frontend {name}"]


def close_command(stream: str) -> str:
    """Refuse connections: the kernel does it, so that whoever comes tries again."""
    return f"disable frontend {frontend_of(stream)}"


def cut_commands(stream: str) -> list[str]:
    """End the connections that the newest worker has."""
    name = frontend_of(stream)
    return [f"set server {name}/service state maint", f"shutdown sessions server {name}/service"]


def cut_sessions(stream: str, listing: str) -> list[str]:
    """End the connections that an older worker has, one by one: it takes no word about its servers."""
    name = frontend_of(stream)
    return [f"shutdown session {one}" for one, frontend in _SESSION.findall(listing) if frontend == name]


def count_sessions(name: str) -> str:
    """Question for the connections of a stream or route; `counted` reads the answer."""
    return f"show stat {frontend_of(name)} 1 -1"


def counted(name: str, answer: str) -> int:
    """Connections or requests of a stream or route; those that were sent to wait do not count."""
    proxy = frontend_of(name)
    rows = [line.split(",") for line in answer.splitlines() if line.startswith(f"{proxy},")]
    return sum(int(row[4] or 0) for row in rows if row[1] != ONWARD)
