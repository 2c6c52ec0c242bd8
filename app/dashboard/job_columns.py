"""Which columns the list of jobs shows: everybody's own choice, kept in a cookie."""

from __future__ import annotations

from typing import NamedTuple

from flask import redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.dashboard.job_filter import Wanted

COOKIE = "job_columns"
A_YEAR = 31_536_000


class Column(NamedTuple):
    """A column: its word, how wide it is in rem (as in static/css/jobs.css), and whether it is there at first."""

    word: str
    width: float
    usual: bool = True


COLUMNS = {
    "state": Column("State", 11.5),
    "progress": Column("Progress", 7),
    "priority": Column("Priority", 7),
    "attempt": Column("Attempt", 5.5),
    "quality": Column("Quality", 7, usual=False),
    "cost": Column("Cost", 8),
    "age": Column("Age", 7),
    "duration": Column("Took", 6, usual=False),
    "worker": Column("Worker", 10, usual=False),
    "tags": Column("Tags", 10, usual=False),
    "submitter": Column("Submitted by", 10, usual=False),
}
USUAL = tuple(name for name, column in COLUMNS.items() if column.usual)
OTHERS = 24
"""What the job itself, the tick and the menu need, in rem."""


def chosen() -> tuple[str, ...]:
    """The columns that whoever asks wants to see, in their order."""
    kept = request.cookies.get(COOKIE)
    if kept is None:
        return USUAL
    named = kept.split(".")
    return tuple(name for name in COLUMNS if name in named)


def room(columns: tuple[str, ...]) -> int:
    """How wide a table of these must be at least, in steps of ten rem; narrower it is scrolled."""
    return -int(-(OTHERS + sum(COLUMNS[name].width for name in columns)) // 10) * 10


def keep() -> AnyResponse:
    """POST /jobs/columns: show these from now on; `usual` goes back to the first choice."""
    response = redirect(url_for("dashboard.jobs", **Wanted.of(request.form).query()), 303)
    if "usual" in request.form:
        response.delete_cookie(COOKIE)
    else:
        wanted = request.form.getlist("column")
        text = ".".join(name for name in COLUMNS if name in wanted) or "-"
        response.set_cookie(
            COOKIE, text, max_age=A_YEAR, samesite="Lax", httponly=True, secure=request.is_secure
        )
    return response
