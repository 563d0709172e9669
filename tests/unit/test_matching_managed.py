"""A database on a machine of its own, or managed by a provider: who may carry it, and what is said of it."""

from market_world import market, per_gib, site, vm

from hanse.matching.explanation import offer_reasons
from hanse.matching.planner import match
from hanse.matching.verify import verify
from hanse.model.application.reader import read_application
from hanse.model.market.plan import NoSolution, Plan
from hanse.rules.expand import expand

FILE = """hanse: 1
name: shop
components:
  db: {kind: postgres, size: {vcpu: 2, memory_gib: 4, storage_gib: 15}}
"""
SITES = [site("alba/mi"), site("brume/par")]
RUNS = {"alba/mi": ("container", "postgres"), "brume/par": ("postgres",)}
MACHINE = vm("alba/mi", "machine", 100, bookable=True)
MANAGED = vm("brume/par", "managed", 50, bookable=True).model_copy(update={"kind": "postgres"})
MANAGED_ID = "brume/par:postgres:managed"


def mandate():
    return expand(read_application(FILE, "shop.yaml").application, {}, {})


def plan(offers, kind="bookable", runs=None):
    return match(mandate(), market(SITES, offers, runs=RUNS if runs is None else runs), market=kind)


def test_a_managed_database_is_cheapest_on_the_whole_market_and_the_plan_says_what_it_is():
    (placed,) = plan([MACHINE, MANAGED], "all").placements
    assert (placed.kind, placed.offer) == ("postgres", MANAGED_ID)
    assert "managed by brume: no physical replica" in placed.notes[0]


def test_among_what_can_be_bought_it_is_rejected_with_the_reason():
    answer = plan([MACHINE, MANAGED])
    assert isinstance(answer, Plan)
    assert answer.placements[0].offer == MACHINE.id
    (rejected,) = answer.rejections
    assert (rejected.requirement, rejected.rejected, rejected.rejected_alone) == ("db.managed", 1, 1)
    assert "a managed offer has no physical replica" in rejected.says


def test_where_there_is_nothing_else_that_is_the_conflict():
    answer = plan([MANAGED])
    assert isinstance(answer, NoSolution)
    assert answer.conflicts[0].requirements == ("db.managed",)
    assert "managed" in answer.conflicts[0].says[0]


def test_an_offer_tells_why_it_cannot_carry_the_database():
    reasons = offer_reasons(
        mandate(), market(SITES, [MANAGED], runs=RUNS), "db", MANAGED_ID, market="bookable"
    )
    assert reasons.failing == ("db.managed",)


def test_a_machine_without_a_disk_gets_a_volume_and_a_managed_database_does_not():
    bare = MACHINE.model_copy(update={"disk_gib": 0.0})
    block = per_gib("alba/mi", "volume", "block", 2, bookable=True)
    cheap = per_gib("brume/par", "volume", "block", 1, bookable=True)
    (placed,) = plan([bare, block, MANAGED.model_copy(update={"disk_gib": 0.0}), cheap], "all").placements
    assert (placed.offer, placed.volume) == (bare.id, block.id)
    assert [line.micro_eur_per_month for line in placed.price] == [100, 30]


def test_a_site_that_does_not_run_databases_carries_none():
    answer = plan([MACHINE], runs={"alba/mi": ("container", "bucket")})
    assert isinstance(answer, NoSolution)
    assert "db.runs" in {name for each in answer.conflicts for name in each.requirements}


def test_the_verifier_lets_a_managed_database_pass_on_the_whole_market_only():
    catalogue = market(SITES, [MACHINE, MANAGED], runs=RUNS)
    answer = match(mandate(), catalogue, market="all")
    assert verify(answer, mandate(), catalogue) == ()
    bought = answer.model_copy(update={"market": "bookable"})
    assert any("no physical replica" in each.what for each in verify(bought, mandate(), catalogue))
