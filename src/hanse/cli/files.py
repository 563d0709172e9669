"""Reading what a person names: application files, and the mistakes in them."""

from pathlib import Path
from typing import Any

from hanse.cli.refusal import Mistakes
from hanse.ports import Permanent
from hanse.wire.problem import ApiProblem

APPLICATION_MAX_BYTES = 1024 * 1024


def read_file(path: Path, limit_bytes: int, what: str) -> bytes:
    """The bytes of a regular file. Raises Permanent(`file-unreadable`, `file-too-large`)."""
    try:
        if path.is_dir():
            raise Permanent("file-unreadable", f"{path} is a directory, not {what}. Name a file.")
        with path.open("rb") as file:
            data = file.read(limit_bytes + 1)
    except OSError as error:
        raise Permanent(
            "file-unreadable",
            f"{path} cannot be read: {(error.strerror or str(error)).lower()}. Check its name.",
        ) from error
    if len(data) > limit_bytes:
        size = path.stat().st_size
        raise Permanent(
            "file-too-large",
            f"{path} has {size:,} bytes; {what} may have {limit_bytes:,}. Was the right file named?",
        )
    return data


def read_text(path: Path) -> str:
    """An application file as text. Raises Permanent like `read_file`; not UTF-8 is told by its place."""
    data = read_file(path, APPLICATION_MAX_BYTES, "an application file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        what = f"{path}:{line}:{column}: a byte that is not UTF-8; allowed: text in UTF-8"
        raise Mistakes("file-unreadable", [what]) from error


def mistakes_of(problem: ApiProblem, path: Path) -> Permanent:
    """The problem itself, or, where it names places in a file, one line a place."""
    if not problem.errors or not any("what" in error for error in problem.errors):
        return problem
    return Mistakes(problem.code, [_line(error, path) for error in problem.errors])


def _line(error: dict[str, Any], path: Path) -> str:
    name = path / error["file"] if error.get("file") else path
    place = ":".join(str(part) for part in (name, error.get("line"), error.get("column")) if part)
    field = f"{error['field']}: " if error.get("field") else ""
    allowed = f"; allowed: {error['allowed']}" if error.get("allowed") else ""
    return f"{place}: {field}{error.get('what', '')}{allowed}"
