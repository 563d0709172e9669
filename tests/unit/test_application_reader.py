"""An application file becomes an application, or every mistake in it with its place and its cure."""

import pytest

from hanse.model.application.file import databases_of
from hanse.model.application.mistake import Mark, Unreadable
from hanse.model.application.reader import ReadApplication, read_application, read_bytes

IMAGE = "sha256:" + "a" * 64
HEAD = "hanse: 1\nname: clinic\n"
BUCKET = "  images: {kind: bucket, size: {storage_gib: 5}}\n"
WEB = f"  web: {{kind: container, image: '{IMAGE}', size: {{vcpu: 1, memory_gib: 1}}"
TWO = f"{HEAD}components:\n{BUCKET}{WEB}, uses: [{{component: images}}]"


def application(text):
    read = read_application(text, "app.yaml")
    assert isinstance(read, ReadApplication), read.words()
    return read.application


def mistakes(text):
    read = read_application(text, "app.yaml")
    assert isinstance(read, Unreadable)
    return read.mistakes


def only(text):
    found = mistakes(text)
    assert len(found) == 1, found
    return found[0]


def with_policy(policy):
    return f"{HEAD}policy: {policy}\ncomponents:\n{BUCKET}{WEB}}}\n"


def with_bucket(fields):
    return f"{HEAD}components:\n  images: {{kind: bucket, {fields}}}\n"


def with_db(fields):
    return f"{HEAD}components:\n  the-db: {{kind: postgres, {fields}}}\n"


def with_web(fields):
    return f"{TWO}, {fields}}}\n"


def test_a_small_file_gets_the_defaults():
    images = application(f"{HEAD}components:\n{BUCKET}").components["images"]
    assert (images.way_back_seconds, images.retrieval_seconds) == (24 * 3600, 30 * 24 * 3600)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("24h", 86400), ("90m", 5400), ("30d", 2592000), ("0", 0), ('"0"', 0), ("45s", 45)],
)
def test_durations_are_numbers_with_a_unit(written, seconds):
    read = application(with_bucket(f"size: {{storage_gib: 5}}, way_back: {written}"))
    assert read.components["images"].way_back_seconds == seconds


@pytest.mark.parametrize("written", ["24", "1.5h", "-1h", "soon", "24 h", "[1]", "٣h", "true", "NO"])
def test_other_durations_are_refused_with_an_example(written):
    mistake = only(with_bucket(f"size: {{storage_gib: 5}}, way_back: {written}"))
    assert mistake.field == "components.images.way_back"
    assert "24h" in mistake.allowed


def test_a_duration_beyond_its_limit_names_the_limit():
    mistake = only(with_bucket("size: {storage_gib: 5}, retrieval: 9999d"))
    assert mistake.field == "components.images.retrieval"
    assert "at most 3650d" in mistake.allowed


@pytest.mark.parametrize("word", ["NO", "No", "no", "ON", "YES", "y", "Y", "n", "OFF"])
def test_a_word_that_may_be_a_truth_value_must_be_quoted(word):
    mistake = only(with_policy(f"{{countries: [{word}]}}")) if word == "NO" else None
    mistake = mistake or only(with_web(f"env: {{A: {word}}}"))
    assert mistake.allowed == f'write "{word}"'


def test_the_quoted_country_is_norway():
    assert application(with_policy('{countries: ["NO"]}')).policy.countries == ("NO",)


@pytest.mark.parametrize("written", ["8080", "true", "1e3", "-1"])
def test_a_number_where_text_is_meant_names_the_quotes(written):
    mistake = only(with_web(f"env: {{A: {written}}}"))
    assert mistake.allowed == f'write "{written}"'


@pytest.mark.parametrize("written", ["010", "0x1F", "0o17", ".inf", ".nan"])
def test_numbers_that_programs_read_differently_are_refused(written):
    assert "differently" in only(with_web(f"env: {{A: {written}}}")).what


@pytest.mark.parametrize("written", ["1e999", "1" * 31, '"5"', "lots", "0", "-3", "2e6", "1_000"])
def test_a_size_that_is_no_size_is_refused_at_its_place(written):
    mistake = only(with_bucket(f"size: {{storage_gib: {written}}}"))
    assert (mistake.field, mistake.line) == ("components.images.size.storage_gib", 4)


def test_every_mistake_is_told_at_once_in_the_order_of_the_text():
    text = "hanse: 3\nname: A B\npolcy: {}\ncomponents:\n  db: {kind: redis}\n  x: {kind: bucket}\n"
    found = mistakes(text)
    assert [(one.line, one.field) for one in found] == [
        (1, "hanse"),
        (2, "name"),
        (3, "polcy"),
        (5, "components.db"),
        (6, "components.x.size"),
    ]


