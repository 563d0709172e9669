"""An application expands to what must hold, each requirement with its origin; nothing is accepted idly."""

import pytest

from hanse.model.application.mistake import Unreadable
from hanse.model.application.reader import read_application
from hanse.model.application.requirement import Compare, Mandate, Truth
from hanse.rules.countries import EEA, EU
from hanse.rules.evaluate import evaluate
from hanse.rules.expand import expand

IMAGE = "sha256:" + "a" * 64
PLACES = {"Milan": (45.46, 9.19), "Rome": (41.9, 12.5)}
FILE = f"""hanse: 1
name: clinic
policy:
  POLICY: null
components:
  images: {{kind: bucket, size: {{storage_gib: 5}}}}
  web:
    kind: container
    image: {IMAGE}
    size: {{vcpu: 1, memory_gib: 2}}
    uses: [{{component: images, traffic_gib_per_month: TRAFFIC}}]
    EXTRA
"""


def mandate(policy="countries: EU", extra="way_back: 24h", traffic="0", providers=None):
    text = FILE.replace("POLICY: null", policy).replace("EXTRA", extra).replace("TRAFFIC", traffic)
    read = read_application(text, "app.yaml")
    assert not isinstance(read, Unreadable), read.words()
    return expand(read.application, read.lines, PLACES, providers=providers)


def requirements(made, component):
    return {
        one.id.partition(".")[2]: one
        for demand in made.demands
        if demand.component == component
        for one in demand.requirements
    }


def test_each_component_and_each_endpoint_is_a_demand():
    made = mandate(extra="expose: {port: 80}")
    kinds = [
        (demand.component, demand.kind, demand.offer_kinds, demand.storage_gib) for demand in made.demands
    ]
    assert kinds == [
        ("images", "bucket", ("bucket",), 5),
        ("web", "container", ("vm",), 1),
        ("web-endpoint", "endpoint", (), None),
    ]


def test_ids_are_unique_and_name_their_component():
    made = mandate(
        "countries: EU\n  exclude_providers: [aws]", "countries: [DE]\n    expose: {port: 80}", "5"
    )
    ids = [one.id for demand in made.demands for one in demand.requirements]
    assert len(ids) == len(set(ids))
    assert all(
        one.id.startswith(f"{demand.component}.") and one.component == demand.component
        for demand in made.demands
        for one in demand.requirements
    )


def test_a_requirement_knows_its_line_and_a_default_says_so():
    web = requirements(mandate(), "web")
    assert (web["countries"].origin.rule, web["countries"].origin.line) == ("application file", 4)
    assert (web["disk"].origin.rule, web["disk"].origin.line) == ("hanse default", None)
    assert requirements(mandate(extra="state: none"), "web")["vcpu"].origin.line == 10


@pytest.mark.parametrize(("group", "codes"), [("EU", EU), ("EEA", EEA)])
def test_a_group_of_countries_is_its_members(group, codes):
    expression = requirements(mandate(f"countries: {group}"), "images")["countries"].expression
    assert expression == Compare(fact="site.country", test="in", value=codes)


def test_norway_is_in_the_area_and_not_in_the_union():
    assert len(EU) == len(set(EU)) == 27
    assert set(EEA) - set(EU) == {"IS", "LI", "NO"}


def test_what_holds_for_a_component_holds_for_its_endpoint():
    policy = "providers: [p]\n  latency: [{component: web, to: {city: milan}, max_ms: 9}]"
    endpoint = requirements(mandate(policy, "expose: {port: 80}\n    countries: [DE]"), "web-endpoint")
    assert list(endpoint) == ["runs", "own-countries", "providers", "latency-1"]


@pytest.mark.parametrize(("traffic", "policy", "asked"), [
    ("5", "countries: EU", True),
    ("0", "countries: EU", False),
    ("5", "assume_egress_eur_per_gib: 0.05", False),
])  # fmt: skip
def test_egress_must_be_known_where_something_flows_out(traffic, policy, asked):
    made = mandate(policy, traffic=traffic)
    assert ("egress" in requirements(made, "images")) is asked
    assert "egress" not in requirements(made, "web")
    assert [flow.gib_per_month for flow in made.traffic] == [float(traffic)]


def database(size="vcpu: 2, memory_gib: 4, storage_gib: 50"):
    text = f"hanse: 1\nname: shop\ncomponents:\n  db: {{kind: postgres, size: {{{size}}}, countries: [DE]}}\n"
    read = read_application(text, "app.yaml")
    return expand(read.application, read.lines, PLACES)


def test_a_database_asks_for_a_machine_of_its_size_or_a_managed_one():
    made = database()
    assert [(each.kind, each.offer_kinds, each.storage_gib) for each in made.demands] == [
        ("postgres", ("vm", "postgres"), 50)
    ]
    asked = requirements(made, "db")
    assert list(asked) == ["kind", "price", "free", "runs", "vcpu", "memory", "disk", "own-countries"]
    assert {asked[what].origin.line for what in ("vcpu", "memory", "disk", "own-countries")} == {4}


