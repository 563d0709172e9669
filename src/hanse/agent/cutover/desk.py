"""Where tickets come in, from the hub and from peers, and where peers' questions are answered."""

import asyncio
from typing import Any

from hanse.agent.cutover.papers import CutOver, Page, Papers, Part
from hanse.agent.cutover.route import RouteRun
from hanse.agent.cutover.run import Office, Run
from hanse.agent.cutover.source import SourceRun
from hanse.agent.cutover.target import TargetRun
from hanse.agent.waiting import first_of
from hanse.model.replica.instruction import Instruction
from hanse.model.replica.observation import Failure
from hanse.model.replica.order import Ticket, TicketOrder
from hanse.model.replica.spec import Peer
from hanse.ports import Permanent
from hanse.replicas.cutover import (
    RouteSwitch,
    SourceCutOver,
    TargetCutOver,
    admit_route,
    admit_source,
    admit_target,
    check_relinquishment,
    report,
)
from hanse.replicas.cutover.actions import HOLD_STAGES
from hanse.replicas.cutover.events import (
    AbortAsked,
    AbortTold,
    CatchUpAsked,
    PrepareAsked,
    ReleaseAsked,
    Relinquished,
    Restarted,
)
from hanse.replicas.level import Refused

Reply = dict[str, Any]


