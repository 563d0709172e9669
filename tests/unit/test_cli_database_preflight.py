"""What keeps an import from beginning, what is only said, and what of a dump is left out."""

from dataclasses import replace

import pytest

from hanse.cli.verbs.database.asking import Found
from hanse.cli.verbs.database.bring import without_server_parts
from hanse.cli.verbs.database.compare import Rows, differences
from hanse.cli.verbs.database.preflight import objections, remarks

EMPTY = Found(
    major=15, size_bytes=8_000_000, encoding="UTF8", collation="C.UTF-8", tables=(), present=(),
    unreadable=(), filtered=(), without_key=(), extensions={"pg_trgm": "public"}, languages=(), policies=(),
    policy_roles=(), left_out=(), settings=(), large_objects=0, large_unreadable=0,
)  # fmt: skip
SOURCE = replace(EMPTY, tables=("public.a",), present=("public.a", "the schema s"))


def test_a_plain_source_and_an_empty_target_need_no_words():
    assert objections(SOURCE, EMPTY) == []
    assert remarks(SOURCE, EMPTY) == []


@pytest.mark.parametrize("major", [10, 14, 15])
def test_an_older_source_may_come(major):
    assert objections(replace(SOURCE, major=major), EMPTY) == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"major": 17}, "the source is PostgreSQL 17 and the target 15, which is too old for it"),
        ({"encoding": "SQL_ASCII"}, "SQL_ASCII"),
        ({"extensions": {"hstore": "public"}}, "lacks the extensions hstore: name them under `extensions`"),
        ({"extensions": {"postgis": "public"}}, "the extensions postgis, which no database here has"),
        ({"extensions": {"pg_trgm": "tools"}}, "pg_trgm is in the schema tools there and in public here"),
        ({"unreadable": ("public.shut",)}, "may not read public.shut: grant it"),
        ({"filtered": ("public.hidden",)}, "hides rows of public.hidden"),
        ({"large_unreadable": 1200}, "may not read 1,200 large objects"),
        ({"languages": ("c", "plpython3u")}, "written in c, plpython3u, which no database here runs"),
        ({"policy_roles": ("nurse",)}, "name the roles nurse, which are not here"),
    ],
)
def test_each_obstacle_of_the_source_is_told(changed, reason):
    (told,) = objections(replace(SOURCE, **changed), EMPTY)
    assert reason in told


def test_a_target_with_anything_in_it_is_refused_and_much_is_abridged():
    (told,) = objections(SOURCE, replace(EMPTY, present=tuple(f"public.t{n}" for n in range(9))))
    assert told.startswith("the target is not empty: it has public.t0, public.t1")
    assert "public.t4 and 4 more; import into an empty database" in told


def test_all_obstacles_are_told_at_once():
    wrong = replace(SOURCE, major=16, encoding="SQL_ASCII", unreadable=("a",), languages=("c",))
    assert len(objections(wrong, replace(EMPTY, present=("b",)))) == 5


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"without_key": ("public.a",)}, "without a primary key: public.a"),
        ({"large_objects": 1234}, "1,234 large objects are copied, too"),
        ({"left_out": ("the publication p",)}, "not copied, as it belongs to a server: the publication p"),
        ({"settings": ("search_path",)}, "made by ALTER DATABASE are not copied: search_path"),
        ({"policies": ("public.a",)}, "row-level security of public.a does not bind logins made here"),
        ({"collation": "de_DE.UTF-8"}, "text is sorted by de_DE.UTF-8 there and by C.UTF-8 here"),
    ],
)
def test_what_does_no_harm_now_is_remarked(changed, words):
    source = replace(SOURCE, **changed)
    assert objections(source, EMPTY) == []
    (told,) = remarks(source, EMPTY)
    assert words in told


@pytest.mark.parametrize(
    "line",
    [
        "2; 3079 16385 EXTENSION - pg_trgm ",
        "3404; 0 0 COMMENT - EXTENSION pg_trgm ",
        "5; 2615 2200 SCHEMA - public pg_database_owner",
        "3402; 0 0 COMMENT - SCHEMA public pg_database_owner",
        "3392; 6104 16470 PUBLICATION - p postgres",
        "3405; 0 0 COMMENT - PUBLICATION p postgres",
        "3393; 6106 16471 PUBLICATION TABLE public-data p t postgres",
        "9; 3466 16400 EVENT TRIGGER - guard postgres",
    ],
)
def test_what_belongs_to_the_server_is_left_out(line):
    assert without_server_parts(line + "\n") == ""


@pytest.mark.parametrize(
    "line",
    [
        "; Selected TOC Entries:",
        "7; 2615 16466 SCHEMA - public-data postgres",
        "3403; 0 0 COMMENT - SCHEMA public-data postgres",
        "217; 1259 16472 TABLE public EXTENSION - x postgres",
        "216; 1259 16467 TABLE public-data t postgres",
        "3395; 0 16472 TABLE DATA public PUBLICATION postgres",
        "3406; 0 0 COMMENT public TABLE t postgres",
        "3407; 2613 4711 BLOB - 4711 postgres",
    ],
)
def test_what_is_of_people_comes_along(line):
    assert without_server_parts(line + "\n") == line + "\n"


def test_a_copy_that_agrees_with_an_unwritten_source_has_no_differences():
    assert differences({"a": Rows(3, 0)}, {"a": 3}) == ()


def test_every_kind_of_difference_is_told():
    source = {"a": Rows(3, 1), "b": Rows(1200, 5), "new": Rows(0, 0)}
    assert differences(source, {"a": 3, "b": 1100, "gone": 1}) == (
        "1 rows of a were written anew",
        "b has 1,200 rows there and 1,100 here",
        "gone is gone there",
        "new was made meanwhile",
    )
