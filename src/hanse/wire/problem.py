"""RFC 9457 problem documents, as both clients read them."""

import json
from typing import Any

from hanse.ports import Permanent

_UNKNOWN = "The hub gave no reason."


class ApiProblem(Permanent):
    """The hub refused a request. `message` is whole sentences for a person."""

    def __init__(self, status: int, fields: dict[str, Any]) -> None:
        self.status = status
        self.title = _text(fields, "title") or f"the hub answered with status {status}"
        self.why = _text(fields, "detail")
        self.next = _text(fields, "next")
        self.fields = fields
        code = _text(fields, "code") or f"http-{status}"
        parts = [part for part in (self.title, self.why, self.next) if part]
        super().__init__(code, " ".join(_sentence(part) for part in parts), detail=self.why)

    @property
    def errors(self) -> list[dict[str, Any]]:
        """Errors in a file: `{line, column, what, allowed}` each; empty if there are none."""
        found = self.fields.get("errors")
        return [error for error in found if isinstance(error, dict)] if isinstance(found, list) else []


def problem_of(status: int, body: bytes) -> ApiProblem:
    """The problem in a response that is none of the 2xx, whatever its body is."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = {"detail": body[:200].decode("utf-8", "replace").strip() or _UNKNOWN}
    return ApiProblem(status, fields if isinstance(fields, dict) else {"detail": _UNKNOWN})


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    return value.strip() if isinstance(value, str) else ""


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?", ":")) else f"{text}."