class Desk:
    """Every cut-over that this site has a part in."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._papers: Papers = office.papers
        self._me = office.rooms.parts.identity.me.site
        self._runs: dict[tuple[Part, str], Run] = {}
        self._questions = {
            "prepare": self._prepare,
            "catch_up": self._catch_up,
            "hand_over": self._hand_over,
            "abort": self._abort,
            "ticket": self._ticket,
            "serving": self._serving,
            "hold": self._from_source,
            "release": self._from_source,
            "switch": self._switch,
        }
        self._here = {"hold": self._hold_here, "release": self._release_here, "switch": self._switch_here}

    # -- the hub ----------------------------------------------------------------------------------

    async def hold(self, instruction: Instruction) -> float | None:
        """A ticket order: begin this site's parts, abort them, or take a relayed relinquishment."""
        order = instruction.order
        if not isinstance(order, TicketOrder):
            raise TypeError(f"{instruction.subject} is no ticket")
        ticket = order.ticket
        document = self._office.inbox.document(instruction.subject)
        for part in self._parts_of(ticket):
            known = self._run(part, ticket.ticket)
            run = known or self._admit(part, ticket, document, begin=order.wanted == "cut-over")
            if order.wanted == "abort":
                run.feed(AbortAsked())
            if order.relinquishment:
                self._relayed(run, order.relinquishment)
            run.say()
        return None

    def resume(self) -> None:
        """After a restart, once the roles are recovered: every open part goes on from the journal."""
        for page in list(self._papers.all()):
            if page.state.phase == "aborted" or (page.state.phase == "done" and page.told):
                continue
            run = self._add(page)
            match run:
                case TargetRun() if page.state.phase == "done":
                    run.tell_routes()
                case SourceRun():
                    run.feed(Restarted(relinquished=run.relinquished()))
                case TargetRun():
                    run.start_deadline()
                    run.feed(Restarted(serving=run.is_serving()))
                case _:
                    run.feed(Restarted())

    async def stop(self) -> None:
        """The agent ends: leave everything as it is."""
        await asyncio.gather(*(run.stop() for run in self._runs.values()))

    # -- the peers --------------------------------------------------------------------------------

    async def answer(self, peer: Peer, message: dict[str, Any]) -> Reply:
        """The reply to a peer's question. Raises Permanent for what is wrong with it."""
        question = self._questions.get(str(message.get("ask")))
        if question is None:
            raise Permanent(
                "question-unknown", f"This site does not know the question {message.get('ask')!r}."
            )
        return await question(peer, message)

    async def _prepare(self, peer: Peer, message: dict[str, Any]) -> Reply:
        run = self._target_by_document(peer, message)
        run.hand([dict(entry) for entry in message.get("grants", [])])
        return await self._decided(run, "prepare", PrepareAsked())

    async def _catch_up(self, peer: Peer, message: dict[str, Any]) -> Reply:
        run = self._target_by_name(peer, message)
        run.dark_since(message.get("dark_ms"))
        return await self._decided(run, "catch_up", CatchUpAsked(str(message["position"])))

    async def _hand_over(self, peer: Peer, message: dict[str, Any]) -> Reply:
        run = self._target_by_document(peer, message)
        run.dark_since(message.get("dark_ms"))
        if run.is_serving():
            return {"ok": True, "serving": True}
        future = run.expect("hand_over")
        refused = run.take_relinquishment(str(message["relinquishment"]))
        if refused is not None:
            return _no(refused)
        return await self._within(run, future)

    async def _abort(self, peer: Peer, message: dict[str, Any]) -> Reply:
        run = self._target_by_name(peer, message)
        run.feed(AbortTold(str(message.get("reason", "the source called it off"))))
        return {"ok": True}

    async def _ticket(self, peer: Peer, message: dict[str, Any]) -> Reply:
        run = self._source(peer, message)
        state = report(run.page.state, relinquishment=run.page.relinquishment)
        return {
            "ok": True,
            "phase": state.phase,
            "outcome": state.outcome,
            "reason": state.reason,
            "relinquishment": state.relinquishment,
        }

    async def _serving(self, peer: Peer, message: dict[str, Any]) -> Reply:
        self._source(peer, message).serving(message.get("dark_ms"))
        return {"ok": True}

    async def _switch(self, peer: Peer, message: dict[str, Any]) -> Reply:
        ticket = self._papers.ticket_of(str(message["ticket"]))
        _require(peer, ticket.target)
        return await self._switch_here(message)

    async def _from_source(self, peer: Peer, message: dict[str, Any]) -> Reply:
        """Only the source of a ticket that the hub signed may hold anything, and let it go."""
        ticket = self._papers.ticket_of(str(message["ticket"]))
        _require(peer, ticket.source)
        return await self._ask_here(message)

    async def _ask_here(self, message: dict[str, Any]) -> Reply:
        """A question to the routes of this site, whoever asks it by right."""
        return await self._here[str(message["ask"])](message)

    async def _hold_here(self, message: dict[str, Any]) -> Reply:
        stage = message["stage"]
        if stage not in HOLD_STAGES:
            raise Permanent("question-malformed", f"There is no stage {str(stage)[:80]!r} to hold.")
        run = self._route(message)
        run.hold(stage)
        await run.settled()
        if run.holds(stage):
            return {"ok": True}
        return {"ok": False, "code": "ticket-over", "reason": run.page.state.reason or "it is over here"}

    async def _release_here(self, message: dict[str, Any]) -> Reply:
        run = self._route(message)
        run.feed(ReleaseAsked())
        await run.settled()
        return {"ok": True}

    async def _switch_here(self, message: dict[str, Any]) -> Reply:
        run = self._route(message)
        document, stage = str(message["relinquishment"]), message.get("stage")
        refused = self._shown(run, document, message.get("credentials", {}))
        if refused is not None:
            return _no(refused)
        if stage != "connectors":
            run.feed(ReleaseAsked())
        await run.settled()
        return {"ok": True}

    # -- inside -----------------------------------------------------------------------------------

    def _parts_of(self, ticket: Ticket) -> tuple[Part, ...]:
        parts: list[Part] = []
        if ticket.source.site == self._me:
            parts.append("source")
        if ticket.target.site == self._me:
            parts.append("target")
        if any(route.site == self._me for route in ticket.routes):
            parts.append("route")
        if not parts:
            raise Permanent("party-wrong", f"Ticket {ticket.ticket} has no part for {self._me}.")
        return tuple(parts)

    def _admit(self, part: Part, ticket: Ticket, document: str, *, begin: bool) -> Run:
        """A new part, written as used before anything is done; refused ones are kept as aborted."""
        self._office.peers.learn(ticket)
        admitted = self._judge(part, ticket)
        if isinstance(admitted, Refused):
            run = self._add(Page(part, _called_off(part, ticket, admitted.message), document))
            run.keep()
            run.say(Failure(code=admitted.code, message=admitted.message, temporary=False))
            return run
        if not begin:
            run = self._add(Page(part, _called_off(part, ticket, "abort was asked for first"), document))
            run.keep()
            return run
        run = self._add(Page(part, admitted, document, told=part != "target"))
        run.keep()
        if isinstance(run, SourceRun):
            run.begin()
        elif isinstance(run, TargetRun):
            run.start_deadline()
        return run

    def _judge(self, part: Part, ticket: Ticket) -> CutOver | Refused:
        standing = self._office.rooms.memory.standing(ticket.key, self._papers.used(part))
        match part:
            case "source":
                return admit_source(ticket, standing, self._me)
            case "target":
                return admit_target(ticket, standing, self._me)
            case "route":
                return admit_route(ticket, self._me, standing.used_tickets, self._route_epoch(ticket))

    def _route_epoch(self, ticket: Ticket) -> int:
        network = self._office.rooms.network
        names = network.routes_to(ticket.key.application, ticket.key.component)
        active = [network.active(name) for name in names]
        return min((one.epoch for one in active if one is not None), default=0)

    def _relayed(self, run: Run, document: str) -> Refused | None:
        if isinstance(run, TargetRun):
            return None if run.is_serving() else run.take_relinquishment(document)
        if isinstance(run, SourceRun):
            return None
        refused = self._shown(run, document, {})
        if refused is None:
            run.feed(ReleaseAsked())
        return refused

    def _shown(self, run: Run, document: str, credentials: dict[str, str]) -> Refused | None:
        """A relinquishment is shown to a route, with what its consumers need from now on."""
        ticket = run.ticket
        paper = self._papers.relinquishment_of(document, ticket)
        standing = self._office.rooms.memory.standing(ticket.key)
        refused = check_relinquishment(ticket, paper, standing)
        if refused is None:
            if isinstance(run, RouteRun):
                run.take_credentials(credentials)
            run.feed(Relinquished(paper.position))
        return refused

    def _add(self, page: Page) -> Run:
        run: Run
        match page.part:
            case "source":
                run = SourceRun(self._office, page, self._ask_here)
            case "target":
                run = TargetRun(self._office, page, self._ask_here)
            case "route":
                run = RouteRun(self._office, page)
        self._runs[page.part, page.state.ticket.ticket] = run
        return run

    def _run(self, part: Part, ticket: str) -> Run | None:
        known = self._runs.get((part, ticket))
        if known is not None:
            return known
        page = self._papers.read(part, ticket)
        return None if page is None else self._add(page)

    def _target_by_document(self, peer: Peer, message: dict[str, Any]) -> TargetRun:
        document = str(message["ticket"])
        ticket = self._papers.ticket_of(document)
        _require(peer, ticket.source)
        if ticket.target.site != self._me:
            raise Permanent("party-wrong", f"Ticket {ticket.ticket} is not for {self._me}.")
        run = self._run("target", ticket.ticket) or self._admit("target", ticket, document, begin=True)
        if not isinstance(run, TargetRun):
            raise Permanent("party-wrong", f"Ticket {ticket.ticket} is not for {self._me}.")
        return run

    def _route(self, message: dict[str, Any]) -> RouteRun:
        document = str(message["ticket"])
        ticket = self._papers.ticket_of(document)
        begin = message["ask"] != "release"
        run = self._run("route", ticket.ticket) or self._admit("route", ticket, document, begin=begin)
        if not isinstance(run, RouteRun):
            raise Permanent("party-wrong", f"Ticket {ticket.ticket} has no routes at {self._me}.")
        return run

    def _target_by_name(self, peer: Peer, message: dict[str, Any]) -> TargetRun:
        run = self._run("target", str(message["ticket"]))
        if not isinstance(run, TargetRun):
            raise Permanent("ticket-unknown", f"{self._me} has no ticket {message['ticket']} as target.")
        _require(peer, run.ticket.source)
        return run

    def _source(self, peer: Peer, message: dict[str, Any]) -> SourceRun:
        run = self._run("source", str(message["ticket"]))
        if not isinstance(run, SourceRun):
            raise Permanent("ticket-unknown", f"{self._me} has no ticket {message['ticket']} as source.")
        _require(peer, run.ticket.target)
        return run

    async def _decided(self, run: TargetRun, request: str, event: Any) -> Reply:
        future = run.expect(request)
        run.feed(event)
        return await self._within(run, future)

    async def _within(self, run: Run, future: "asyncio.Future[Reply]") -> Reply:
        clock = self._office.rooms.parts.clock
        if await first_of(clock, asyncio.shield(future), run.ticket.deadline_seconds):
            return future.result()
        return {"ok": False, "code": "too-slow", "reason": f"{self._me} was not done in time"}


def _called_off(part: Part, ticket: Ticket, reason: str) -> CutOver:
    match part:
        case "source":
            return SourceCutOver(ticket, "aborted", reason=reason)
        case "target":
            return TargetCutOver(ticket, "aborted", reason=reason)
        case "route":
            return RouteSwitch(ticket, "aborted", reason=reason)


def _require(peer: Peer, wanted: Peer) -> None:
    if peer.thumbprint != wanted.thumbprint:
        raise Permanent("party-wrong", f"{peer.site} has no such part in this cut-over.")


def _no(refused: Refused) -> Reply:
    return {"ok": False, "code": refused.code, "reason": refused.message}
