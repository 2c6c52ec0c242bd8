"""Who hears that a question was asked, passed on, or not answered: once for all items of a map."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from app.accounts import queries as accounts
from app.db import Row, db
from app.notify import outbox
from app.notify.outbox import ADMINS

NEEDED = "Your answer is needed before the work can go on."
ASKS = {
    "agent": "The agent {agent_id} asks, and its job waits for your answer.",
    "gate": "What {agent_id} made did not pass its quality gate; its job waits for your decision.",
    "policy": "A policy wants a person to look before {agent_id} goes on; its job waits for your answer.",
}
MOST_NAMED = 3


def of_asked(rows: Iterable[Row]) -> None:
    """Tell those who may answer: people by their inbox and by mail if they are named, admins by theirs.

    Whoever's job asks others hears that it waits.
    """
    together: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        step = (row["step_id"] or "").partition("[")[0]
        key = (row["workflow_id"], row["job_id"], step, tuple(row["approvers"]))
        together.setdefault(key, []).append(row)
    for asked in together.values():
        _ask("approval.requested", asked[0], asked[0]["approvers"], more=len(asked) - 1)


def of_escalated(row: Row) -> None:
    """Tell those who may answer from now on that nobody else did; nobody named means admins."""
    _ask("approval.escalated", row, row["escalate_to"] or ["admin"], before="Nobody has answered yet. ")


def of_expired(row: Row) -> None:
    """Tell whoever's work waited that the time to answer is over."""
    outbox.tell(
        "approval.expired",
        severity="warning",
        title=f"Nobody answered in time: {row['question']}",
        body="It counts as approved." if row["on_timeout"] == "approve" else "It counts as rejected.",
        link=f"/approvals/{row['approval_id']}",
        audience=row["requested_by"],
        owner=row["requested_by"],
        subject=("approval", row["approval_id"]),
        data=_data(row),
        agent_id=_agent(row),
    )


def _ask(event: str, row: Row, approvers: Sequence[str], *, more: int = 0, before: str = "") -> None:
    audiences, strangers = _audiences(row, approvers)
    agent_id = _agent(row)
    body = before + ASKS.get(row["kind"], NEEDED).format(agent_id=agent_id or "its agent")
    facts: dict[str, Any] = {
        "severity": "warning",
        "title": row["question"] + (f" (and {more} more)" if more else ""),
        "link": "/approvals" if more else f"/approvals/{row['approval_id']}",
        "owner": row["requested_by"],
        "subject": ("approval", row["approval_id"]),
        "data": _data(row),
        "agent_id": agent_id,
    }
    for number, (audience, emails) in enumerate(audiences.items()):
        mails = [*emails, *(strangers if number == 0 else ())]
        outbox.tell(event, audience=audience, body=body, emails=mails, **facts)
    if row["job_id"] and row["requested_by"] not in audiences and not before:
        outbox.tell(event, audience=row["requested_by"], body=_waits_for(approvers), **facts)


def _waits_for(approvers: Sequence[str]) -> str:
    """What whoever's job waits for others reads."""
    names = [{"admin": "an admin", "user": "any user"}.get(each, each) for each in approvers[:MOST_NAMED]]
    if len(approvers) > MOST_NAMED:
        names.append(f"{len(approvers) - MOST_NAMED} more")
    return f"Your job waits for the answer of {' or '.join(names)}."


def _audiences(row: Row, approvers: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Whose inboxes, each with the addresses to mail; and named addresses of nobody who is known here."""
    found: dict[str, list[str]] = {}
    strangers: list[str] = []
    for approver in approvers:
        if "@" not in approver:
            found.setdefault(ADMINS if approver == "admin" else row["requested_by"], [])
        elif user := accounts.user_by_email(approver):
            found.setdefault(str(user["user_id"]), []).append(approver)
        else:
            strangers.append(approver)
    nobody = ADMINS if row["job_id"] and strangers else row["requested_by"]
    return found or {nobody: []}, strangers


def _agent(row: Row) -> str | None:
    """Whose job asks; None for a step of a workflow."""
    if not row["job_id"]:
        return None
    agent_id: str | None = db.value("SELECT agent_id FROM jobs WHERE job_id = %(id)s", id=row["job_id"])
    return agent_id


def _data(row: Row) -> dict[str, Any]:
    names = ("approval_id", "workflow_id", "step_id", "job_id", "kind", "deadline_at")
    return {name: row[name] for name in names}
