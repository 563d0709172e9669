"""Fields of an application file that contradict each other are named, with what would fit."""

import pytest

from hanse.model.application.mistake import Unreadable
from hanse.model.application.reader import ReadApplication, read_application

IMAGE = "sha256:" + "a" * 64
NAMED = """hanse: 1
name: clinic
policy: {POLICY}
components:
  images: {{kind: bucket, size: {{storage_gib: 5}}}}
  OTHER: {{kind: bucket, size: {{storage_gib: 5}}}}
  db: {{kind: postgres, size: {{vcpu: 1, memory_gib: 1, storage_gib: 5}}}}
  web:
    kind: container
    image: IMAGE
    size: {{vcpu: 1, memory_gib: 1}}
    WEB
"""


def read(*, policy="{}", web="uses: []", other="other"):
    text = NAMED.format(POLICY=policy).replace("OTHER", other).replace("IMAGE", IMAGE).replace("WEB", web)
    return read_application(text, "app.yaml")


def only(**changes):
    found = read(**changes)
    assert isinstance(found, Unreadable)
    assert len(found.mistakes) == 1, found.words()
    return found.mistakes[0]


def test_the_text_of_these_tests_is_readable():
    assert isinstance(read(), ReadApplication)


@pytest.mark.parametrize(
    ("uses", "what"),
    [
        ("[{component: imges}]", "no component imges"),
        ("[{component: web}]", "web is a container"),
        ("[{component: images}, {component: images}]", "used twice"),
    ],
)
def test_uses_names_a_bucket_or_a_database_once(uses, what):
    mistake = only(web=f"uses: {uses}")
    assert what in mistake.what
    assert "images" in mistake.allowed or "each component once" in mistake.allowed


@pytest.mark.parametrize("part", ["endpoint", "bucket", "access_key", "secret_key", "region"])
def test_env_may_refer_to_every_field_of_a_used_bucket(part):
    web = f"uses: [{{component: images}}]\n    env: {{A: 'x-${{images.{part}}}-y'}}"
    assert isinstance(read(web=web), ReadApplication)


@pytest.mark.parametrize("part", ["host", "port", "user", "password", "database", "url"])
def test_env_may_refer_to_every_field_of_a_used_database(part):
    web = f"uses: [{{component: db, clients: session}}]\n    env: {{A: '${{db.{part}}}'}}"
    assert isinstance(read(web=web), ReadApplication)


@pytest.mark.parametrize(("use", "part"), [("db", "endpoint"), ("images", "url")])
def test_a_field_of_another_kind_is_refused_with_those_there_are(use, part):
    mistake = only(web=f"uses: [{{component: {use}}}]\n    env: {{A: '${{{use}.{part}}}'}}")
    assert f"has no field {part}" in mistake.what
    assert "one of " in mistake.allowed


def test_a_bucket_has_no_clients_of_a_kind():
    mistake = only(web="uses: [{component: images, clients: session}]")
    assert mistake.field == "components.web.uses[0].clients"
    assert "images is a bucket" in mistake.what


@pytest.mark.parametrize("part", ["password", "url"])
def test_a_secret_of_a_database_may_not_stand_in_a_command(part):
    mistake = only(web=f"uses: [{{component: db}}]\n    command: ['${{db.{part}}}']")
    assert (mistake.field, mistake.allowed) == ("components.web.command[0]", "pass it in env")


@pytest.mark.parametrize(
    "text", ["${images.size}", "${other.bucket}", "${nobody.bucket}", "${HOME}", "${", "${x"]
)
def test_other_references_in_env_are_refused(text):
    mistake = only(web=f"uses: [{{component: images}}]\n    env: {{A: '{text}'}}")
    assert mistake.field == "components.web.env.A"
    assert mistake.allowed


@pytest.mark.parametrize("part", ["access_key", "secret_key"])
def test_a_secret_may_not_stand_in_a_command(part):
    mistake = only(web=f"uses: [{{component: images}}]\n    command: ['${{images.{part}}}']")
    assert mistake.field == "components.web.command[0]"
    assert mistake.allowed == "pass it in env"


def test_a_dollar_alone_is_text():
    assert isinstance(read(web="env: {A: 'cost: 5 $ {x}'}"), ReadApplication)


def test_the_name_of_an_endpoint_must_be_free():
    mistake = only(other="web-endpoint", web="expose: {port: 80}")
    assert mistake.field == "components.web.expose"
    assert "so is a component" in mistake.what


def test_the_name_of_an_endpoint_must_be_a_name():
    text = NAMED.format(POLICY="{}").replace("  web:", f"  {'w' * 32}:").replace("IMAGE", IMAGE)
    found = read_application(text.replace("WEB", "expose: {port: 80}").replace("OTHER", "other"), "app.yaml")
    assert [one.field for one in found.mistakes] == [f"components.{'w' * 32}.expose"]


@pytest.mark.parametrize("rule", ["apart", "together"])
def test_group_rules_name_components_each_once(rule):
    assert "no component webb" in only(policy=f"{{{rule}: [{{components: [webb, web], at: site}}]}}").what
    assert "named twice" in only(policy=f"{{{rule}: [{{components: [web, web], at: site}}]}}").what


def test_apart_and_together_may_contradict_each_other_the_planner_says_so():
    rule = "[{components: [web, images], at: site}]"
    assert isinstance(read(policy=f"{{apart: {rule}, together: {rule}}}"), ReadApplication)


@pytest.mark.parametrize(
    "place",
    ["{}", "{latitude: 45}", "{city: Milan, latitude: 45, longitude: 9}", "{city: Milan, latitude: 45}"],
)
def test_a_place_is_a_city_or_a_point(place):
    mistake = only(policy=f"{{latency: [{{component: web, to: {place}, max_ms: 5}}]}}")
    assert mistake.field == "policy.latency[0].to"


def test_latency_names_a_component():
    assert (
        "did you mean web?"
        in only(policy="{latency: [{component: wep, to: {city: Rome}, max_ms: 5}]}").allowed
    )


@pytest.mark.parametrize(
    ("code", "cure"), [("UK", '"GB"'), ("EL", '"GR"'), ("EU", "countries: EU"), ("ZZ", "ISO")]
)
def test_a_code_of_no_country_is_refused(code, cure):
    mistake = only(policy=f"{{countries: [DE, {code}]}}")
    assert (mistake.field, cure in mistake.allowed) == ("policy.countries[1]", True)


def test_a_provider_cannot_be_wanted_and_excluded():
    assert (
        "also in policy.providers"
        in only(policy="{providers: [aws, hetzner], exclude_providers: [aws]}").what
    )
