"""Why a job stopped, in words, and what to do about it: the mirror of why it is not running."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

from app import audit, clock
from app.accounts.permissions import may
from app.agents import registry
from app.dashboard import links
from app.dashboard.session import asking
from app.db import Row
from app.errors import NotFound
from app.jobs import dead_letters, intake, timeline, told
from app.quality import drafts

LAST_LINES = 20
LONGEST_LINE = 400
SEEN_WITHIN = "24h"
MOST_SEEN = 1000
AROUND = timedelta(minutes=1)

# What may be done about an error, by its class.
ADVICE = {
    "permanent": "Trying the same again will not help: change the parameters, or what they point at.",
    "timeout": "It ran out of time: give it a longer limit, or less to do.",
    "rate_limit": "A service was asked too often: try again later.",
    "lost": "Its workers died while it ran: look at their memory before trying again.",
}
PASSING = "This may pass by itself: it can be tried again."
# The same by what ended the job, where that says more.
ADVICE_BY_REASON = {
    "stalled": "It made no progress for longer than its agent allows: see what it did last, then try again.",
    "not_permitted": "Somebody said no to what it wanted to do. Ask them, or let it do something else.",
    "poison": "It took its workers down again and again: look at their memory before trying again.",
}


def why(row: Row, shown: Row) -> Row | None:
    """What ended the job: {kind, …} for the template; None while it goes on, or when it simply completed."""
    if row["status"] == "cancelled":
        return _cancelled(row)
    if row["status"] == "failed":
        return _budget(row, shown) if row["status_reason"] == "stopped_budget" else _failed(row, shown)
    if row["status"] == "completed" and row["verdict"] == "rejected":
        return _rejected(row, shown)
    return None


def _cancelled(row: Row) -> Row:
    """By whom and when; nobody is named where it was not a person who cancelled this one job."""
    since = (row["cancel_requested_at"] or row["finished_at"]) - AROUND
    entry = audit.newest(row["job_id"], ["job.cancelled"], since=since, until=row["finished_at"] + AROUND)
    return {
        "kind": "cancelled",
        "by": links.person(entry["actor"]) if entry else None,
        "at": entry["at"] if entry else row["finished_at"],
        "with_workflow": row["workflow_id"] is not None and entry is None,
    }


def _budget(row: Row, shown: Row) -> Row:
    return {"kind": "budget", "raisable": raisable(row) if "resume" in shown["actions"] else {}}


def raisable(row: Row) -> dict[str, float]:
    """What the job might use, by unit, where the person who looks may give it more."""
    agents_own = registry.demand(row["agent_id"]).budget or {}
    return {
        unit: had
        for unit, had in intake.allowance(row).items()
        if may(asking(), "exceed_budget") or had < agents_own.get(unit, math.inf)
    }


def _failed(row: Row, shown: Row) -> Row:
    error = shown["error"] or {}
    first, _, rest = str(error.get("message") or "").strip().partition("\n")
    is_seen = may(asking(), "view_task_content", row["submitted_by"])
    return {
        "kind": "failed",
        "type": error.get("type"),
        "class": error.get("class"),
        "first": first[:LONGEST_LINE] + ("…" if len(first) > LONGEST_LINE else ""),
        "rest": error["message"] if rest or len(first) > LONGEST_LINE else "",
        "advice": ADVICE_BY_REASON.get(row["status_reason"]) or ADVICE.get(error.get("class", ""), PASSING),
        "tail": timeline.newest(row["job_id"], LAST_LINES) if is_seen else [],
        "group": _group(row),
        "lost": _lost(row) if row["lost_count"] else [],
    }


def letter(row: Row) -> Row | None:
    """The dead letter of a failed job, for those who may see it."""
    if row["status"] != "failed" or not may(asking(), "view_dlq"):
        return None
    try:
        return dead_letters.get(row["job_id"])
    except NotFound:  # removed by retention
        return None


def _group(row: Row) -> Row | None:
    """How often the same went wrong: {key, seen, window, new_job_id}."""
    found = letter(row)
    if found is None:
        return None
    since = clock.now() - dead_letters.WINDOWS[SEEN_WITHIN]
    seen = dead_letters.count(group_key=found["group_key"], since=since, cap=MOST_SEEN)
    return {
        "key": found["group_key"],
        "seen": seen,
        "most": MOST_SEEN,
        "window": SEEN_WITHIN,
        "dlq_id": found["dlq_id"],
        "new_job_id": found["new_job_id"] if found["resubmitted"] else None,
    }


def _lost(row: Row) -> list[Row]:
    """The attempts whose worker vanished: {attempt, worker_id, ended_at, memory}; memory where the worker still tells."""
    gone = [each for each in timeline.attempts(row["job_id"]) if each["outcome"] == "lost"]
    used = told.memory([each["worker_id"] for each in gone])
    return [each | {"memory": used.get(each["worker_id"])} for each in gone[-5:]]


def _rejected(row: Row, shown: Row) -> Row:
    """The draft that came nearest to what the gate wants; its words only for those who may read them."""
    found: dict[str, Any] = {"kind": "rejected", "best": None, "feedback": ""}
    scored = [each for each in drafts.outline(row["job_id"]) if each["score"] is not None]
    if scored and "result" in shown:
        best = max(scored, key=lambda each: (each["score"], each["number"]))
        found |= {"best": best, "feedback": (best["report"] or {}).get("feedback") or ""}
    return found
