"""How polling goes: measured at every polled answer of this process, and told by those who poll.

Polled are the panels of pages (`/ui/…`) and the status of jobs. Measuring costs two looks at a clock; what was
counted is written down every few seconds, after the answer has gone out.
"""

from __future__ import annotations

import time
from typing import Annotated

from flask import Flask, Response, g, request
from pydantic import Field

from app.api import auth, errors
from app.api.glue import op
from app.api.reading import Input
from app.db import AWAY, db
from app.observe import logs
from app.polling import measured, reports
from app.polling.minutes import SPREAD_MS

log = logs.get(__name__)

LOOK, PANELS = "dashboard.look", "dashboard.ui_"

Count = Annotated[int, Field(ge=0)]
Length = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class PollingReportIn(Input):
    """What somebody who polls saw since their last report."""

    polls: Count = 0
    unchanged: Count = Field(0, description="Answered 304.")
    failures: Count = Field(0, description="Not answered, or by an error of the server.")
    timeouts: Count = Field(0, description="Of the failures.")
    ms_sum: Length = Field(0, description="How long all of them took together.")
    ms_most: Length = Field(0, description="How long the slowest took.")
    ms_spread: list[Count] = Field(
        default_factory=lambda: [0] * (len(SPREAD_MS) + 1),
        min_length=len(SPREAD_MS) + 1,
        max_length=len(SPREAD_MS) + 1,
        description=f"How many took at most {', '.join(map(str, SPREAD_MS))} ms each, and longer; adds up to polls.",
    )
    recoveries: Count = Field(0, description="How often a good answer followed failures.")
    recovery_seconds_sum: Length = Field(0, description="From the first failure to that answer, summed.")
    recovery_seconds_most: Length = 0
    seconds: float = Field(gt=0, le=reports.MOST_SECONDS, description="Which time this covers.")


@op("POST", "/api/v1/polling/report", verb="view_self", status=204)
def report_polling(body: PollingReportIn) -> None:
    """Tell how your polls went, once a minute at most: it counts failures that the server never sees."""
    if (request.content_length or 0) > reports.MOST_BYTES:
        raise errors.Unreadable(f"A report has at most {reports.MOST_BYTES} bytes.")
    reports.take(body.model_dump())


def init_app(app: Flask) -> None:
    """Measure the polled answers of `app`."""
    app.before_request(_begin)
    app.after_request(_measure)


def _begin() -> None:
    if is_polled():
        g.poll_began = time.perf_counter()
        db.asked.begin()


def is_polled() -> bool:
    """Whether the present request is one of those that are made again and again."""
    if request.method != "GET":
        return False
    endpoint = request.endpoint or ""
    return auth.is_polled() or endpoint == LOOK or endpoint.startswith(PANELS)


def _measure(response: Response) -> Response:
    began: float | None = g.pop("poll_began", None)
    if began is not None:
        measured.note(
            (time.perf_counter() - began) * 1000,
            response.status_code,
            queries=db.asked.queries,
            query_ms=db.asked.seconds * 1000,
            query_most_ms=db.asked.most_seconds * 1000,
        )
        if measured.due():
            response.call_on_close(_write_down)
    return response


def _write_down() -> None:
    """Never the business of who polls: what cannot be written now is written later."""
    try:
        with db.quick():
            measured.flush()
    except AWAY as away:
        log.warning("polling.not_written", error=type(away).__name__)
    except Exception:
        log.exception("polling.not_written")
