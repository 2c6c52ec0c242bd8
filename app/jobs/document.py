"""The one status document of a job: API, lists, batches, pages and programs all show this and nothing else."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app import clock
from app.accounts.permissions import Principal, may, may_answer
from app.agents import registry, secrecy
from app.db import Row
from app.jobs import queries, stats, timeline
from app.jobs.states import FINAL, WAITING, Priority, Status
from app.observe import correlation
from app.polling import hints

MOVES_SECONDS = 10
"""So often what a waiting job waits for is looked at anew."""


def document(
    row: Row, who: Principal, pace: hints.Pace, *, log_lines: int = 0, log_after: int | None = None
) -> Row:
    """The status document of `row` (from queries.get) as `who` may see it (requirements 25.2).

    With a `full` row it carries parameters, result and stack trace for those who may see them. `log_lines` adds
    the newest lines, `log_after` those after a cursor.
    """
    shown = _facts(row) | _waiting(row)
    shown["poll"] = poll_hint(row, pace)
    shown["actions"] = actions(row, who)
    shown["links"] = links(row["job_id"])
    shown["watchdog"] = _watchdog(row, who)
    shown["children"] = row.get("children", 0)
    if may(who, "view_task_content", row["submitted_by"]):
        shown |= _content(row)
        if log_after is not None:
            shown["logs"] = timeline.log(row["job_id"], after=log_after, limit=log_lines or 200)
        elif log_lines:
            shown["logs"] = timeline.newest(row["job_id"], log_lines)
    elif shown["error"]:
        shown["error"] = {k: shown["error"].get(k) for k in ("type", "class", "code")}
    return shown


def _facts(row: Row) -> Row:
    finished, status = row["finished_at"], row["status"]
    return {
        "job_id": row["job_id"],
        "task_id": row["job_id"],
        "agent_id": row["agent_id"],
        "agent_version": row["agent_version"],
        "agent_version_number": row.get("agent_version_number"),
        "pinned": row["pinned"],
        "task_name": row["task_name"],
        "status": status,
        "status_reason": row["status_reason"],
        "priority": Priority(row["priority_rank"]).word,
        "pool": row["pool"],
        "progress": row["progress"],
        "stage": row["stage"],
        "current_step": row["current_step"],
        "message": row["current_step"],
        "submitted_at": row["submitted_at"],
        "submitted_by": row["submitted_by"],
        "queued_at": row["queued_at"],
        "started_at": row["started_at"],
        "completed_at": finished if status in ("completed", "failed") else None,
        "cancelled_at": finished if status == "cancelled" else None,
        "updated_at": row["updated_at"],
        "duration_seconds": _seconds(row["started_at"], finished, less=row["asked_seconds"]),
        "next_retry_at": row["run_at"] if status == "retry" and not _is_held(row) else None,
        "scheduled_for": row["run_at"] if status == "pending" else None,
        "cancel_requested": row["cancel_requested_at"] is not None,
        "attempt": row["fence"],
        "retry_count": row["retry_count"],
        "max_retries": row["max_retries"],
        "lost_count": row["lost_count"],
        "released_count": row["released_count"],
        "worker_id": row["worker_id"],
        "process_id": row["process_id"],
        "usage": row["usage"] or {},
        "error": row["error"],
        "dead_lettered": status == "failed",
        "verdict": row["verdict"],
        "quality_score": row["quality_score"],
        "asked_since": row["asked_at"],
        "approval_id": (row["asks"] or {}).get("approval_id"),
        "tags": row["tags"],
        "retry_of_job_id": row["retry_of_job_id"],
        "replay_of_job_id": row["replay_of_job_id"],
        "workflow_id": row["workflow_id"],
        "step_id": row["step_id"],
        "schedule_id": row["schedule_id"],
        "session_id": row["session_id"],
        "parent_job_id": row["parent_job_id"],
        "depth": row["depth"],
        "correlation_id": row["correlation_id"],
        "trace_id": correlation.trace_id(row["traceparent"]),
        "log_cursor": row["last_seq"],
        "version": row["version"],
        "timestamp": clock.now(),
    }


def _is_held(row: Row) -> bool:
    return row["status_reason"] in queries.HOLDS


def _seconds(start: datetime | None, end: datetime | None, *, less: float = 0) -> float | None:
    """How long it ran, `less` what it waited for people; a clock that went back never makes it negative."""
    if start is None or end is None:
        return None
    return max(0.0, round((end - start).total_seconds() - less, 3))


def seconds_run(row: Row) -> float:
    """How long it ran until now, or until its end; 0 if it never did."""
    return _seconds(row["started_at"], row["finished_at"] or clock.now(), less=row["asked_seconds"]) or 0.0


def _waiting(row: Row) -> Row:
    position = queries.queue_position(row) if row["status"] in WAITING else None
    wait = stats.estimated_wait_seconds(position)
    return {
        "queue_position": position,
        "estimated_wait_time_seconds": wait,
        "estimated_completion": None,
        "held": queries.held(row),
        "agent_hold": _agent_hold(row["agent_id"]) if row["status"] in WAITING else None,
    }


def _agent_hold(agent_id: str) -> Row | None:
    """What holds all jobs of the agent, if something does: {reason, message, until}."""
    for hold in registry.holds(agent_id):
        return {"reason": hold["code"], "message": hold["message"], "until": hold["until"]}
    return None


def _watchdog(row: Row, who: Principal) -> Row | None:
    """What the watchdog noticed of a running job; what the job said last is content."""
    seen: Row | None = row["watchdog"] if row["status"] == "running" else None
    if seen and not may(who, "view_task_content", row["submitted_by"]):
        return {"state": seen["state"], "since": seen["since"], "last": None}
    return seen


def _content(row: Row) -> Row:
    shown = {
        name: row[name]
        for name in ("parameters", "result", "stack_trace", "options", "notify", "headline")
        if name in row
    }
    return shown | without_secrets(row)


def without_secrets(row: Row) -> Row:
    """Parameters and result of a job, as far as `row` has them, with masks in the place of what is secret."""
    if "parameters" not in row and "result" not in row:
        return {}
    schemas = zip(
        ("parameters", "result"), secrecy.schemas(row["agent_id"], row["agent_version"]), strict=True
    )
    return {name: secrecy.hidden(schema, row[name]) for name, schema in schemas if name in row}


def poll_hint(row: Row, pace: hints.Pace) -> Row:
    """{next_after_ms, terminal}: when to ask again; null when nothing will change any more."""
    now = clock.now()
    due = (row["run_at"] - now).total_seconds() if row["status"] in ("pending", "retry") else None
    quiet = max(0.0, (now - row["updated_at"]).total_seconds())
    after = hints.next_after_ms(row["status"], quiet, pace, due)
    return {"next_after_ms": after, "terminal": after is None}


def actions(row: Row, who: Principal) -> list[str]:
    """What `who` may do with the job now."""
    status, owner = row["status"], row["submitted_by"]
    possible = []
    if status not in FINAL and not row["cancel_requested_at"] and may(who, "cancel_task", owner):
        possible.append("cancel")
    if status in WAITING and may(who, "change_priority", owner):
        possible.append("change_priority")
    if row["asks"] and may(who, "answer_approval") and may_answer(row["asks"], who):
        possible.append("answer")
    if status in FINAL and may(who, "retry_task", owner):
        possible += ["retry", "replay"]
        if row["status_reason"] == "stopped_budget":
            possible.append("resume")
    return possible


def links(job_id: str) -> dict[str, str]:
    """Where to go from here."""
    base = f"/api/v1/jobs/{job_id}"
    return {
        "self": base,
        "status": f"{base}/status",
        "cancel": f"{base}/cancel",
        "retry": f"{base}/retry",
        "replay": f"{base}/replay",
        "logs": f"{base}/logs",
        "page": f"/jobs/{job_id}",
    }


def etag(row: Row, who: Principal, extra: str = "") -> str:
    """What changes whenever the document would: the job's version, who looks, and a waiting job's place.

    `row` needs what queries.version has. A waiting job's place in the queue moves without the job itself changing, and
    so does who may answer what it asks: its tag also changes every ten seconds, as often as the figures behind the
    estimate do. Each job has its own moment for that, else all who wait would be drawn anew in the same one.
    """
    moves = row["status"] in (*WAITING, Status.AWAITING_INPUT)
    return etag_at_rest(row, who, (f".{turns(row['job_id'], MOVES_SECONDS)}" if moves else "") + extra)


def etag_at_rest(row: Row, who: Principal, extra: str = "") -> str:
    """The same for what is shown of the job itself, and nothing of what it waits for."""
    sees = "c" if may(who, "view_task_content", row["submitted_by"]) else "s"
    return f'"{row["version"]}.{sees}{who.role[0]}{extra}"'


def turns(job_id: str, seconds: int) -> int:
    """How many times so many seconds have passed, counted from a moment that depends on the id's random end."""
    return int((clock.now().timestamp() + int(job_id[-4:], 16) / 0x10000 * seconds) // seconds)


def brief(row: Row, who: Principal) -> dict[str, Any]:
    """One line of a list: the same names, fewer of them."""
    shown = _facts(row)
    names = (
        "job_id", "task_id", "agent_id", "task_name", "status", "status_reason", "priority", "pool", "progress",
        "stage", "current_step", "submitted_at", "started_at", "completed_at", "cancelled_at", "duration_seconds",
        "attempt", "retry_count", "max_retries", "next_retry_at", "scheduled_for", "cancel_requested",
        "dead_lettered", "tags", "submitted_by", "version", "verdict", "quality_score", "asked_since",
        "approval_id",
    )  # fmt: skip
    short = {name: shown[name] for name in names}
    if row["error"]:
        seen = ("type", "message") if may(who, "view_task_content", row["submitted_by"]) else ("type",)
        short["error"] = {k: row["error"].get(k) for k in seen}
    if may(who, "view_task_content", row["submitted_by"]):
        short["headline"] = row["headline"]
    short["actions"] = actions(row, who)
    return short
