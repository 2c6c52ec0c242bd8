"""Reading questions to people: one, many, and those that somebody may answer."""

from __future__ import annotations

from typing import Any

from app.db import Row, db
from app.errors import NotFound

COLUMNS = """approval_id::text, workflow_id::text, step_id, job_id::text, question, shown, form, approvers, requested_by,
    status, deadline_at, on_timeout, answer, comment, answered_by, answered_at, created_at"""
CAP = 1000
# Who may answer, as asking.may_answer has it.
_THEIRS = """(%(role)s = 'admin' OR (approvers = '{}' AND requested_by = %(user_id)s)
              OR lower(%(email)s) = ANY(approvers) OR %(role)s = ANY(approvers))"""


def get(approval_id: str) -> Row:
    """One question; NotFound if there is none."""
    return _found(
        approval_id, db.row(f"SELECT {COLUMNS} FROM approvals WHERE approval_id = %(id)s", id=approval_id)
    )


def locked(approval_id: str) -> Row:
    """One question, held until the end of the transaction."""
    statement = f"SELECT {COLUMNS} FROM approvals WHERE approval_id = %(id)s FOR UPDATE"
    return _found(approval_id, db.row(statement, id=approval_id))


def _found(approval_id: str, row: Row | None) -> Row:
    if row is None:
        raise NotFound(f"there is no approval {approval_id}")
    return row


def of_workflow(workflow_id: str) -> list[Row]:
    """The questions of a run, oldest first."""
    return db.rows(
        f"SELECT {COLUMNS} FROM approvals WHERE workflow_id = %(id)s ORDER BY approvals.approval_id",
        id=workflow_id,
    )


def open_for(user_id: str, email: str, role: str, *, limit: int = 50) -> list[Row]:
    """Open questions that somebody may answer; those with the nearest deadline first, then the oldest."""
    return db.rows(
        f"""SELECT {COLUMNS} FROM approvals WHERE status = 'open' AND {_THEIRS}
            ORDER BY deadline_at NULLS LAST, approvals.approval_id LIMIT %(limit)s""",
        user_id=user_id,
        email=email,
        role=role,
        limit=limit,
    )


def count_open(user_id: str, email: str, role: str) -> int:
    """How many open questions somebody may answer, counted up to a thousand."""
    counted = db.value(
        f"""SELECT count(*) FROM (SELECT 1 FROM approvals WHERE status = 'open' AND {_THEIRS} LIMIT {CAP}) x""",
        user_id=user_id,
        email=email,
        role=role,
    )
    return int(counted)


def page(
    *,
    user_id: str | None = None,
    email: str = "",
    role: str = "user",
    status: str | None = None,
    limit: int = 50,
    before: str | None = None,
    offset: int = 0,
) -> list[Row]:
    """Questions, newest first: those that somebody asked or may answer; all without `user_id`.

    `before` is the id of the last one seen.
    """
    where, values = _where(user_id, email, role, status, before)
    return db.rows(
        f"""SELECT {COLUMNS} FROM approvals WHERE {where}
            ORDER BY approvals.approval_id DESC LIMIT %(limit)s OFFSET %(offset)s""",
        **values,
        limit=limit,
        offset=offset,
    )


def count(
    *, user_id: str | None = None, email: str = "", role: str = "user", status: str | None = None
) -> int:
    """How many questions `page` would show in all, counted up to a thousand."""
    where, values = _where(user_id, email, role, status, None)
    return int(
        db.value(f"SELECT count(*) FROM (SELECT 1 FROM approvals WHERE {where} LIMIT {CAP}) x", **values)
    )


def _where(
    user_id: str | None, email: str, role: str, status: str | None, before: str | None
) -> tuple[str, dict[str, Any]]:
    parts = [
        condition
        for condition, value in (
            (f"(requested_by = %(user_id)s OR {_THEIRS})", user_id),
            ("status = %(status)s", status),
            ("approval_id < %(before)s::uuid", before),
        )
        if value is not None
    ]
    values = {"user_id": user_id, "email": email, "role": role, "status": status, "before": before}
    return " AND ".join(parts) or "true", values


def due(limit: int) -> list[Row]:
    """Open questions whose time is over: {approval_id, workflow_id}, in the order of their runs."""
    return db.rows(
        """SELECT approval_id::text, workflow_id::text FROM (
               SELECT approval_id, workflow_id FROM approvals WHERE status = 'open' AND deadline_at <= now()
               ORDER BY deadline_at LIMIT %(limit)s) late
           ORDER BY late.workflow_id, late.approval_id""",
        limit=limit,
    )
