"""Each execution of a job: how it ended, what it ran with, what it used, and its last lines."""

from __future__ import annotations

from app.dashboard import job_seen
from app.dashboard.htmx import Context, Panel
from app.db import Row
from app.jobs import timeline, told

MOST = 50
LAST_LINES = 6

# What became of an attempt, where its outcome alone says too little.
WORDS = {
    "lost": "Its worker died or was cut off. The job was taken back from it; nothing it wrote afterwards counts.",
    "released": "Its worker was stopping, or something held the job: it was handed back and costs no retry.",
    "asked": "It asked a person and ended; with the answer another attempt goes on.",
    "timeout": "It ran longer than it may.",
}


def part(row: Row) -> Context:
    """The panel alone."""
    return {"attempts_panel": PANEL.embed(job_id=row["job_id"])}


def _read(job_id: str) -> Context:
    row = job_seen.readable(job_id)
    found = timeline.attempts(row["job_id"])
    shown = found[-MOST:]
    tails = told.tails(row["job_id"], [each["attempt"] for each in shown], LAST_LINES)
    return {
        "job": row,
        "attempts": [_told(each, tails) for each in _with_waits(row, shown)][::-1],
        "left_out": len(found) - len(shown),
        "poll": job_seen.slowly(row),
    }


def _with_waits(row: Row, found: list[Row]) -> list[Row]:
    """The attempts, each with how long the job waited before it; a clock that went back makes it nothing."""
    ends = [row["submitted_at"], *(each["ended_at"] for each in found)]
    starts = [each["started_at"] for each in found]
    waits = [
        max(0.0, (start - end).total_seconds()) if end else None
        for end, start in zip(ends, starts, strict=False)
    ]
    return [each | {"waited": wait} for each, wait in zip(found, waits, strict=True)]


def _told(attempt: Row, tails: dict[int, list[Row]]) -> Row:
    seconds = max(0.0, attempt["duration_seconds"])
    return attempt | {
        "duration_seconds": seconds,
        "words": WORDS.get(attempt["outcome"] or "", ""),
        "tail": tails.get(attempt["attempt"], []),
        "worker_page": job_seen.worker_page(attempt["worker_id"]),
    }


PANEL = Panel(name="job_attempts", template="job/_attempts.html", read=_read, glance=job_seen.glance_inside)
