"""Error pages that can be read, also while the database is away: they ask nothing of it."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from typing import Any

import psycopg2
from flask import Blueprint, Flask, Response, g, make_response, redirect, render_template, request, url_for
from sqlalchemy.exc import DataError, DBAPIError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from app.dashboard.headers import loggable
from app.db import AWAY, db
from app.errors import CallboardError, Conflict, Locked, Unavailable
from app.observe import logs

log = logs.get(__name__)

# What to say, and what to do about it, where the error itself does not know better.
ADVICE = {
    400: (
        "This request cannot be read",
        "Go back and try it again; a page that was open for long may need a reload.",
    ),
    401: ("Please sign in", "Your session has ended."),
    403: ("You may not do this", "Your role does not include it. Ask an admin if you need it."),
    404: ("There is nothing here", "The address may be mistyped, or what was here has been cleaned up."),
    405: ("This does not work that way", "The address exists, but not for this kind of request."),
    409: ("Not possible now", "It has changed meanwhile. Look at it again and then decide."),
    413: ("That is too large", "Send less, or raise MAX_BODY_BYTES."),
    422: ("That cannot be accepted", "Go back and correct what was entered."),
    429: ("Too many requests", "Wait a little and then go on."),
    500: ("Something went wrong here", "It was logged with the number below. Nothing you did is lost."),
    503: (
        "Callboard cannot reach its database",
        "Jobs go on where they can; this page tries again by itself.",
    ),
}


def register(blueprint: Blueprint, app: Flask) -> None:
    """Draw the errors of the dashboard's views, and those of addresses that lead nowhere.

    Who registered for HTTP errors before (the API, for its own addresses) is asked first.
    """
    blueprint.register_error_handler(Exception, answer)
    earlier = app.error_handler_spec[None][None].get(HTTPException)

    def outside_of_views(error: HTTPException) -> AnyResponse:
        said: Any = earlier(error) if earlier else error
        return answer(error) if said is error else app.make_response(said)

    app.register_error_handler(HTTPException, outside_of_views)


def answer(error: Exception) -> AnyResponse:
    """The page for `error`; whoever must sign in is sent there, and comes back afterwards."""
    with suppress(*AWAY):
        db.session.rollback()
    if isinstance(error, HTTPException) and error.response is not None:
        return error.response  # type: ignore[return-value]
    status, detail, retry_after = meaning(error)
    if status == 401 and not _is_fragment():
        back = request.full_path.rstrip("?") if request.method == "GET" else None
        return redirect(url_for("dashboard.sign_in", next=back))
    return _page(status, detail, retry_after, error.allowed if isinstance(error, Conflict) else [])


def meaning(error: Exception) -> tuple[int, str | None, int | None]:
    """Status, sentence and seconds to wait; what nobody foresaw is logged."""
    if isinstance(error, CallboardError):
        retry_after = error.retry_after if isinstance(error, Unavailable | Locked) else None
        return error.status, error.message, retry_after
    if isinstance(error, HTTPException):
        return error.code or 500, None, 30 if error.code == 429 else None
    if isinstance(error, AWAY) or (isinstance(error, DBAPIError) and error.connection_invalidated):
        log.warning("page.database_away", error=type(error).__name__)
        return 503, None, 5
    if isinstance(error, psycopg2.DataError | DataError):
        log.warning("page.unstorable", error=str(error).partition("\n")[0])
        return 422, None, None
    if isinstance(error, ValueError) and _has_nul():  # Postgres takes none
        return 400, None, None
    log.error("page.failed", path=loggable(request.path), exc_info=error)
    return 500, None, None


def _has_nul() -> bool:
    """Whether somebody sent a NUL in a form; addresses with one get no further than the door."""
    return any("\x00" in text for pair in request.form.items(multi=True) for text in pair)


def _page(status: int, detail: str | None, retry_after: int | None, allowed: list[str]) -> Response:
    title, advice = ADVICE.get(status, (HTTPStatus(status).phrase, ""))
    if _is_fragment():
        response = make_response(title, {"Content-Type": "text/plain; charset=utf-8"})
    else:
        response = make_response(
            render_template(
                "errors/error.html",
                status=status,
                title=title,
                advice=advice,
                detail=detail,
                allowed=allowed,
                retry_after=retry_after,
                request_id=g.get("request_id"),
            )
        )
    response.status_code = status
    if retry_after:
        response.headers["Retry-After"] = str(retry_after)
    return response


def _is_fragment() -> bool:
    return request.path.startswith("/ui/")
