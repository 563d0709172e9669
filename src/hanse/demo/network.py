"""Three sites' networks on one machine: a namespace each, a bridge between, a policy at each door."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

DATA_PORTS = "7100:7299"
ENDPOINT_PORTS = "8000:8099"


class SceneryError(Exception):
    """The stage cannot be built on this machine; the message says what, why and what next."""


def run(*command: str) -> str:
    """Output of a command. Raises SceneryError with its own words."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except FileNotFoundError:
        raise SceneryError(f"{command[0]} is not installed: run `make setup`") from None
    if done.returncode:
        words = (done.stderr or done.stdout).strip()
        raise SceneryError(
            f"`{' '.join(command)}` failed: {words}. The demo needs root and network namespaces"
        )
    return done.stdout


@dataclass(frozen=True)
class Network:
    """Network number N of this machine: bridge 10.77.N.1, sites at 10.77.N.11, .12, .13."""

    number: int

    @property
    def hub_address(self) -> str:
        """Where the hub listens: the bridge's own address."""
        return f"10.77.{self.number}.1"

    @property
    def bridge(self) -> str:
        """Interface name of the bridge."""
        return f"hanse{self.number}"

    @property
    def taken(self) -> bool:
        """A demo in another root of this machine may use the same network."""
        return Path("/sys/class/net", self.bridge).exists()

    def address(self, index: int) -> str:
        """A site's address, index from 1."""
        return f"10.77.{self.number}.{10 + index}"

    def namespace(self, index: int) -> str:
        """A site's network namespace."""
        return f"hanse{self.number}s{index}"

    def cable(self, index: int) -> str:
        """Interface name of a site's cable at the bridge."""
        return f"hanse{self.number}v{index}"

    def has_namespace(self, index: int) -> bool:
        """The site's network stands."""
        return Path("/run/netns", self.namespace(index)).exists()

    def inside(self, index: int) -> tuple[str, ...]:
        """Command prefix that runs the rest at a site. Unlike `ip netns exec` it leaves /sys alone."""
        return ("nsenter", f"--net=/run/netns/{self.namespace(index)}", "--")

    def build(self, sites: int) -> None:
        """Bridge, namespaces, cables and policy."""
        run("ip", "link", "add", self.bridge, "type", "bridge")
        run("ip", "address", "add", f"{self.hub_address}/24", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")
        for index in range(1, sites + 1):
            self._build_site(index)

    def _build_site(self, index: int) -> None:
        namespace, outside = self.namespace(index), self.cable(index)
        run("ip", "netns", "add", namespace)
        run("ip", "link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        run("ip", "link", "set", outside, "master", self.bridge, "up")
        at_site = self.inside(index)
        run(*at_site, "ip", "address", "add", f"{self.address(index)}/24", "dev", "eth0")
        run(*at_site, "ip", "link", "set", "eth0", "up")
        run(*at_site, "ip", "link", "set", "lo", "up")
        self._policy(index)

    def _policy(self, index: int) -> None:
        """From outside only the data and endpoint ports; nothing is forwarded through a site."""
        accept = (*self.inside(index), "iptables", "-w", "-A", "INPUT", "-i", "eth0")
        run(*accept, "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT")
        for ports in (DATA_PORTS, ENDPOINT_PORTS):
            run(*accept, "-p", "tcp", "--dport", ports, "-j", "ACCEPT")
        run(*accept, "-j", "REJECT")
        run(*self.inside(index), "iptables", "-w", "-P", "FORWARD", "DROP")

    def cut(self, one: int, other: int) -> None:
        """Nothing passes between two sites any more, in either direction, without a word."""
        self._between("-I", one, other)

    def mend(self, one: int, other: int) -> None:
        """Take a cut back."""
        self._between("-D", one, other)

    def _between(self, verb: str, one: int, other: int) -> None:
        inside, far = self.inside(one), self.address(other)
        run(*inside, "iptables", "-w", verb, "INPUT", "-s", far, "-j", "DROP")
        run(*inside, "iptables", "-w", verb, "OUTPUT", "-d", far, "-j", "DROP")

    def remove(self, sites: int) -> None:
        """Take all of it away; what is not there is no error."""
        for index in range(1, sites + 1):
            if Path("/sys/class/net", self.cable(index)).exists():
                run("ip", "link", "delete", self.cable(index))  # else a process left inside would keep it
            if self.has_namespace(index):
                run("ip", "netns", "delete", self.namespace(index))
        if Path("/sys/class/net", self.bridge).exists():
            run("ip", "link", "delete", self.bridge)


def unmount_below(directory: Path) -> None:
    """Take away what is mounted in a directory, or from it elsewhere; the last mounted first."""
    inside = f"{directory}/"
    places = []
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        root, place = line.split()[3:5]
        if f"{place}/".startswith(inside) or f"{root}/".startswith(inside):
            places.append(place)
    for place in reversed(places):
        run("umount", "--lazy", place)
