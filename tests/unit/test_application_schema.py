"""The published schema and page are those of the code, and no field is accepted without an effect."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from hanse.model.application.reader import ReadApplication, read_application, read_bytes
from hanse.model.application.schema import schema_text
from hanse.rules.expand import expand

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/application-file.md").read_text()
CLINIC = (ROOT / "tests/golden/application/clinic.yaml").read_bytes()
SCHEMA = json.loads(schema_text())
EVERYTHING = """hanse: 1
name: shop
policy:
  countries: [DE]
  providers: [p]
  exclude_providers: [q]
  budget_eur_per_month: 10
  apart: [{components: [web, files], at: provider}]
  together: [{components: [web, more], at: site}]
  latency: [{component: web, to: {city: Milan}, max_ms: 9}]
  assume_egress_eur_per_gib: 0.1
components:
  files: {kind: bucket, size: {storage_gib: 5}, way_back: 1h, retrieval: 2h, countries: [DE]}
  more: {kind: bucket, size: {storage_gib: 6}}
  db:
    kind: postgres
    size: {vcpu: 1.5, memory_gib: 2.5, storage_gib: 8}
    databases: [first, second]
    extensions: [pg_trgm, uuid-ossp]
  web:
    kind: container
    state: none
    image: sha256:DIGEST
    command: [serve]
    env: {A: b}
    size: {vcpu: 1, memory_gib: 2, disk_gib: 3}
    uses: [{component: files, traffic_gib_per_month: 4}, {component: db, clients: session}]
    expose: {port: 80, protocol: http, listen_port: 8080}
""".replace("DIGEST", "a" * 64)
EXPANDED = {
    "name": ("name: shop", "name: shed"),
    "countries": ("countries: [DE]\n", "countries: [FR]\n"),
    "providers": ("providers: [p]", "providers: [r]"),
    "exclude_providers": ("[q]", "[r]"),
    "budget_eur_per_month": ("month: 10", "month: 11"),
    "components": ("[web, files]", "[web, more]"),
    "at": ("at: site", "at: country"),
    "component": ("[{component: web,", "[{component: files,"),
    "city": ("Milan", "Rome"),
    "latitude": ("{city: Milan}", "{latitude: 1, longitude: 2}"),
    "longitude": ("{city: Milan}", "{latitude: 1, longitude: 2}"),
    "max_ms": ("max_ms: 9", "max_ms: 8"),
    "assume_egress_eur_per_gib": ("0.1", "0.2"),
    "storage_gib": ("storage_gib: 5", "storage_gib: 7"),
    "vcpu": ("vcpu: 1,", "vcpu: 2,"),
    "memory_gib": ("memory_gib: 2,", "memory_gib: 3,"),
    "disk_gib": ("disk_gib: 3", "disk_gib: 4"),
    "traffic_gib_per_month": ("month: 4", "month: 5"),
}
CARRIED = {
    "image": "image",
    "command": "command",
    "env": "env",
    "databases": "databases",
    "extensions": "extensions",
    "clients": "clients",
    "port": "expose.port",
    "protocol": "expose.protocol",
    "listen_port": "expose.listen_port",
    "way_back": "way_back_seconds",
    "retrieval": "retrieval_seconds",
}
"""Fields that go to the sites: how the rooms that send them there read them."""
SHAPE = {"hanse", "kind", "state", "policy", "size", "uses", "expose", "apart", "together", "latency", "to"}
"""Fields that choose a shape, or only hold others."""


def fields():
    definitions = [SCHEMA, *SCHEMA["$defs"].values()]
    return {name for definition in definitions for name in definition["properties"]}


def mandate_text(text):
    read = read_application(text, "shop.yaml")
    assert isinstance(read, ReadApplication), read.words()
    places = {"Milan": (45.46, 9.19), "Rome": (41.9, 12.5)}
    return expand(read.application, read.lines, places).model_dump_json()


def test_the_published_schema_is_up_to_date():
    """If not, write `schema_text()` of `hanse.model.application.schema` there, and look at what changed."""
    assert (ROOT / "docs/application.schema.json").read_text() == schema_text()


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("text", [CLINIC.decode(), EVERYTHING], ids=["clinic", "everything"])
def test_the_schema_accepts_what_the_reader_accepts(text):
    jsonschema.validate(YAML(typ="safe", pure=True).load(text), SCHEMA)
    assert isinstance(read_application(text, ""), ReadApplication)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("hanse: 1", "hanse: 2"),
        ("name: shop", "name: Shop"),
        ("way_back: 1h", "way_back: 1"),
        ("way_back: 1h", "way_back_seconds: 1"),
        ("vcpu: 1,", "vcpu: '1',"),
        ("vcpu: 1,", "vcpu: null,"),
        ("{A: b}", "{1A: b}"),
        ("state: none", "state: volume"),
        ("at: site", "at: planet"),
        ("port: 80,", "port: 0,"),
        ("clients: session", "clients: some"),
        ("[first, second]", "[first, Second]"),
        ("[pg_trgm,", "[plpython3u,"),
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(before, after):
    text = EVERYTHING.replace(before, after)
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(YAML(typ="safe", pure=True).load(text))
    assert not isinstance(read_application(text, ""), ReadApplication)


def test_every_field_is_in_one_of_the_lists_of_this_test():
    lists = (set(EXPANDED), set(CARRIED), SHAPE)
    assert set().union(*lists) == fields()
    assert sum(map(len, lists)) == len(fields())


@pytest.mark.parametrize("field", EXPANDED)
def test_a_field_changes_what_must_hold(field):
    before, after = EXPANDED[field]
    assert before in EVERYTHING
    assert mandate_text(EVERYTHING.replace(before, after, 1)) != mandate_text(EVERYTHING)


@pytest.mark.parametrize("field", CARRIED)
def test_a_field_is_read_by_those_who_order_the_sites(field):
    sources = (ROOT / "src/hanse/hub").rglob("*.py")
    read = re.compile(rf"\b\w+\.{re.escape(CARRIED[field])}\b")
    assert any(read.search(source.read_text()) for source in sources)


@pytest.mark.parametrize("field", sorted(fields()))
def test_the_page_names_every_field(field):
    assert re.search(rf"`(size\.)?{field}`", PAGE)


def test_the_examples_on_the_page_are_readable():
    examples = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert examples
    assert all(isinstance(read_application(example, ""), ReadApplication) for example in examples)


def test_the_clinic_is_readable_as_bytes():
    assert isinstance(read_bytes(CLINIC, "clinic.yaml"), ReadApplication)
