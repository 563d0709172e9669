"""Plans on the shipped market as text. `python tests/parts/golden_plans.py` writes them anew."""

import json
from pathlib import Path

from hanse.catalogue.market import places_of, shipped_market
from hanse.matching.planner import match
from hanse.model.application.reader import ReadApplication, read_application
from hanse.model.application.requirement import Mandate
from hanse.rules.expand import expand

FOLDER = Path(__file__).parent.parent / "golden" / "plans"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def mandate_of(name: str) -> Mandate:
    read = read_application((FOLDER / f"{name}.yaml").read_text(), f"{name}.yaml")
    assert isinstance(read, ReadApplication), read
    mandate = expand(read.application, read.lines, places_of(shipped_market()))
    assert isinstance(mandate, Mandate), mandate
    return mandate


def answer_text(name: str) -> str:
    answer = match(mandate_of(name), shipped_market(), market="all")
    return json.dumps(answer.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for each in NAMES:
        (FOLDER / f"{each}.plan.json").write_text(answer_text(each))
