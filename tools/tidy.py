"""Holds the code to its limits; a ratchet: exceptions carry a reason and only ever shrink.

`python tools/tidy.py` prints what is wrong and ends with 1; a test runs it too.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FUNCTION_LINES = 60
FILE_LINES = 400
FOLDER_FILES = 9
PARAMETERS = 5
GRAB_BAGS = {"util", "utils", "helper", "helpers", "manager", "misc", "common", "base"}
LAZY_ROOMS = tuple(f"src/hanse/{room}" for room in ("cli/", "__main__.py", "app.py", "site.py", "demo/"))
POSTPONED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|coming soon", re.IGNORECASE)
SKIPPED = re.compile(r"pytest\.(mark\.)?(skip|skipif|xfail)|importorskip|mock\.patch|MagicMock")

EXCEPTIONS: dict[str, str] = {}
"""`finding` (as printed, without numbers) to the reason why it stays."""


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method, nested ones too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def function_findings(place: str, tree: ast.AST) -> Iterator[str]:
    """Functions that are too long, take too much, or hide an import."""
    for function in functions(tree):
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if lines > FUNCTION_LINES:
            yield f"{place}: {function.name}: {lines} lines, at most {FUNCTION_LINES}: split it"
        arguments = [a.arg for a in function.args.posonlyargs + function.args.args]
        count = len([a for a in arguments if a not in {"self", "cls"}])
        if count > PARAMETERS and not place.startswith("tests/"):
            yield f"{place}: {function.name}: {count} parameters, at most {PARAMETERS}: the rest by name"
        hidden = [n for n in ast.walk(function) if isinstance(n, ast.Import | ast.ImportFrom)]
        if hidden and not place.startswith(LAZY_ROOMS):
            yield f"{place}: {function.name}: import inside a function: move it to the top"


def file_findings(path: Path) -> Iterator[str]:
    """What is wrong with one file."""
    place = path.relative_to(ROOT).as_posix()
    text = path.read_text(encoding="utf-8")
    lines = text.count("\n")
    if lines > FILE_LINES:
        yield f"{place}: {lines} lines, at most {FILE_LINES}: split it by what it is about"
    if GRAB_BAGS & set(path.stem.split("_")):
        yield f"{place}: a grab-bag name: say what is in it"
    if place != "tools/tidy.py" and POSTPONED.search(text):
        yield f"{place}: postponed work: do it now or say it in an issue"
    if place != "tools/tidy.py" and SKIPPED.search(text):
        yield f"{place}: skips, or patches our own code: start the real part, or use a fake driver"
    yield from function_findings(place, ast.parse(text))


def folder_findings() -> Iterator[str]:
    """Folders that hold too much to know."""
    for folder in [ROOT / "src/hanse", *(p for p in (ROOT / "src/hanse").rglob("*") if p.is_dir())]:
        count = len([p for p in folder.glob("*.py") if p.name != "__init__.py"])
        if count > FOLDER_FILES:
            yield f"{folder.relative_to(ROOT).as_posix()}: {count} files, at most {FOLDER_FILES}: make rooms"


def findings() -> list[str]:
    """All findings, exceptions taken out; an exception that is not needed is a finding."""
    found = list(folder_findings())
    for top in ("src", "tests", "bench", "tools"):
        for path in sorted((ROOT / top).rglob("*.py")):
            found += file_findings(path)
    keyed = {re.sub(r"\d+ (lines|parameters|files), ", "", line): line for line in found}
    stale = [f"tools/tidy.py: exception not needed any more: {key}" for key in EXCEPTIONS if key not in keyed]
    return [line for key, line in keyed.items() if key not in EXCEPTIONS] + stale


def main() -> int:
    """Print the findings; 1 if there are any."""
    found = findings()
    for line in found:
        print(line)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
