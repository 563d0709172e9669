"""Of YAML an application file may use the plain part; whatever the bytes, reading ends in a value."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanse.model.application.mistake import Unreadable
from hanse.model.application.reader import ReadApplication, read_application, read_bytes
from hanse.model.application.text import BYTES_MAX, read_tree

GOOD = "hanse: 1\nname: a\ncomponents:\n  images: {kind: bucket, size: {storage_gib: 5}}\n"


def words(text):
    return " | ".join(one.what for one in read_application(text, "app.yaml").mistakes)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "empty"),
        ("# nothing\n", "empty"),
        ("a: &x 1\n", "&x is an anchor"),
        ("a: *x\n", "*x is an alias"),
        ("a: !!str 1\n", "is a tag"),
        ("a: ! b\n", "is a tag"),
        ("%YAML 1.1\n---\na: 1\n", "directive"),
        ("a: 1\n---\nb: 1\n", "second document"),
        ("a: 1\na: 2\n", "a is written twice, first in line 1"),
        ("? [a]\n: 1\n", "stands where a name must"),
        ("a: [\n", "not YAML"),
        ("a:\n\tb: 1\n", "not YAML"),
        ("a: \x00\n", "no text file holds"),
        ('a: "\\ud800"\n', "no text holds"),
        ("[" * 40, "more than 32 levels"),
        ("a: [" + "1," * 20_001 + "]", "more than 20000 values"),
        ("a: " + "b" * BYTES_MAX, "bytes"),
        ("<<: {a: 1}\n", "there is no field <<"),
        ("NO: 1\n", "without quotes"),
    ],
)
def test_what_is_not_plain_yaml_is_refused(text, what):
    assert what in words(text)


def test_a_tab_is_named_as_the_cause():
    assert read_application("a:\n\tb: 1\n", "").mistakes[0].allowed == "spaces, not tabs, to indent"


@pytest.mark.parametrize(
    "text",
    [
        "- a\n",
        "a\n" * 3,
        "a: b\n",
        "? ",
        "[{",
        '"\n',
        "a: #\n",
        "'",
        "&",
        "!<",
        "|\n x",
        "%a\n",
        "[a,",
        "\\",
        "{a: ",
    ],
)
def test_a_mebibyte_of_anything_is_read_in_bounded_time(text):
    before = time.process_time()
    assert isinstance(read_application(text * (BYTES_MAX // len(text)), ""), Unreadable)
    assert time.process_time() - before < 30


def test_many_mistakes_are_cut_short():
    found = read_application(GOOD + "".join(f"field{one}: 1\n" for one in range(5000)), "app.yaml")
    assert len(found.mistakes) == 101
    assert found.mistakes[-1].what == "and more mistakes"


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_bytes_end_in_a_value(data):
    assert isinstance(read_bytes(data, "app.yaml"), Unreadable | ReadApplication)


@given(st.text(alphabet="ab:-?[]{}&*!|>'\"%@`#,\n\t \\x0123~<=.$\u2028\x85é", max_size=200))
@settings(max_examples=500, deadline=None)
def test_any_punctuation_ends_in_a_value(text):
    assert isinstance(read_application(text, "app.yaml"), Unreadable)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_good_file_with_a_splinter_in_it_ends_in_a_value(data):
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(len(GOOD), start + 10)))
    splinter = data.draw(
        st.text(max_size=12) | st.sampled_from(["NO", "[]", "{}", "null", ".nan", "1e400", "*a"])
    )
    read = read_application(GOOD[:start] + splinter + GOOD[end:], "app.yaml")
    assert isinstance(read, Unreadable | ReadApplication)


_scalars = st.sampled_from(
    ["1", "a", '"b"', "NO", "0", "-1", "1e9", "bucket", "container", "EU", "24h", "''", "web"]
)
KEYS = """hanse name policy components web kind size vcpu uses expose port countries env command way_back
retrieval apart at latency to component storage_gib state"""
_keys = st.sampled_from(KEYS.split())
_flow = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: "[" + ", ".join(items) + "]")
        | st.dictionaries(_keys, inner, max_size=6).map(
            lambda fields: "{" + ", ".join(f"{key}: {value}" for key, value in fields.items()) + "}"
        )
    ),
    max_leaves=30,
)


@given(_flow, _flow)
@settings(max_examples=400, deadline=None)
def test_known_fields_in_wrong_places_end_in_a_value(policy, components):
    text = f"hanse: 1\nname: a\npolicy: {policy}\ncomponents: {components}\n"
    assert isinstance(read_application(text, "app.yaml"), Unreadable | ReadApplication)


def test_a_tree_keeps_how_a_scalar_was_written():
    root = read_tree("a: NO\nb: 'NO'\n").root
    assert [node.plain for _, node in root.entries.values()] == [True, False]
