"""The explanation of a mandate is golden text: every requirement, its test and its origin."""

import json
import re
from pathlib import Path

import pytest

from hanse.model.application.reader import read_bytes
from hanse.model.application.requirement import AllOf, AnyOf, Compare, Mandate, Negated
from hanse.rules import facts as facts_module
from hanse.rules.expand import expand
from hanse.rules.explain import explain_json, explain_lines, expression_words

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden/application"
IS = Compare(fact="offer.kind", test="eq", value="vm")
HAS = Compare(fact="site.runs", test="eq", value="bucket")


def clinic():
    read = read_bytes((GOLDEN / "clinic.yaml").read_bytes(), "clinic.yaml")
    return expand(read.application, read.lines, {"Milan": (45.46, 9.19)})


def test_the_clinic_is_explained_as_before():
    assert "\n".join(explain_lines(clinic())) + "\n" == (GOLDEN / "clinic.explain.txt").read_text()


def test_a_database_is_explained_as_before():
    read = read_bytes((ROOT / "tests/golden/plans/records.yaml").read_bytes(), "records.yaml")
    lines = explain_lines(expand(read.application, read.lines, {}))
    assert "\n".join(lines) + "\n" == (GOLDEN / "records.explain.txt").read_text()


def test_the_clinics_mandate_is_the_same_as_before():
    assert explain_json(clinic()) == (GOLDEN / "clinic.mandate.json").read_text()


def test_the_json_is_the_mandate():
    assert Mandate.model_validate(json.loads(explain_json(clinic()))) == clinic()


def test_every_requirement_is_printed_in_lines_that_fit():
    mandate, lines = clinic(), explain_lines(clinic())
    printed = {line.split()[0] for line in lines if line.startswith("  ")}
    assert {one.id for demand in mandate.demands for one in demand.requirements} <= printed
    assert {one.id for one in mandate.group} <= printed
    assert max(map(len, lines)) <= 110


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        (IS, "offer.kind is vm"),
        (HAS, "site.runs includes bucket"),
        (Compare(fact="site.runs", test="ge", value=1), "site.runs is at least 1"),
        (Compare(fact="a", test="in", value=("x", "y")), "a is one of x, y"),
        (Compare(fact="a", test="ge", value=0.5), "a is at least 0.5"),
        (Compare(fact="a", test="eq", value=True), "a is true"),
        (AnyOf(parts=(HAS, AllOf(parts=(IS,)))), "site.runs includes bucket or (offer.kind is vm)"),
        (Negated(part=IS), "not offer.kind is vm"),
        (AllOf(parts=()), "always"),
        (AnyOf(parts=()), "never"),
    ],
)
def test_expressions_in_words(expression, words):
    assert expression_words(expression) == words


def test_the_page_lists_the_same_facts_as_the_code():
    page = (ROOT / "docs/application-file.md").read_text().partition("## The facts")[2]
    names = re.compile(r"`((?:provider|site|offer)\.[a-z_]+)`")
    assert set(names.findall(page)) == set(names.findall(facts_module.__doc__))
