"""Who is told of what, and in which words: of finished jobs and workflows, of questions, of schedules that did not fire.

Each function records in the present transaction; delivering is the courier's business.
"""

from __future__ import annotations

from typing import Any

from app.accounts import queries as accounts
from app.accounts.permissions import Principal
from app.db import Row
from app.errors import NotFound
from app.jobs import dead_letters, document, queries
from app.notify import outbox
from app.polling.hints import Pace
from app.schedules import due
from app.workflows import document as runs
from app.workflows import queries as workflows

ADMINS = "admins"
LONGEST = 500
# A schedule that cannot run fails at each of its times, perhaps every minute; so often somebody hears of it.
SCHEDULES_EVERY_MINUTES = 24 * 60
ENDED = {"completed": "completed", "failed": "failed", "cancelled": "was cancelled"}
SEVERITY = {"completed": "success", "failed": "error", "cancelled": "warning"}


def of_job(job_id: str) -> None:
    """Of a finished job: its dead letter to the admins, its end to its owner; steps are told of with their run."""
    try:
        row = queries.get(job_id, full=True)
    except NotFound:  # removed since, by retention
        return
    if row["status"] == "failed":
        _of_dead_letter(row)
    if row["workflow_id"] is None:
        _to_owner(row)


def _of_dead_letter(row: Row) -> None:
    """Grouped by what went wrong, so that a thousand failures of one kind are one piece of news."""
    letter = dead_letters.get(row["job_id"])
    outbox.tell(
        "dead_letter",
        severity="error",
        title=f"{row['agent_id']} failed for good: {letter['error_type']}",
        body=letter["error_message"][:LONGEST],
        link=f"/dead-letters/{letter['dlq_id']}",
        audience=ADMINS,
        subject=("job", row["job_id"]),
        group_key=f"dead_letter:{letter['group_key']}",
        agent_id=row["agent_id"],
        data={
            "dlq_id": letter["dlq_id"],
            "job_id": row["job_id"],
            "agent_id": row["agent_id"],
            "reason": letter["reason"],
            "error_type": letter["error_type"],
            "retry_count": letter["retry_count"],
            "group_key": letter["group_key"],
        },
    )


def _to_owner(row: Row) -> None:
    wish: dict[str, Any] | None = row["notify"]
    owner = _owner(row["submitted_by"])
    # An admin has just been told of the dead letter.
    unasked = row["status"] == "failed" and not (owner and owner["role"] == "admin")
    if wish is None and not unasked:
        return
    error = (row["error"] or {}).get("message") or ""
    told: dict[str, Any] = {}
    if wish is not None:
        told["emails"] = [wish.get("email") or (owner or {}).get("email")] if "email" in wish else []
        told["callback_url"] = wish.get("callback_url")
        if told["callback_url"]:
            told["callback_payload"] = document.document(row, _as_owner(row["submitted_by"]), Pace())
    outbox.tell(
        f"job.{row['status']}",
        severity=SEVERITY[row["status"]],
        title=f"{row['task_name'] or row['agent_id']} {ENDED[row['status']]}",
        body=error[:LONGEST],
        link=f"/jobs/{row['job_id']}",
        audience=row["submitted_by"],
        owner=row["submitted_by"],
        subject=("job", row["job_id"]),
        group_key=None if wish is not None else f"job.failed:{row['agent_id']}",
        agent_id=row["agent_id"],
        data={"job_id": row["job_id"], "agent_id": row["agent_id"], "status": row["status"]},
        **told,
    )


def of_workflow(workflow_id: str) -> None:
    """Of a finished run, once, to those whom its definition or whoever started it names; not of a run inside another."""
    try:
        row = workflows.get(workflow_id, full=True)
    except NotFound:
        return
    if row["parent_workflow_id"] is not None:
        return
    status, wish = row["status"], row["notify"] or {}
    asked = row["definition"].get("on_success" if status == "completed" else "on_failure") or {}
    own = [wish["email"]] if wish.get("email") else []
    callback: dict[str, Any] = {}
    if wish.get("callback_url"):
        shown = runs.of(workflow_id, content=True)
        callback = {"callback_url": wish["callback_url"], "callback_payload": shown}
    error = row["error"] or {}
    outbox.tell(
        f"workflow.{status}",
        severity=SEVERITY[status],
        title=f"{row['name']} {ENDED[status]}",
        body=(f"{error['step_id']}: " if error.get("step_id") else "")
        + (error.get("message") or "")[:LONGEST],
        link=f"/workflows/{workflow_id}",
        audience=row["submitted_by"],
        owner=row["submitted_by"],
        subject=("workflow", workflow_id),
        emails=list(dict.fromkeys([*asked.get("notify", []), *wish.get("emails", []), *own])),
        data={
            "workflow_id": workflow_id,
            "name": row["name"],
            "status": status,
            "total_steps": row["total_steps"],
            "completed_steps": row["completed_steps"],
        },
        **callback,
    )


def of_schedules(told: list[due.News]) -> None:
    """Of times at which a schedule should have run and did not: missed, or refused."""
    for one in told:
        failed = one.outcome == "failed"
        outbox.tell(
            f"schedule.{one.outcome}",
            severity="error" if failed else "warning",
            title=f"{one.name} {'could not run' if failed else 'missed its time'}",
            body=(one.reason or "")[:LONGEST],
            link=f"/schedules/{one.schedule_id}",
            audience=one.submitted_by,
            owner=one.submitted_by,
            subject=("schedule", one.schedule_id),
            group_key=f"schedule.{one.outcome}:{one.schedule_id}:{one.reason[:100] if failed and one.reason else ''}",
            group_minutes=SCHEDULES_EVERY_MINUTES,
            agent_id=one.agent_id,
            data={"schedule_id": one.schedule_id, "slot_at": one.slot_at, "reason": one.reason},
        )


def _owner(user_id: str) -> Row | None:
    return accounts.user(user_id) if accounts.is_id(user_id) else None


def _as_owner(user_id: str) -> Principal:
    return Principal(user_id=user_id, email="", role="user")