def test_mistakes_between_fields_are_told_beside_mistakes_in_fields():
    found = mistakes(with_web("state: volume, env: {A: '${images.foo}'}"))
    assert [one.field for one in found] == ["components.web.state", "components.web.env.A"]


def test_a_mistake_names_line_and_column():
    mistake = only(f"{HEAD}policy:\n  budget_eur_per_month: much\ncomponents:\n{BUCKET}")
    assert (mistake.line, mistake.column) == (4, 25)


def test_the_nearest_name_is_suggested_for_a_misspelt_field():
    mistake = only(with_policy("{budget_eur_per_mont: 5}"))
    assert mistake.allowed == "did you mean budget_eur_per_month?"


def test_the_shapes_own_names_of_durations_are_not_the_files():
    mistake = only(with_bucket("size: {storage_gib: 5}, way_back_seconds: 5"))
    assert mistake.allowed == "did you mean way_back?"


def test_a_kind_that_there_is_not_is_refused():
    mistake = only(f"{HEAD}components:\n  db: {{kind: redis}}\n")
    assert mistake.what == "there is no kind redis"
    assert mistake.allowed == "container, bucket or postgres"


def test_a_small_database_needs_no_users_and_is_named_like_its_component():
    db = application(with_db("size: {vcpu: 1, memory_gib: 1, storage_gib: 5}")).components["the-db"]
    assert databases_of("the-db", db) == ("the_db",)
    assert (db.extensions, db.way_back_seconds) == ((), 24 * 3600)


def test_databases_and_extensions_are_read_in_order():
    fields = (
        "size: {vcpu: 1, memory_gib: 1, storage_gib: 5}, databases: [b, a_1], extensions: [uuid-ossp, citext]"
    )
    db = application(with_db(fields)).components["the-db"]
    assert databases_of("the-db", db) == ("b", "a_1")
    assert db.extensions == ("uuid-ossp", "citext")


@pytest.mark.parametrize(
    ("fields", "field", "allowed"),
    [
        ("databases: [Big]", "databases[0]", "small letters"),
        ("databases: ['a b']", "databases[0]", "small letters"),
        ("databases: [a, a]", "databases[1]", "each database once"),
        ("databases: [postgres]", "databases[0]", "another name"),
        ("extensions: [postgres_fdw]", "extensions[0]", "btree_gin, "),
        ("extensions: [lo, lo]", "extensions[1]", "each extension once"),
        ("state: none", "state", "retrieval"),
        ("vcpu: 2", "vcpu", "one of"),
    ],
)
def test_what_a_database_cannot_have_is_told_with_what_it_can(fields, field, allowed):
    mistake = only(with_db(f"size: {{vcpu: 1, memory_gib: 1, storage_gib: 5}}, {fields}"))
    assert mistake.field == f"components.the-db.{field}"
    assert (mistake.line, allowed in mistake.allowed) == (4, True), mistake


def test_a_component_called_postgres_must_name_its_database():
    text = with_db("size: {vcpu: 1, memory_gib: 1, storage_gib: 5}").replace("the-db", "postgres")
    assert "in `databases`" in only(text).allowed


def test_a_mistake_in_uses_is_not_told_again_of_what_refers_to_it():
    text = with_web("env: {A: '${images.bucket}'}").replace(
        "component: images", "component: images, clients: x"
    )
    assert only(text).field == "components.web.uses[0].clients"


def test_a_container_with_a_volume_is_not_built_yet():
    mistake = only(with_web("state: volume"))
    assert "not built yet" in mistake.what


def test_lines_of_fields_are_kept_for_origins():
    read = read_application(f"{HEAD}policy:\n  countries:\n    - DE\ncomponents:\n{BUCKET}", "app.yaml")
    assert read.lines["policy.countries"] == Mark(4, 3)
    assert read.lines["policy.countries[0]"] == Mark(5, 7)


def test_words_begin_with_the_file_and_the_place():
    read = read_application(f"{HEAD}components: 5\n", "my/app.yaml")
    assert read.words()[0].startswith("my/app.yaml:3:13: components: 5 does not fit; allowed: ")


def test_bytes_that_are_not_utf8_are_a_mistake_at_their_place():
    read = read_bytes(b"hanse: 1\nname: \xff\n", "app.yaml")
    assert (read.mistakes[0].line, read.mistakes[0].column) == (2, 7)


def test_a_byte_order_mark_does_no_harm():
    assert isinstance(
        read_bytes(b"\xef\xbb\xbf" + f"{HEAD}components:\n{BUCKET}".encode(), ""), ReadApplication
    )
