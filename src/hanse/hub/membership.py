"""Who is joined, and that joined sites know each other: the reach order of every site."""

from collections.abc import Sequence

from hanse.hub.context import Change, Joined
from hanse.hub.records import ObservedRecord, SiteRecord, Stored, load, load_all
from hanse.model.replica.observation import ReachState
from hanse.model.replica.order import ReachOrder
from hanse.model.replica.spec import Peer
from hanse.ports import Permanent, Transaction

REACH_PEERS_MAX = 256
"""A site measures no more peers than this: the first ones by id."""


def joined_sites(tx: Transaction) -> Sequence[Stored[SiteRecord]]:
    """Every joined site, by id."""
    return load_all(tx, "site", SiteRecord, state="joined")


def require_site(tx: Transaction, site: str) -> Stored[SiteRecord]:
    """The joined site. Raises Permanent(`site-unknown`)."""
    stored = load(tx, "site", site, SiteRecord)
    if stored is None or stored.state != "joined":
        raise Permanent(
            "site-unknown", f"No site {site} has joined this hub. See the joined ones with `hanse sites`."
        )
    return stored


def peers_of(tx: Transaction) -> dict[str, Peer]:
    """Every joined site as others may reach it."""
    return {stored.key: stored.value.peer() for stored in joined_sites(tx)}


def spread_membership(change: Change) -> None:
    """Give every joined site the reach order that names all others. Issues only what changed."""
    peers = peers_of(change.tx)
    for site in peers:
        others = tuple(peer for other, peer in peers.items() if other != site)[:REACH_PEERS_MAX]
        change.order(site, ReachOrder(peers=others))


def joined_market(tx: Transaction) -> Joined:
    """What joined sites state and measured."""
    sites = joined_sites(tx)
    rtt: dict[str, float] = {}
    reach: dict[str, bool] = {}
    names = {stored.key for stored in sites}
    for stored in load_all(tx, "observed", ObservedRecord, prefix="reach "):
        observation = stored.value.observation
        if not isinstance(observation.state, ReachState) or observation.site not in names:
            continue
        for other, measured in observation.state.rtt_ms.items():
            rtt[f"{observation.site}>{other}"] = measured
            reach[f"{observation.site}>{other}"] = True
        for other in observation.state.unreachable:
            reach[f"{observation.site}>{other}"] = False
    statements = tuple(stored.value.statement for stored in sites if stored.value.statement is not None)
    return Joined(statements=statements, rtt_ms=rtt, reach=reach)
