"""The log of a job: filtered by level, source and attempt, as lines or as raw entries, live by cursor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Response, render_template, url_for
from werkzeug.datastructures import MultiDict

from app.dashboard import job_seen
from app.dashboard.htmx import STOP, Context, Feed, Lines, asked, every, number
from app.dashboard.job_tree import exact
from app.dashboard.session import settings
from app.db import Row
from app.jobs import timeline, told

AT_ONCE = 500
"""Lines in the page, and in one answer of the feed."""
LONGEST_SOURCE = 100
ENTRY = ("seq", "at", "attempt", "level", "source", "message", "data")
"""What a raw entry has."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What of the log an address asks for; unknown words are ignored."""

    level: str = ""
    source: str = ""
    attempt: int | None = None
    raw: bool = False

    @classmethod
    def of(cls, values: MultiDict[str, str]) -> Wanted:
        """Read the address of the page or of the feed."""
        level, attempt = values.get("level", ""), values.get("attempt", "")
        return cls(
            level=level if level in told.LEVELS else "",
            source=values.get("source", "")[:LONGEST_SOURCE].replace("\x00", ""),
            attempt=number(attempt) if attempt.isdecimal() else None,
            raw=values.get("raw") == "1",
        )

    def query(self, **other: Any) -> dict[str, Any]:
        """The same for another address."""
        said = {
            "level": self.level,
            "source": self.source,
            "attempt": self.attempt,
            "raw": "1" if self.raw else "",
        }
        return {name: value for name, value in (said | other).items() if value not in ("", None)}

    def filter(self) -> told.Filter:
        """The same for who reads the log."""
        return {"level": self.level or None, "source": self.source or None, "attempt": self.attempt}


def part(row: Row) -> Context:
    """The newest lines and, below a cursor in the address (`before`), those that stand before it."""
    wanted, before = Wanted.of(asked()), number(asked().get("before")) or None
    lines = told.before(row["job_id"], before, limit=AT_ONCE, wanted=wanted.filter())
    names = told.sources(row["job_id"])
    return {
        "lines": _with_heads(lines, None),
        "wanted": wanted,
        "levels": told.LEVELS,
        "sources": names if wanted.source in (*names, "") else [*names, wanted.source],
        "earlier": lines[0]["seq"] if len(lines) == AT_ONCE else None,
        "is_past": before is not None,
        "cursor": row["last_seq"],
        "feed": None if before else url_for(LOG.endpoint, job_id=row["job_id"], **wanted.query()),
        "log_poll": _poll(row),
    }


def _with_heads(lines: list[Row], attempt: int | None) -> list[Row]:
    """The lines, each saying whether another attempt begins with it; the first attempt needs no heading."""
    shown = []
    for line in lines:
        begins = line["attempt"] != attempt and (attempt is not None or line["attempt"] > 1)
        shown.append(line | {"begins": begins, "entry": exact({n: line[n] for n in ENTRY}, indent=None)})
        attempt = line["attempt"]
    return shown


def _read(after: int, job_id: str) -> Lines:
    """What it logged above a cursor, of what the address asks for."""
    row, wanted = job_seen.readable(job_id), Wanted.of(asked())
    lines = told.after(row["job_id"], after, limit=AT_ONCE, wanted=wanted.filter())
    if not lines:
        return Lines("", max(after, row["last_seq"]), _poll(row))
    more = len(lines) == AT_ONCE
    shown = _with_heads(lines, told.attempt_at(row["job_id"], after) if after else None)
    return Lines(
        render_template("job/_lines.html", lines=shown, wanted=wanted),
        lines[-1]["seq"] if more else max(row["last_seq"], lines[-1]["seq"]),
        every(0) if more else _poll(row),
    )


def _glance(job_id: str) -> tuple[int, str]:
    row = job_seen.glimpsed(job_id)
    return row["last_seq"], _poll(row)


def _poll(row: Row) -> str:
    # One more look after the end: the last lines and the final status are written apart.
    return STOP if row["finished_at"] is not None else every(settings().poll_running_ms)


def text(job_id: str) -> Response:
    """GET /jobs/<job_id>/log.txt: the whole log as text."""
    row = job_seen.readable(job_id)
    lines = timeline.log(row["job_id"], limit=settings().max_log_lines)
    whole = "".join(
        f"{line['at'].isoformat()} {line['level']:7} {line['source']}: {line['message']}\n" for line in lines
    )
    return Response(whole, mimetype="text/plain")


LOG = Feed(name="job_log", read=_read, glance=_glance)