@pytest.mark.parametrize(
    ("facts", "truth"),
    [
        ({"offer.kind": "vm", "offer.disk_gib": 50}, Truth.TRUE),
        ({"offer.kind": "vm", "offer.disk_gib": 0, "site.volume_price_known": True}, Truth.TRUE),
        ({"offer.kind": "vm", "offer.disk_gib": 49, "site.volume_price_known": True}, Truth.FALSE),
        ({"offer.kind": "postgres", "offer.disk_gib": 50}, Truth.TRUE),
        ({"offer.kind": "postgres", "offer.disk_gib": 0, "site.volume_price_known": True}, Truth.FALSE),
        ({"offer.kind": "postgres", "site.volume_price_known": True}, Truth.UNKNOWN),
    ],
)
def test_the_disk_of_a_managed_database_is_its_own(facts, truth):
    assert evaluate(requirements(database(), "db")["disk"].expression, facts) == truth


def test_a_site_that_has_joined_must_say_that_it_runs_databases():
    runs = requirements(database(), "db")["runs"].expression
    joined = {"site.joined": True, "site.runs": frozenset({"container"})}
    assert evaluate(runs, joined) == Truth.FALSE
    assert evaluate(runs, {**joined, "site.runs": frozenset({"postgres"})}) == Truth.TRUE


def test_money_becomes_whole_micro_euros():
    made = mandate("budget_eur_per_month: 12.34\n  assume_egress_eur_per_gib: 0.01")
    assert made.group[0].limit_micro_eur_per_month == 12_340_000
    assert made.assume_egress_micro_eur_per_gib == 10_000


@pytest.mark.parametrize(
    ("facts", "truth"),
    [
        ({"offer.disk_gib": 10}, Truth.TRUE),
        ({"offer.disk_gib": 0.5, "site.volume_price_known": True}, Truth.FALSE),
        ({"offer.disk_gib": 0, "site.volume_price_known": True}, Truth.TRUE),
        ({"offer.disk_gib": 0, "site.volume_price_known": False}, Truth.FALSE),
        ({"site.volume_price_known": True}, Truth.UNKNOWN),
    ],
)
def test_disk_is_in_the_offer_or_bought_apart_where_the_offer_has_none(facts, truth):
    assert evaluate(requirements(mandate(), "web")["disk"].expression, facts) == truth


@pytest.mark.parametrize(
    ("facts", "truth"),
    [
        ({"site.joined": False}, Truth.TRUE),
        ({"site.joined": True, "site.runs": frozenset({"container"})}, Truth.TRUE),
        ({"site.joined": True, "site.runs": frozenset({"bucket"})}, Truth.FALSE),
    ],
)
def test_only_a_joined_site_is_asked_what_it_runs(facts, truth):
    assert evaluate(requirements(mandate(), "web")["runs"].expression, facts) == truth


def test_a_city_that_no_site_is_in_is_a_mistake_with_its_place():
    unknown = mandate("latency: [{component: web, to: {city: Milano}, max_ms: 9}]")
    assert isinstance(unknown, Unreadable)
    assert (unknown.mistakes[0].line, unknown.mistakes[0].field) == (4, "policy.latency[0].to.city")
    assert unknown.mistakes[0].allowed.startswith("Milan, or ")


@pytest.mark.parametrize("field", ["providers", "exclude_providers"])
def test_a_provider_that_the_catalogue_does_not_know_is_a_mistake(field):
    unknown = mandate(f"{field}: [hetzner, hetzne]", providers=["aws", "hetzner"])
    assert isinstance(unknown, Unreadable)
    assert [one.field for one in unknown.mistakes] == [f"policy.{field}[1]"]
    assert unknown.mistakes[0].allowed.startswith("hetzner, or ")
    assert isinstance(mandate(f"{field}: [hetzne]"), Mandate)


@pytest.mark.parametrize("most", [True, False])
def test_the_greatest_and_the_least_that_may_be_written_expand(most):
    budget, price, traffic = ("1e9", "1000", "1e9") if most else ("0.01", "0", "1e-9")
    made = mandate(f"budget_eur_per_month: {budget}\n  assume_egress_eur_per_gib: {price}", traffic=traffic)
    assert isinstance(made, Mandate)


def test_a_point_needs_no_catalogue():
    made = mandate("latency: [{component: web, to: {latitude: 41.5, longitude: 12}, max_ms: 9}]")
    assert requirements(made, "web")["latency-1"].expression.fact == "rtt_ms:41.5,12"


def test_a_mandate_survives_its_own_json():
    made = mandate(
        "countries: EU\n  apart: [{components: [web, images], at: site}]", "expose: {port: 80}", "5"
    )
    assert Mandate.model_validate_json(made.model_dump_json()) == made


def test_the_same_file_gives_the_same_bytes():
    assert mandate().model_dump_json() == mandate().model_dump_json()
