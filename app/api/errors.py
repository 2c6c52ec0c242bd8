"""From what went wrong to what the caller is told: RFC 9457 problem details, in this one place.

{"type": "/docs#problem-conflict", "title": "Conflict", "status": 409, "detail": "…", "instance": "/api/v1/…",
 "code": "conflict", "request_id": "…", "errors": [{"pointer": "/priority", "message": "…"}]}
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import psycopg2
import sqlalchemy.exc
from flask import Flask, Response, request
from flask_limiter import RateLimitExceeded
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.wrappers import Response as AnyResponse

from app.api.answers import dumps
from app.api.request_id import current as current_request_id
from app.db import AWAY
from app.errors import CallboardError, Conflict, Invalid, Locked, Malformed, Unauthenticated, Unavailable
from app.observe import logs

MEDIA_TYPE = "application/problem+json"

# Codes of answers that are born in HTTP, not in a room; the rooms' are in app/errors.py.
CODES = {
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "not_json",
    429: "rate_limited",
    500: "internal",
}

log = logs.get(__name__)


class Unreadable(Malformed):
    """The request cannot be read."""

    def __init__(self, message: str | None = None, fields: list[tuple[str, str]] | None = None) -> None:
        """Keep the sentence and which part of the address is meant."""
        super().__init__(message)
        self.fields = fields or []


def init_app(app: Flask) -> None:
    """Answer errors below /api as problems, also those that no view raised (unknown path, wrong method)."""
    app.register_error_handler(HTTPException, _outside_of_views)


def owns(path: str) -> bool:
    """Whether answers at `path` are the API's to give."""
    return path.startswith(("/api/", "/hooks/")) or path in (
        "/api",
        "/mcp",
        "/metrics",
        "/healthz",
        "/readyz",
        "/llms.txt",
    )


def problem_for(error: Exception) -> Response:
    """The answer to `error`, whatever it is; what nobody foresaw is logged, and told without details."""
    if isinstance(error, CallboardError):
        return _of_room(error)
    if isinstance(error, RateLimitExceeded):
        return problem(429, "rate_limited", f"The limit is {error.limit.limit}; slow down.", retry_after=1)
    if isinstance(error, HTTPException):
        return _of_http(error)
    if isinstance(error, AWAY):
        log.warning("api.database_away", error=type(error).__name__)
        return problem(503, "unavailable", "The database is away; try again.", retry_after=5)
    if isinstance(error, psycopg2.DataError | sqlalchemy.exc.DataError):
        log.warning("api.unstorable", error=str(error).splitlines()[0])
        return problem(422, "invalid", "A value cannot be stored.")
    log.error("api.failed", path=request.path, exc_info=error)
    return problem(500, "internal", "Something went wrong here; the log has it under this request id.")


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    errors: list[tuple[str, str]] | None = None,
    retry_after: int | None = None,
    **more: object,
) -> Response:
    """A problem document as a response."""
    document: dict[str, Any] = {
        "type": f"/docs#problem-{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": request.path,
        "code": code,
        "request_id": current_request_id(),
        **more,
    }
    if errors:
        document["errors"] = [{"pointer": pointer, "message": message} for pointer, message in errors]
    response = Response(dumps(document), status, mimetype=MEDIA_TYPE)
    response.headers["Cache-Control"] = "no-store"
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def _of_room(error: CallboardError) -> Response:
    more: dict[str, object] = {}
    if isinstance(error, Conflict) and error.allowed:
        more["allowed_actions"] = error.allowed
    fields = error.fields if isinstance(error, Invalid | Unreadable) else None
    retry_after = error.retry_after if isinstance(error, Unavailable | Locked) else None
    answer = problem(error.status, error.code, error.message, errors=fields, retry_after=retry_after, **more)
    if isinstance(error, Unauthenticated):
        answer.headers["WWW-Authenticate"] = 'Bearer realm="callboard"'
    return answer


def _of_http(error: HTTPException) -> Response:
    status = error.code or 500
    code = CODES.get(status, HTTPStatus(status).name.lower())
    answer = problem(status, code, error.description or HTTPStatus(status).description)
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        answer.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return answer


def _outside_of_views(error: HTTPException) -> AnyResponse | HTTPException:
    return problem_for(error) if owns(request.path) else error
