"""The real hub on a store in memory: killed between and within its transactions, and back again."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

from agent_world import FakeSigner, payload_of, site_file
from sim_loop import START, SeededRandom, SimClock, chance

from hanse.agent.place.file import statement_of
from hanse.hub.commands.applications import apply_plan
from hanse.hub.commands.observations import ingest
from hanse.hub.context import Hub
from hanse.hub.engine import run_until_quiet
from hanse.hub.membership import spread_membership
from hanse.hub.records import (
    ApplicationRecord,
    ImageRecord,
    MoveRecord,
    PlanRecord,
    SiteRecord,
    load,
    load_operation,
    save,
)
from hanse.hub.settlement import begin_retirement, operations_under_way, require_application
from hanse.hub.spec import key_of
from hanse.model.application.file import (
    Application,
    BucketComponent,
    ContainerComponent,
    ContainerSize,
    DatabaseSize,
    Expose,
    PostgresComponent,
    StorageSize,
    Use,
)
from hanse.model.application.requirement import Mandate
from hanse.model.market.plan import Placement, Plan
from hanse.model.replica.instruction import Instruction
from hanse.model.replica.observation import RouteState
from hanse.model.replica.operation import Operation
from hanse.store.memory import MemoryStore

APP = "shop"
IMAGE = "sha256:" + "1" * 64
MANDATE = "sha256:" + "0" * 64


class HubKilled(BaseException):
    """The hub's process is gone."""


class MortalStore:
    """The store outlives the hub; a transaction may be the hub's last, committed or not."""

    def __init__(self, random: Random) -> None:
        self.store = MemoryStore(now=SimClock().now)
        self.kill_percent = 0.0
        self._random = random

    @contextmanager
    def transaction(self, *, read_only: bool = False) -> Iterator[Any]:
        with self.store.transaction(read_only=read_only) as tx:
            yield tx
            if not read_only and chance(self._random, self.kill_percent / 2):
                raise HubKilled
        if not read_only and chance(self._random, self.kill_percent / 2):
            raise HubKilled


