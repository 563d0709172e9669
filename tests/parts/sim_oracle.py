"""What must always hold. It reads the parts' stores, the clients' logs and what went over the wire."""

import json
from collections.abc import Iterable, Mapping

from agent_world import payload_of
from sim_clients import Log
from sim_sites import SimSite

from hanse.drivers.fake.machine import History

FILES = "shop/files/0/live"


class BrokenError(AssertionError):
    """An invariant does not hold."""


class Oracle:
    """Looks after every turn of the loop, and once more at the end."""

    def __init__(self, sites: Mapping[str, SimSite], history: History) -> None:
        self._sites = sites
        self._history = history
        self._seen_writes = 0
        self._holder = ""
        self.changes = 0
        """How often the site that acknowledges writes was another one than before."""
        self._parts = [site.machine.parts for site in sites.values()]

    def look(self) -> None:
        """At most one store takes writes, whatever anybody remembers."""
        takers = 0
        for parts in self._parts:
            part = parts.get(FILES)
            if part is not None and part.takes_writes:
                takers += 1
        if takers > 1:
            stores = {name: site.machine.parts.get(FILES) for name, site in self._sites.items()}
            named = [name for name, part in stores.items() if part is not None and part.takes_writes]
            raise BrokenError(f"{' and '.join(named)} take writes at the same time")
        if len(self._history.writes) == self._seen_writes:
            return
        for write in self._history.writes[self._seen_writes :]:
            if write.site != self._holder:
                self._holder, self.changes = write.site, self.changes + 1
        self._seen_writes = len(self._history.writes)

    def every_acknowledged_write_is_there(self, logs: Iterable[Log], primary: str) -> None:
        """In the store of the site that is primary at the end."""
        part = self._sites[primary].machine.parts.get(FILES)
        if part is None:
            raise BrokenError(f"{primary} has no store")
        for log in logs:
            for name, least in log.acknowledged.items():
                found = int(part.data.get(name, b"-1"))
                if not least <= found <= log.tried[name]:
                    raise BrokenError(f"{name} is {found} at {primary}; {least} was acknowledged")

    def tenures_are_no_more_than(self, epochs: int) -> None:
        """Acknowledgements never go back to an earlier holder within one hand-over."""
        if self.changes > epochs:
            raise BrokenError(f"writes changed their place {self.changes} times in {epochs} epochs")

    def nothing_is_used_twice(self) -> None:
        """No epoch has two primaries, no epoch is relinquished to two sites or by two tickets."""
        primaries: dict[tuple[str, int], str] = {}
        papers: dict[tuple[str, int], tuple[str, str]] = {}
        sequences: dict[tuple[str, int], str] = {}
        generations: dict[tuple[str, str, tuple[int, int]], str] = {}
        for name, site in self._sites.items():
            for document in site.ordered:
                order = json.loads(payload_of(document))
                number = (order["generation"]["era"], order["generation"]["number"])
                once(generations, (name, order["subject"], number), document, "generation")
            for document in site.said:
                seen = json.loads(payload_of(document))
                once(sequences, (name, seen["sequence"]), document, "observation number")
                state = seen["state"]
                if state["observed"] == "replica" and state["role"] == "primary" and state["ready"]:
                    once(primaries, (seen["subject"], state["epoch"]), name, "epoch")
                if state.get("relinquishment"):
                    paper = json.loads(payload_of(state["relinquishment"]))
                    key = f"{paper['key']['component']}", paper["from_epoch"]
                    once(papers, key, (paper["ticket"], paper["target"]), "relinquished epoch")


def once(known: dict, key: object, value: object, what: str) -> None:
    """The same key never stands for two values."""
    if known.setdefault(key, value) != value:
        raise BrokenError(f"{what} {key} stands for {known[key]} and for {value}")


def wiped(sites: Iterable[SimSite], *, retained: bool) -> None:
    """After everything was retired: nothing is left but retained data."""
    for site in sites:
        left = [f"{name} ({part.role})" for name, part in site.machine.parts.items()]
        allowed = [f"{FILES} (retained)"] if retained else []
        if any(one not in allowed for one in left):
            raise BrokenError(f"{site.name} still has {left}")
        if site.proxy.routes:
            raise BrokenError(f"{site.name} still routes {list(site.proxy.routes)}")
        if site.bouncers.pools:
            raise BrokenError(f"{site.name} still pools {list(site.bouncers.pools)}")
