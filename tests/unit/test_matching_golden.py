"""Plans on the shipped market, word for word. After a wanted change: python tests/parts/golden_plans.py"""

import subprocess
import sys

import pytest
from golden_plans import FOLDER, NAMES, answer_text, mandate_of

from hanse.catalogue.market import shipped_market
from hanse.matching.planner import match
from hanse.matching.verify import verify
from hanse.model.market.plan import Plan


@pytest.mark.parametrize("name", NAMES)
def test_the_answer_is_the_golden_one(name):
    assert answer_text(name) == (FOLDER / f"{name}.plan.json").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_every_golden_plan_satisfies_the_verifier(name):
    mandate = mandate_of(name)
    answer = match(mandate, shipped_market(), market="all")
    assert not isinstance(answer, Plan) or verify(answer, mandate, shipped_market()) == ()


def test_another_process_with_another_hash_seed_answers_with_the_same_bytes():
    code = "import golden_plans; print(golden_plans.answer_text('spread'), end='')"
    where = {"PYTHONPATH": str(FOLDER.parent.parent / "parts"), "PYTHONHASHSEED": "12345"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=where)
    assert done.stdout == answer_text("spread")