class SimHub:
    """Runs the engine whenever something is new, and every second."""

    def __init__(self, random: Random, sites: Sequence[str]) -> None:
        self.random = random
        self.sites = sites
        self.store = MortalStore(random)
        self.is_up = True
        self.news = {site: asyncio.Event() for site in sites}
        self._bell = asyncio.Event()
        self.hub = Hub(
            store=self.store,
            clock=SimClock(),
            random=SeededRandom("hub"),
            signer=FakeSigner("hub-key"),
            authority=None,  # type: ignore[arg-type] - nobody enrols here
            market=None,  # type: ignore[arg-type] - nobody plans here
            images=Path("nowhere"),
            certificate_pem="hub-key",
            wake=self._wake,
        )

    # -- its life ---------------------------------------------------------------------------------

    async def run(self) -> None:
        while True:
            try:
                run_until_quiet(self.hub)
            except HubKilled:
                await self.die()
            self._bell.clear()
            try:
                await asyncio.wait_for(self._bell.wait(), 1.0)
            except TimeoutError:
                continue

    async def die(self) -> None:
        self.is_up = False
        await asyncio.sleep(self.random.uniform(0.5, 8.0))
        self.is_up = True

    def _wake(self, sites: Sequence[str]) -> None:
        self._bell.set()
        for site in sites:
            self.news[site].set()

    # -- its sites --------------------------------------------------------------------------------

    def instructions(self, site: str, since: int) -> list[tuple[int, str]]:
        with self.hub.look() as tx:
            return list(tx.instructions(site, since))

    def ingest(self, site: str, documents: Sequence[str]) -> None:
        try:
            result = ingest(self.hub, site, documents)
        finally:
            self._bell.set()
        assert not result.refused, result.refused

    # -- its people -------------------------------------------------------------------------------

    def join_all(self) -> None:
        with self.hub.change() as change:
            for site in self.sites:
                statement = statement_of(site_file(site), {}, "2030-01-01")
                record = SiteRecord(
                    site=site,
                    thumbprint=f"key-of-{site}",
                    certificate_pem=f"key-of-{site}",
                    sealing_key=f"seal-of-{site}",
                    joined_at=change.now,
                    statement=statement,
                )
                save(change.tx, "site", site, record, state="joined", expect=0)
                change.note("site-enrolled", f"site/{site}/")
            spread_membership(change)

    @contextmanager
    def _spared(self) -> Iterator[None]:
        """A person's command is not a step: the hub does not die of it."""
        percent, self.store.kill_percent = self.store.kill_percent, 0.0
        yield
        self.store.kill_percent = percent

    def apply(self, store: str, files: str, web: str, endpoint: str) -> None:
        wanted = application(store)
        plan = Plan(
            mandate=MANDATE,
            catalogue_version="1",
            market="bookable",
            placements=(
                placement("files", wanted.components["files"].kind, files),
                placement("web", "container", web),
                placement("web-endpoint", "endpoint", endpoint),
            ),
            price_micro_eur_per_month=0,
            offers_seen=6,
            rejections=(),
        )
        with self.hub.change() as change:
            image = ImageRecord(digest=IMAGE, size_bytes=1, stored_at=START)
            save(change.tx, "image", IMAGE, image, expect=0)
            record = PlanRecord(
                id="plan-1",
                file="",
                application=wanted,
                mandate=Mandate(application=APP, demands=()),
                plan=plan,
                made_at=change.now,
            )
            save(change.tx, "plan", "plan-1", record, state=APP, expect=0)
            change.note("plan-made", f"application/{APP}/plan/plan-1")
        apply_plan(self.hub, APP, "plan-1")
        self._bell.set()

    def move(self, component: str, target: str, **fields: Any) -> str:
        with self._spared(), self.hub.change() as change:
            stored = require_application(change.tx, APP)
            name = f"op-{change.tx.next_number('operation')}"
            kind = stored.value.application.components[component].kind
            operation = Operation(
                operation=name,
                kind="move",
                key=key_of(APP, component),
                component_kind=kind,
                mandate=MANDATE,
                source=stored.value.components[component].primary,
                target=target,
                started_at=change.now,
                **fields,
            )
            save(change.tx, "operation", name, operation, state="open", expect=0)
            record = MoveRecord(
                operation=name,
                order="",
                placement=placement(component, kind, target),
                hold="",
                hold_is_new=False,
            )
            save(change.tx, "move", name, record, expect=0)
            change.note("move-asked", f"application/{APP}/operation/{name}")
        self._bell.set()
        return name

    def retire(self, *, erase_now: bool) -> None:
        with self._spared(), self.hub.change() as change:
            stored = require_application(change.tx, APP)
            value = stored.value
            save(change.tx, "application", APP, value, state="retiring", expect=stored.version)
            stored = require_application(change.tx, APP)
            begin_retirement(change, stored, erase_now=erase_now)
            change.note("retirement-asked", f"application/{APP}/")
        self._bell.set()

    def abort(self, name: str) -> None:
        with self._spared(), self.hub.change() as change:
            stored = load_operation(change.tx, name)
            assert stored is not None
            if stored.state in ("open", "stuck"):
                value = stored.value.model_copy(update={"abort_wanted": True})
                save(change.tx, "operation", name, value, state=stored.state, expect=stored.version)
            change.note("operation-abort-asked", f"application/{APP}/operation/{name}")
        self._bell.set()

    # -- what is known ----------------------------------------------------------------------------

    def application(self) -> tuple[str, ApplicationRecord]:
        with self.hub.look() as tx:
            stored = load(tx, "application", APP, ApplicationRecord)
        assert stored is not None
        return stored.state, stored.value

    def under_way(self) -> list[Operation]:
        with self.hub.look() as tx:
            return [stored.value for stored in operations_under_way(tx, APP)]

    def operation(self, name: str) -> Operation:
        with self.hub.look() as tx:
            stored = load_operation(tx, name)
        assert stored is not None
        return stored.value

    def route(self) -> RouteState | None:
        with self.hub.look() as tx:
            for record in tx.select("observed", prefix=f"route/{APP}/web "):
                state = record.body["observation"]["state"]
                if state["observed"] == "route" and state["port"]:
                    return RouteState.model_validate(state)
        return None


def instruction_of(document: str) -> Instruction:
    """What the hub signed."""
    return Instruction.model_validate_json(payload_of(document))


def application(store: str) -> Application:
    """web, exposed, uses files: a `bucket`, or a database for `transaction-safe` or `session` clients."""
    files: Any = BucketComponent(kind="bucket", size=StorageSize(storage_gib=1))
    use = Use(component="files")
    if store != "bucket":
        size = DatabaseSize(vcpu=1, memory_gib=1, storage_gib=1)
        files = PostgresComponent(kind="postgres", size=size)
        use = Use.model_validate({"component": "files", "clients": store})
    web = ContainerComponent(
        kind="container",
        image=IMAGE,
        size=ContainerSize(vcpu=1, memory_gib=1),
        uses=(use,),
        expose=Expose(port=8080),
    )
    return Application(hanse=1, name=APP, components={"files": files, "web": web})


def placement(component: str, kind: str, site: str) -> Placement:
    """Bought for nothing: no holds."""
    return Placement.model_validate(
        {"component": component, "kind": kind, "site": site, "offer": "", "bookable": True, "price": ()}
    )


def seconds_from_start(moment: Any) -> float:
    """For messages."""
    return float((moment - START) / timedelta(seconds=1))
