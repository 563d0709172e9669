"""How every command says no: words on the standard error, with --json a document on the standard output."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from hanse.ports import Permanent, Temporary

REFUSED, USAGE, INTERRUPTED = 1, 2, 130
_JSON = "--json"


class Mistakes(Permanent):
    """A file with mistakes. `lines`: one a mistake, `FILE:LINE:COLUMN: what`, as editors read them."""

    def __init__(self, code: str, lines: Sequence[str]) -> None:
        super().__init__(code, "; ".join(lines))
        self.lines = tuple(lines)


def refuse(failure: BaseException, argv: Sequence[str]) -> int:
    """Tell why a command failed; its exit code. Knows every failure, so nobody ever reads a traceback."""
    error = _document(failure)
    lines = failure.lines if isinstance(failure, Mistakes) else [f"hanse: {_sentence(error)}"]
    code = INTERRUPTED if error["code"] == "interrupted" else REFUSED
    return _tell(lines if error["detail"] else [], error, argv, code)


def misuse(what: str, see: str, argv: Sequence[str]) -> int:
    """Words that could not be understood; the exit code."""
    error = _error("usage-wrong", "The command was not understood", " ".join(what.split()), f"See `{see}`.")
    return _tell([f"hanse: {_sentence(error)}"], error, argv, USAGE)


def _tell(lines: Sequence[str], error: Mapping[str, Any], argv: Sequence[str], code: int) -> int:
    if lines:
        print("\n".join(lines), file=sys.stderr, flush=True)
    if _JSON in argv:
        print(json.dumps({"error": error}, ensure_ascii=False), flush=True)
    return code


def _document(failure: BaseException) -> dict[str, Any]:
    """`code`, `title`, `detail`, `next`; of a file's mistakes also `errors`."""
    match failure:
        case Mistakes():
            title = "The file has mistakes"
            return _error(failure.code, title, failure.message) | {"errors": list(failure.lines)}
        case Permanent() | Temporary():
            return _of_failure(failure)
        case KeyboardInterrupt():
            return _error("interrupted", "Interrupted", "")
        case OSError():
            thing = f" ({failure.filename})" if failure.filename else ""
            what = f"this machine refused an operation{thing}: {failure.strerror or failure}."
            following = "Check rights and free space, then try again."
            return _error("machine-refused", "This machine refused", what, following)
    what = f"this is a mistake in hanse ({type(failure).__name__}: {failure})."
    following = "Run it again with HANSE_TRACEBACK=1 and report what it shows."
    return _error("fault", "A mistake in hanse", what, following)


def _of_failure(failure: Permanent | Temporary) -> dict[str, Any]:
    """Of the hub's problems the reason and what to do next stand apart; all others say both in one."""
    why, following = getattr(failure, "why", ""), getattr(failure, "next", "")
    title = getattr(failure, "title", "") or failure.code.replace("-", " ").capitalize()
    return _error(failure.code, title, why or failure.message, following if why else "")


def _error(code: str, title: str, detail: str, following: str = "") -> dict[str, Any]:
    return {"code": code, "title": title, "detail": detail, "next": following}


def _sentence(error: Mapping[str, Any]) -> str:
    return " ".join(f"{error['detail']} {error['next']}".split())
