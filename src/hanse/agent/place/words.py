"""What the site says of itself, and how it says that an order is not met."""

from hanse.agent.capacity import Capacity
from hanse.agent.parts import Parts
from hanse.agent.place.file import SiteFile, statement_of
from hanse.agent.post.outbox import Outbox
from hanse.agent.waiting import Bell
from hanse.model.market.offer import SiteStatement
from hanse.model.replica.instruction import Instruction
from hanse.model.replica.observation import (
    CutOverState,
    Declined,
    Failure,
    HoldState,
    ReachState,
    RouteState,
    StatementState,
)
from hanse.model.replica.order import HoldOrder, ReachOrder, RouteOrder, TicketOrder

SUBJECT = "statement"
_PROBE_SECONDS = 300.0


class Statement:
    """The site file, what is free of it, what the drivers can do: said at the start and on every change."""

    def __init__(self, parts: Parts, outbox: Outbox, capacity: Capacity) -> None:
        self._parts = parts
        self._outbox = outbox
        self._capacity = capacity
        self._bell = Bell(parts.clock)
        self._probed_at: float | None = None
        self._runs: tuple[str, ...] = ()
        self._not_enforced: tuple[str, ...] = ()

    def ring(self) -> None:
        """Something changed; say it soon."""
        self._bell.ring()

    async def wait(self, seconds: float) -> None:
        """Until `ring`, at most so long."""
        await self._bell.wait(seconds)

    async def say(self) -> None:
        """The statement as it is now. An unreadable site file keeps the last one standing, with words."""
        await self._probe()
        problem = self._parts.site_file_problem()
        failure = None
        if problem is not None:
            failure = Failure(code=problem.code, message=problem.message, temporary=False)
        statement = self._statement(self._parts.site_file())
        self._outbox.say(SUBJECT, StatementState(statement=statement), None, failure)

    def _statement(self, site_file: SiteFile) -> SiteStatement:
        as_of = self._parts.clock.now().date().isoformat()
        statement = statement_of(site_file, self._capacity.free(site_file), as_of)
        return statement.model_copy(update={"runs": self._runs, "not_enforced": self._not_enforced})

    async def _probe(self) -> None:
        now = self._parts.clock.monotonic()
        if self._probed_at is not None and now - self._probed_at < _PROBE_SECONDS:
            return
        self._probed_at = now
        found = [await driver.probe() for driver in self._parts.drivers.values()]
        found += [await self._parts.router.probe(), await self._parts.pooler.probe()]
        self._runs = tuple(one.kind for one in found if one.usable)
        self._not_enforced = tuple(words for one in found if one.usable for words in one.not_enforced)


def tell_failure(outbox: Outbox, instruction: Instruction, failure: Failure) -> None:
    """Say that an order, other than a replica's, is not met."""
    state: HoldState | RouteState | ReachState | CutOverState | Declined
    match instruction.order:
        case HoldOrder() if not failure.temporary:
            state = HoldState(state="declined", reason=failure.message)
        case RouteOrder():
            state = RouteState(address="", port=0, epoch=0, upstream_site=None, ready=False)
        case ReachOrder():
            state = ReachState(rtt_ms={}, unreachable={})
        case TicketOrder():
            state = Declined()
        case _:
            state = Declined()
    outbox.say(instruction.subject, state, instruction.generation, failure)
