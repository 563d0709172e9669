"""A wrong plan is caught, whatever is wrong with it."""

import pytest
from market_world import FILE, asks, market, per_gib, site, versioned, vm

from hanse.matching.planner import match
from hanse.matching.verify import verify
from hanse.model.application.requirement import Demand, GroupRequirement, Mandate, Traffic
from hanse.model.market.plan import Placement, Plan


def group(name, kind, **more):
    given = {"components": ("web", "images"), "says": name, "origin": FILE, **more}
    return GroupRequirement(id=name, kind=kind, **given)


WEB = Demand(
    component="web",
    kind="container",
    offer_kinds=("vm",),
    storage_gib=10,
    requirements=(
        asks("web", "vcpu", "offer.vcpu", "ge", 2.0),
        asks("web", "c", "site.country", "in", ("IT", "FR")),
    ),
)
IMAGES = Demand(component="images", kind="bucket", offer_kinds=("bucket",), storage_gib=100, requirements=())
DOOR = Demand(component="web-endpoint", kind="endpoint", offer_kinds=(), requirements=())
MANDATE = Mandate(
    application="clinic",
    demands=(WEB, IMAGES, DOOR),
    group=(
        group("apart-1", "apart", level="country"),
        group("near", "latency-between", limit_ms=20.0),
        group("budget", "budget", components=(), limit_micro_eur_per_month=2_000),
    ),
    traffic=(Traffic(from_component="images", to_component="web", gib_per_month=10),),
)
SITES = [
    site("alba/mi", "IT", (45.5, 9.2)),
    site("brume/par", "FR", (48.9, 2.3)),
    site("clar/mad", "ES", (40.4, -3.7)),
    site("dora/osl", "NO", (59.9, 10.7)),
]
OFFERS = [
    vm("alba/mi", "flat", 300, disk_gib=0.0, free_units=1, bookable=True),
    per_gib("alba/mi", "volume", "block", 7, bookable=True),
    per_gib("brume/par", "bucket", "store", 4, egress_micro_eur_per_gib=5, bookable=True),
    vm("brume/par", "twin", 900, bookable=True),
    vm("brume/par", "small", 100, vcpu=1.0, bookable=True),
    vm("brume/par", "listed", 50),
    per_gib("dora/osl", "bucket", "north", 1, egress_micro_eur_per_gib=0, bookable=True),
    per_gib("alba/mi", "bucket", "near", 9, egress_micro_eur_per_gib=0, bookable=True),
]
RUNS = dict.fromkeys(("alba/mi", "brume/par", "clar/mad"), ("container", "bucket", "endpoint"))
CATALOGUE = market(SITES, OFFERS, runs=RUNS, endpoint_micro_eur_per_month={"clar/mad": 20})
PLAN = match(MANDATE, CATALOGUE, market="bookable")


def test_the_plan_itself_is_sound():
    assert isinstance(PLAN, Plan)
    assert [each.site for each in PLAN.placements] == ["alba/mi", "brume/par", "clar/mad"]
    assert PLAN.price_micro_eur_per_month == 300 + 70 + 400 + 50 + 20
    assert verify(PLAN, MANDATE, CATALOGUE) == ()


def changed(component, **facts) -> Plan:
    placements = tuple(
        each.model_copy(update=facts) if each.component == component else each for each in PLAN.placements
    )
    return PLAN.model_copy(update={"placements": placements})


def dearer(line):
    return line.model_copy(update={"micro_eur_per_month": line.micro_eur_per_month + 1})


def first(component) -> Placement:
    return next(each for each in PLAN.placements if each.component == component)


WRONG = {
    "another mandate": PLAN.model_copy(update={"mandate": "sha256:" + "0" * 64}),
    "another version": PLAN.model_copy(update={"catalogue_version": "older"}),
    "web is not placed": PLAN.model_copy(update={"placements": PLAN.placements[1:]}),
    "is placed 2 times": PLAN.model_copy(update={"placements": (*PLAN.placements, PLAN.placements[0])}),
    "nobody asked": PLAN.model_copy(
        update={"placements": (*PLAN.placements, first("web").model_copy(update={"component": "extra"}))}
    ),
    "unknown site": changed("web", site="alba/rm"),
    "placed as a postgres": changed("web", kind="postgres"),
    "unknown offer": changed("web", offer="alba/mi:vm:none"),
    "at another site": changed("web", site="brume/par"),
    "listed only": changed("web", site="brume/par", offer="brume/par:vm:listed", volume=""),
    "says wrongly whether": changed("web", bookable=False),
    "kind bucket": changed("web", offer="alba/mi:bucket:near"),
    "needs a volume": changed("web", volume=""),
    "does not need": changed(
        "web", site="brume/par", offer="brume/par:vm:twin", volume="brume/par:bucket:store"
    ),
    "as a volume": changed("web", volume="alba/mi:bucket:near"),
    "breaks web.vcpu": changed("web", site="brume/par", offer="brume/par:vm:small", volume=""),
    "breaks apart-1": changed("images", site="alba/mi", offer="alba/mi:bucket:near"),
    "breaks near": changed("images", site="dora/osl", offer="dora/osl:bucket:north"),
    "states prices": changed("web", price=tuple(dearer(line) for line in first("web").price)),
    "states a total": PLAN.model_copy(update={"price_micro_eur_per_month": 1}),
    "states 51 for traffic": PLAN.model_copy(
        update={"traffic": tuple(dearer(line) for line in PLAN.traffic)}
    ),
    "0 traffic lines": PLAN.model_copy(update={"traffic": ()}),
    "an endpoint buys no offer": changed("web-endpoint", offer="brume/par:vm:twin"),
    "at a joined site only": changed("web-endpoint", site="dora/osl"),
}


@pytest.mark.parametrize("says", WRONG)
def test_a_plan_made_wrong_is_caught(says):
    found = [f"{each.component} {each.what}" for each in verify(WRONG[says], MANDATE, CATALOGUE)]
    assert any(says in each for each in found), found


def test_an_offer_bought_oftener_than_it_has_units_is_caught():
    twice = MANDATE.model_copy(
        update={"demands": (WEB, WEB.model_copy(update={"component": "two"})), "group": ()}
    )
    both = (first("web"), first("web").model_copy(update={"component": "two"}))
    plan = PLAN.model_copy(update={"placements": both, "traffic": ()})
    found = verify(plan, twice.model_copy(update={"traffic": ()}), CATALOGUE)
    assert any("buys 2 units of alba/mi:vm:flat, 1 are free" in each.what for each in found)


def test_a_budget_that_is_passed_is_caught():
    poor = MANDATE.model_copy(
        update={"group": (group("budget", "budget", components=(), limit_micro_eur_per_month=839),)}
    )
    assert any("breaks budget" in each.what for each in verify(PLAN, poor, CATALOGUE))


def test_traffic_at_a_price_that_nobody_states_is_caught():
    silent = [each.model_copy(update={"egress_micro_eur_per_gib": None}) for each in OFFERS]
    catalogue = versioned(CATALOGUE.model_copy(update={"offers": tuple(silent)}))
    assert any("unknown price" in each.what for each in verify(PLAN, MANDATE, catalogue))


def test_unknown_facts_never_satisfy():
    blank = [each.model_copy(update={"vcpu": None}) for each in OFFERS]
    catalogue = versioned(CATALOGUE.model_copy(update={"offers": tuple(blank)}))
    found = verify(PLAN, MANDATE, catalogue)
    assert any("breaks web.vcpu (not known)" in each.what for each in found)
