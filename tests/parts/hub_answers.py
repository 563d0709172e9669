"""What a site says that does at once what it is told. A cut-over is answered for both sides by the source."""

from collections.abc import Iterator
from typing import Any

from hanse.model.document.claim import Relinquishment
from hanse.model.replica.instruction import Instruction
from hanse.model.replica.observation import (
    CutOverState,
    HoldState,
    LogsState,
    ReachState,
    ReplicaState,
    RouteState,
)
from hanse.model.replica.order import (
    HoldOrder,
    LogsOrder,
    ReachOrder,
    ReplicaOrder,
    RouteOrder,
    Ticket,
    TicketOrder,
)
from hanse.model.replica.role import ReplicaRole
from hanse.model.replica.spec import Stream
from hanse.model.shape import canonical_bytes
from hanse.trust.sealing import seal_for

Said = tuple[str, Any, Instruction | None]


def obedient(site: Any, instruction: Instruction) -> list[Said]:
    """Observations for one instruction."""
    return list(_answers(site, instruction))


def _answers(site: Any, instruction: Instruction) -> Iterator[Said]:
    order, subject = instruction.order, instruction.subject
    match order:
        case HoldOrder():
            yield subject, HoldState(state=order.wanted), instruction
        case ReachOrder():
            yield subject, ReachState(rtt_ms={peer.site: 1.0 for peer in order.peers}), instruction
        case RouteOrder():
            yield subject, route_state(order), instruction
        case LogsOrder():
            words = f"a line of {order.key.component} at {site.name}"
            sealed = {each.reader: seal_for(words.encode(), each.sealing_key) for each in order.readers}
            yield subject, LogsState(sealed=sealed), instruction
        case ReplicaOrder():
            yield subject, replica_state(site, order), instruction
        case TicketOrder():
            yield from _cut_over(site, instruction, order)


def route_state(order: RouteOrder) -> RouteState:
    """The route as ordered."""
    upstream = order.upstream
    return RouteState(
        address="127.0.0.1",
        port=8000,
        epoch=upstream.epoch if upstream else 0,
        upstream_site=upstream.stream.peer.site if upstream else None,
        ready=True,
    )


def replica_state(site: Any, order: ReplicaOrder, relinquishment: str = "") -> ReplicaState:
    """The role as ordered, ready, with streams and a credential for each grant."""
    alive = order.role in (ReplicaRole.PRIMARY, ReplicaRole.STANDBY)
    peer = site.world.hub_peer(site.name)
    return ReplicaState(
        role=order.role,
        epoch=order.epoch,
        ready=True,
        clients=Stream(name=f"{order.key}:clients", peer=peer, port=7200) if alive else None,
        followers=Stream(name=f"{order.key}:followers", peer=peer, port=7201) if alive else None,
        sealed_credentials={grant.name: f"sealed for {grant.name}" for grant in order.grants},
        position="p1",
        relinquishment=relinquishment,
    )


def relinquishment(site: Any, ticket: Ticket) -> str:
    """What the source signs; by any other site it is a forgery."""
    paper = Relinquishment(
        ticket=ticket.ticket,
        key=ticket.key,
        from_epoch=ticket.from_epoch,
        to_epoch=ticket.from_epoch + 1,
        source=ticket.source.site,
        target=ticket.target.site,
        position="p1",
        at=site.world.watch.now(),
    )
    signed: str = site.signer.sign(canonical_bytes(paper), "hanse-relinquishment")
    return signed


def _cut_over(site: Any, instruction: Instruction, order: TicketOrder) -> Iterator[Said]:
    ticket = order.ticket
    part = {ticket.source.site: "source", ticket.target.site: "target"}.get(site.name, "route")
    paper = relinquishment(site, ticket) if part == "source" else ""
    state = CutOverState.model_validate(
        {"part": part, "phase": "done", "outcome": "done", "relinquishment": paper, "dark_ms": 120}
    )
    yield instruction.subject, state, instruction
    subject = f"replica/{ticket.key}"
    held = site.orders.get(subject)
    if held is None or not isinstance(held.order, ReplicaOrder):
        return
    if part == "target":
        serving = held.order.model_copy(update={"role": ReplicaRole.PRIMARY, "epoch": ticket.from_epoch + 1})
        yield subject, replica_state(site, serving), held
    if part == "source":
        fenced = held.order.model_copy(update={"role": ReplicaRole.FENCED, "epoch": ticket.from_epoch})
        yield subject, replica_state(site, fenced, paper), held
