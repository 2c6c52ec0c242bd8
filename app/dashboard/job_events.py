"""Everything that happened to a job in one list: what it said, of every kind, and its changes of state."""

from __future__ import annotations

from flask import render_template, url_for

from app.dashboard import job_seen
from app.dashboard.htmx import STOP, Context, Feed, Lines, asked, every, number
from app.dashboard.session import settings
from app.db import Row
from app.jobs import told

AT_ONCE = 300
KINDS = {
    "move": "Changes of state",
    "log": "Log lines",
    "progress": "Progress",
    "stage": "Stages",
    "turn": "Turns of the model",
    "tool": "Tool calls",
    "tool_result": "Answers of tools",
    "provider": "Providers",
    "budget": "Budget",
    "watchdog": "Watchdog",
    "quality": "Quality",
    "asked": "Questions",
    "complete": "Completion",
}


def part(row: Row) -> Context:
    """The newest, or those before a cursor in the address (`before`); `kind` narrows them."""
    kind, before = _kind(), number(asked().get("before")) or None
    known = told.end(row["job_id"], row["last_seq"])  # first: what comes in between is fed
    found = told.until(row["job_id"], before, limit=AT_ONCE, kind=kind)
    heard = [each["seq"] for each in found if "seq" in each]
    return {
        "events": found,
        "kind": kind,
        "kinds": KINDS,
        "earlier": heard[0] if len(heard) == AT_ONCE else None,
        "is_past": before is not None,
        "cursor": told.behind(found, known),
        "feed": None if before else url_for(FEED.endpoint, job_id=row["job_id"], kind=kind),
        "events_poll": _poll(row),
    }


def _kind() -> str | None:
    kind = asked().get("kind")
    return kind if kind in KINDS else None


def _read(after: int, job_id: str) -> Lines:
    """What happened behind a cursor."""
    row = job_seen.readable(job_id)
    known = told.end(row["job_id"], row["last_seq"])
    found = told.since(row["job_id"], after, limit=AT_ONCE, kind=_kind())
    more = sum("seq" in each for each in found) == AT_ONCE
    end = found[-1]["cursor"] if more else told.behind(found, known)
    html = render_template("job/_events.html", events=found, kinds=KINDS) if found else ""
    return Lines(html, end, every(0) if more else _poll(row))


def _glance(job_id: str) -> tuple[int, str]:
    row = job_seen.glimpsed(job_id)
    return told.end(row["job_id"], row["last_seq"]), _poll(row)


def _poll(row: Row) -> str:
    return STOP if row["finished_at"] is not None else every(settings().poll_running_ms)


FEED = Feed(name="job_events", read=_read, glance=_glance)
