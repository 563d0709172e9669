"""Problems (RFC 9457): one table from stable codes to HTTP statuses and titles."""

import logging
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from hanse.hub.context import FileErrors
from hanse.ports import Permanent, Temporary

log = logging.getLogger("hanse.api")
_CLIENT_GONE = 499

STATUSES: dict[str, tuple[int, str]] = {
    "application-busy": (422, "Something else is under way"),
    "application-not-running": (422, "The application is not running"),
    "application-unknown": (404, "No such application"),
    "body-too-large": (413, "The request is too large"),
    "catalogue-unreadable": (422, "The catalogue was refused whole"),
    "certificate-unreadable": (422, "The certificate cannot be read"),
    "change-refused": (422, "The changed file was refused"),
    "component-unknown": (404, "No such component"),
    "conflict": (409, "Changed by somebody else at the same moment"),
    "connection-unknown": (404, "No such connection"),
    "country-unknown": (422, "No such country code"),
    "cursor-unknown": (422, "No such cursor"),
    "digest-malformed": (422, "Not a digest"),
    "digest-wrong": (422, "The bytes are not those of the digest"),
    "file-too-large": (413, "The file is too large"),
    "file-unreadable": (422, "The application file was refused"),
    "hub-disk-full": (507, "The hub's disk is full"),
    "idempotency-key-reused": (422, "This Idempotency-Key belongs to another request"),
    "image-in-use": (422, "The image is in use"),
    "image-missing": (404, "No such image"),
    "image-too-large": (413, "The image is too large"),
    "internal": (500, "The hub failed"),
    "key-in-use": (422, "Another site has this key"),
    "key-unreadable": (422, "The key cannot be read"),
    "method-unknown": (405, "Not possible here"),
    "move-impossible": (422, "No place satisfies everything"),
    "no-credential": (401, "Who are you?"),
    "no-order": (422, "No order of moves is allowed"),
    "no-reach": (422, "The sites do not reach each other"),
    "no-way-back": (422, "There is no way back"),
    "nothing-to-move": (422, "Nothing would move"),
    "operation-over": (422, "The operation is over"),
    "operation-unknown": (404, "No such operation"),
    "path-unknown": (404, "Nothing here"),
    "plan-not-bookable": (422, "Not everything can be bought"),
    "plan-of-another": (422, "A plan for another application"),
    "plan-too-old": (422, "The plan is too old"),
    "plan-unknown": (404, "No such plan"),
    "plan-without-solution": (422, "Nothing to buy"),
    "plan-wrong": (500, "The hub made a wrong plan"),
    "provider-unknown": (422, "No such provider"),
    "query-unreadable": (422, "The condition cannot be read"),
    "quota-full": (507, "No room for more images"),
    "reading-unknown": (404, "No such reading"),
    "request-malformed": (422, "The request is not as it should be"),
    "same-site": (422, "It is there already"),
    "site-busy": (422, "The site still carries work"),
    "site-joined": (422, "The site has joined already"),
    "site-malformed": (422, "Not a site"),
    "site-unknown": (404, "No such site"),
    "store-busy": (503, "The hub is busy"),
    "store-failed": (507, "The hub could not write"),
    "token-expired": (403, "The token expired"),
    "token-for-another-site": (403, "The token is for another site"),
    "token-malformed": (422, "Not a token"),
    "token-unknown": (403, "The token is unknown"),
    "token-used": (403, "The token was used"),
    "too-many-readers": (422, "Too many read already"),
    "wrong-credential": (401, "The token is wrong"),
    "wrong-site-key": (401, "Not the key of a joined site"),
}
"""Every code that the API gives. A code is never renamed or reused."""

NEXT: dict[str, str] = {
    "no-credential": "Send the hub's admin token: `Authorization: Bearer …`; it lies in `admin.token`.",
    "wrong-credential": "Compare it with `admin.token` in the hub's directory.",
    "wrong-site-key": "Join again: `hanse invite PROVIDER/SITE` at the hub, `hanse site join -` at the site.",
    "catalogue-unreadable": "Mend the rows that are named, then import all of it again.",
    "conflict": "Try again.",
    "file-unreadable": "Mend the places that are named, then plan again.",
    "internal": "Try again; if it stays, look into the hub's log.",
    "body-too-large": "Was the right file named?",
}


def problem(
    code: str, detail: str, *, errors: Sequence[dict[str, Any]] = (), headers: dict[str, str] | None = None
) -> JSONResponse:
    """A problem document. A code that is not in the table is answered as 422 (a site's or driver's words)."""
    status, title = STATUSES.get(code, (422, "Refused"))
    body: dict[str, Any] = {
        "type": f"urn:hanse:problem:{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
        "next": NEXT.get(code, ""),
    }
    if errors:
        body["errors"] = list(errors)
    return JSONResponse(body, status, headers=headers, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Answer every failure with a problem, never with a traceback."""

    @app.exception_handler(Permanent)
    def permanent(_request: Request, failure: Permanent) -> JSONResponse:
        return problem(failure.code, failure.message)

    @app.exception_handler(Temporary)
    def temporary(_request: Request, failure: Temporary) -> JSONResponse:
        headers = {"Retry-After": str(max(1, round(failure.delay_seconds)))}
        return problem(failure.code, failure.message, headers=headers)

    @app.exception_handler(FileErrors)
    def file_errors(_request: Request, failure: FileErrors) -> JSONResponse:
        errors = [
            {name: getattr(place, name) for name in ("file", "line", "column", "field", "what", "allowed")}
            for place in failure.places
        ]
        return problem(failure.code, failure.what, errors=errors)

    @app.exception_handler(RequestValidationError)
    def malformed(_request: Request, failure: RequestValidationError) -> JSONResponse:
        errors = [
            {"field": ".".join(str(part) for part in each["loc"]), "what": each["msg"]}
            for each in failure.errors()
        ]
        words = "; ".join(f"{each['field']}: {each['what']}" for each in errors[:5])
        return problem("request-malformed", words, errors=errors)

    @app.exception_handler(HTTPException)
    def http(_request: Request, failure: HTTPException) -> JSONResponse:
        code = {404: "path-unknown", 405: "method-unknown"}.get(failure.status_code, "request-malformed")
        return problem(code, str(failure.detail))

    @app.exception_handler(ClientDisconnect)
    def gone(_request: Request, _failure: ClientDisconnect) -> Response:
        return Response(status_code=_CLIENT_GONE)  # for nobody: the client left before its body was here

    @app.exception_handler(Exception)
    def internal(request: Request, failure: Exception) -> JSONResponse:
        log.error("%s %s failed", request.method, request.url.path, exc_info=failure)
        return problem("internal", "The hub met a fault of its own; nothing was changed by this request.")
