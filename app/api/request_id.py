"""One id per request, in its answer, its problem documents, its jobs and every log line written meanwhile."""

from __future__ import annotations

import structlog
import uuid_utils
from flask import Flask, Response, g, has_request_context, request

from app.observe import correlation

HEADER = correlation.HEADERS[0]


def init_app(app: Flask) -> None:
    """Give every request of `app` an id: the caller's if it is an acceptable one, else a new one."""
    app.before_request(_bind)
    app.after_request(_answer)


def current() -> str | None:
    """The present request's id; None outside of a request."""
    if not has_request_context():
        return None
    if "request_id" not in g:
        _bind()
    return str(g.request_id)


def _bind() -> None:
    if "request_id" in g:
        return
    named = (correlation.accepted(request.headers.get(header)) for header in correlation.HEADERS)
    g.request_id = next(filter(None, named), None) or str(uuid_utils.uuid7())
    structlog.contextvars.clear_contextvars()  # a thread serves one request after the other
    structlog.contextvars.bind_contextvars(request_id=g.request_id)
    correlation.bind(g.request_id)


def _answer(response: Response) -> Response:
    response.headers[HEADER] = current() or ""
    return response
