"""What comes back into a session: the ends of the jobs and workflows that it handed out, with what they left.

Called by whoever follows up what ended, perhaps twice: what is told already is not told again. What is secret in
a result by its agent's schema is not told here either.
"""

from __future__ import annotations

from typing import Any

from app.agents import secrecy
from app.db import Row, db, dumps
from app.errors import NotFound
from app.jobs import document, queries
from app.sessions import access, events, made
from app.sessions.delegating import CALLBACK
from app.workflows import queries as workflows

JSON = dict[str, Any]
LONGEST_EXCERPT = 2000
MOST_FILES = 20
"""Named with the end of a job; each has an event of its own."""
_SAYS_IT = ("summary", "content", "text", "result", "output", "answer", "message")
"""What of a result people read, the most telling first."""


def job_settled(job_id: str) -> None:
    """The session of a finished job hears of it: what it left, its headline, an excerpt or the error, and what it cost.

    Nothing for a job without a session, or one that is gone.
    """
    try:
        row = queries.get(job_id, full=True)
    except NotFound:  # removed since, by retention
        return
    session_id = row["session_id"]
    if session_id is None or row["finished_at"] is None or access.find(session_id, hold=True) is None:
        return
    kind = f"job.{row['status']}"
    if _told(session_id, kind, "job_id", job_id):
        return
    by = row["agent_id"]
    files = made.take_from_job(session_id, job_id, by=by)
    also_to = (row["options"] or {}).get(CALLBACK)
    events.append(session_id, kind, _of_job(row, files), by, also_to=also_to)


def _of_job(row: Row, files: list[Row]) -> JSON:
    told = {
        "job_id": row["job_id"],
        "agent_id": row["agent_id"],
        "task_name": row["task_name"],
        "status": row["status"],
        "status_reason": row["status_reason"],
        "cost_usd": (row["usage"] or {}).get("cost_usd"),
        "duration_seconds": _seconds(row),
        "artifacts": [
            {name: file[name] for name in ("artifact_id", "name", "type")} for file in files[:MOST_FILES]
        ],
    }
    result = document.without_secrets(row).get("result")
    if result is not None:
        told |= {"headline": _headline(result), "excerpt": excerpt(result)}
    if row["error"] and row["status"] != "completed":
        told["error"] = _error(row["error"], ("type", "message"))
    return told


def _seconds(row: Row) -> float | None:
    return (row["finished_at"] - row["started_at"]).total_seconds() if row["started_at"] else None


def _headline(result: Any) -> str | None:
    said = result.get("headline") if isinstance(result, dict) else None
    text = said.get("text") if isinstance(said, dict) else None
    return text[:LONGEST_EXCERPT] if isinstance(text, str) else None


def excerpt(result: Any) -> str:
    """The beginning of what people read of a result: its text if it has one, else all of it as JSON."""
    if isinstance(result, dict):
        texts = (result[name] for name in _SAYS_IT if isinstance(result.get(name), str))
        return (next(texts, None) or dumps(result))[:LONGEST_EXCERPT]
    return (result if isinstance(result, str) else dumps(result))[:LONGEST_EXCERPT]


def workflow_settled(workflow_id: str) -> None:
    """The session that started a finished run hears of it; nothing for any other run."""
    try:
        row = workflows.get(workflow_id, full=True)
    except NotFound:
        return
    session_id = row["session_id"]
    if session_id is None or row["finished_at"] is None or access.find(session_id, hold=True) is None:
        return
    if _told(session_id, "workflow.finished", "workflow_id", workflow_id):
        return
    names = ("workflow_id", "name", "status", "total_steps", "completed_steps")
    told = {name: row[name] for name in names}
    if row["error"]:
        told["error"] = _error(row["error"], ("step_id", "type", "message"))
    if row["output"] is not None:
        told["excerpt"] = excerpt(secrecy.hidden(None, row["output"]))
    events.append(session_id, "workflow.finished", told, row["submitted_by"])


def _error(error: JSON, names: tuple[str, ...]) -> JSON:
    return {name: str(said)[:LONGEST_EXCERPT] for name in names if (said := error.get(name)) is not None}


def _told(session_id: str, kind: str, name: str, subject_id: str) -> bool:
    return bool(
        db.value(
            """SELECT 1 FROM session_events WHERE session_id = %(id)s AND type = %(kind)s
                 AND data ->> %(name)s = %(subject)s LIMIT 1""",
            id=session_id,
            kind=kind,
            name=name,
            subject=subject_id,
        )
    )
