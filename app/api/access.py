"""Of every request, of pages and the API alike: where it comes from, for the audit log, and that it came.

Counting costs no query; what was counted is written down twice a minute, after an answer has gone out, and when
the process ends.
"""

from __future__ import annotations

import atexit
from contextlib import suppress
from typing import cast

from flask import Flask, Response, g, request

from app.api import request_id
from app.audit import access, origin
from app.db import AWAY, db
from app.observe import logs

log = logs.get(__name__)

DOORS = {"api": "api", "dashboard": "page", "mcp": "mcp"}
VIA = "callboard.via"
"""In the environment of a request that another door makes in a caller's name: that door."""
UNKNOWN = "(unknown)"
"""Stands for the endpoint of addresses that lead nowhere."""


def init_app(app: Flask) -> None:
    """Know where each request of `app` comes from, and count it."""
    app.before_request(_bind)
    app.after_request(_count)
    app.teardown_request(_clear)
    atexit.register(_at_exit)


def _bind() -> None:
    origin.bind(
        ip=request.remote_addr,
        user_agent=request.headers.get("User-Agent"),
        correlation_id=request_id.current(),
        via=request.environ.get(VIA) or DOORS.get(request.blueprint or ""),
    )


def _clear(_error: BaseException | None) -> None:
    origin.clear()


def _count(response: Response) -> Response:
    rule = request.url_rule
    if request.blueprint in DOORS or rule is None:
        who = g.get("principal")
        access.note(
            cast(str, who.user_id) if who else "",
            request.method,
            rule.rule if rule else UNKNOWN,
            response.status_code,
            request.remote_addr,
        )
        if access.due():
            response.call_on_close(write_down)
    return response


def write_down() -> None:
    """Never the business of who asks: what cannot be written now is written later."""
    try:
        with db.quick():
            access.flush()
    except AWAY as away:
        log.warning("access.not_written", error=type(away).__name__)
    except Exception:
        log.exception("access.not_written")


def _at_exit() -> None:
    """Without a word: the log may be closed by now."""
    if access.waiting():
        with suppress(Exception), db.quick():
            access.flush()
