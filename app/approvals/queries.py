"""Reading questions to people: one, many, and those that somebody may answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from app.agents import secrecy
from app.db import Row, db, dumps
from app.errors import NotFound

COLUMNS = """approval_id::text, workflow_id::text, step_id, job_id::text, kind, fence, draft_number, policy_id::text, question,
    shown, form, options, editable, approvers, requested_by, status, deadline_at, on_timeout, escalate_at, escalate_to,
    escalated_at, answer, edited, comment, answered_by, answered_at, created_at"""
BRIEF = """approval_id::text, workflow_id::text, step_id, job_id::text, kind, fence, draft_number, policy_id::text, question,
    jsonb_build_object('quality', jsonb_build_object('score', shown -> 'quality' -> 'score')) AS shown,
    NULL AS form, options, NULL AS editable, approvers, requested_by, status, deadline_at, on_timeout, escalate_at,
    escalate_to, escalated_at, NULL AS answer, CASE WHEN edited IS NOT NULL THEN true END AS edited, comment, answered_by,
    answered_at, created_at"""
"""The same for lists: what may be large is left out, but for the score of what is shown and whether it was edited."""
KINDS = ("step", "agent", "gate", "policy")
CAP = 1000
MOST_SHOWN = 20
LONGEST_SHOWN = 500
# Who may answer, as accounts.permissions.may_answer has it.
_NAMED = """((approvers = '{}' AND requested_by = %(user_id)s AND %(role)s = 'user')
             OR lower(%(email)s) = ANY(approvers) OR %(role)s = ANY(approvers)
             OR (escalated_at IS NOT NULL
                 AND (lower(%(email)s) = ANY(escalate_to) OR %(role)s = ANY(escalate_to))))"""
_THEIRS = f"(%(role)s = 'admin' OR {_NAMED})"


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


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which questions; None means any."""

    status: str | None = None
    kind: str | None = None
    job_id: str | None = None
    mine: bool = False
    """For admins, who may answer all: only those that are for them."""

    def where(self) -> tuple[list[str], dict[str, Any]]:
        """The conditions, and their values."""
        wanted = {
            "status = %(status)s": self.status,
            "kind = %(kind)s": self.kind,
            "job_id = %(job_id)s::uuid": self.job_id,
        }
        values = {"status": self.status, "kind": self.kind, "job_id": self.job_id}
        return [condition for condition, value in wanted.items() if value is not None], values


ANY = Filter()


def open_for(
    user_id: str,
    email: str,
    role: str,
    *,
    only: Filter = ANY,
    limit: int = 50,
    offset: int = 0,
    brief: bool = False,
) -> list[Row]:
    """Open questions that somebody may answer; those with the nearest deadline first, then the oldest.

    `brief`: as lists show them, see BRIEF.
    """
    where, values = _open(only)
    return db.rows(
        f"""SELECT {BRIEF if brief else COLUMNS} FROM approvals WHERE {where}
            ORDER BY deadline_at NULLS LAST, approvals.approval_id LIMIT %(limit)s OFFSET %(offset)s""",
        **values,
        user_id=user_id,
        email=email,
        role=role,
        limit=limit,
        offset=offset,
    )


def count_open(user_id: str, email: str, role: str, *, only: Filter = ANY) -> int:
    """How many open questions somebody may answer, counted up to a thousand."""
    where, values = _open(only)
    counted = db.value(
        f"SELECT count(*) FROM (SELECT 1 FROM approvals WHERE {where} LIMIT {CAP}) x",
        **values,
        user_id=user_id,
        email=email,
        role=role,
    )
    return int(counted)


def open_by_kind(user_id: str, email: str, role: str) -> dict[str, int]:
    """How many open questions of each kind somebody may answer, each counted up to a thousand."""
    where, values = _open(ANY)
    rows = db.rows(
        f"""SELECT k.kind, (SELECT count(*) FROM (SELECT 1 FROM approvals
                            WHERE approvals.kind = k.kind AND {where} LIMIT {CAP}) x) AS n
            FROM unnest(%(kinds)s::text[]) AS k(kind)""",
        **values | {"kinds": list(KINDS)},
        user_id=user_id,
        email=email,
        role=role,
    )
    return {row["kind"]: int(row["n"]) for row in rows}


def _open(only: Filter) -> tuple[str, dict[str, Any]]:
    parts, values = replace(only, status="open").where()
    return " AND ".join([*parts, _NAMED if only.mine else _THEIRS]), values


def page(
    *,
    user_id: str | None = None,
    email: str = "",
    role: str = "user",
    status: str | None = None,
    only: Filter = ANY,
    limit: int = 50,
    before: str | None = None,
    offset: int = 0,
    brief: bool = False,
) -> list[Row]:
    """Questions, newest first: those that somebody asked or may answer; all without `user_id`.

    `before` is the id of the last one seen; `status` is short for `only` with one; `brief`: see BRIEF.
    """
    where, values = _where(user_id, email, role, replace(only, status=status or only.status), before)
    return db.rows(
        f"""SELECT {BRIEF if brief else COLUMNS} FROM approvals WHERE {where}
            ORDER BY approvals.approval_id DESC LIMIT %(limit)s OFFSET %(offset)s""",
        **values,
        limit=limit,
        offset=offset,
    )


def count(
    *,
    user_id: str | None = None,
    email: str = "",
    role: str = "user",
    status: str | None = None,
    only: Filter = ANY,
) -> int:
    """How many questions `page` would show in all, counted up to a thousand."""
    where, values = _where(user_id, email, role, replace(only, status=status or only.status), None)
    return int(
        db.value(f"SELECT count(*) FROM (SELECT 1 FROM approvals WHERE {where} LIMIT {CAP}) x", **values)
    )


def _where(
    user_id: str | None, email: str, role: str, only: Filter, before: str | None
) -> tuple[str, dict[str, Any]]:
    parts, values = only.where()
    if user_id is not None:
        parts.append(f"(requested_by = %(user_id)s OR {_NAMED if only.mine else _THEIRS})")
    if before is not None:
        parts.append("approval_id < %(before)s::uuid")
    who = {"user_id": user_id, "email": email, "role": role, "before": before}
    return " AND ".join(parts) or "true", values | who


def due(limit: int) -> list[Row]:
    """Open questions whose time is over: {approval_id, workflow_id, job_id}, those first that wait longest."""
    return db.rows(
        """SELECT approval_id::text, workflow_id::text, job_id::text FROM approvals
           WHERE status = 'open' AND deadline_at <= now() ORDER BY deadline_at LIMIT %(limit)s""",
        limit=limit,
    )


def to_escalate(limit: int) -> list[str]:
    """The ids of open questions that others are to hear of now, the oldest first."""
    rows = db.rows(
        """SELECT approval_id::text FROM approvals
           WHERE status = 'open' AND escalate_at IS NOT NULL AND escalated_at IS NULL AND escalate_at <= now()
           ORDER BY escalate_at LIMIT %(limit)s""",
        limit=limit,
    )
    return [row["approval_id"] for row in rows]


def context(job_id: str) -> Row | None:
    """What whoever answers should know of the job that asks, beside the question; None if it is gone.

    {agent_id, task_name, submitted_by, attempt, usage, input}: `usage` is what the job used so far, with `cost_usd`
    if that is known; `input` is its parameters, cut to what a card holds (`input_cut` says so).
    """
    row = db.row(
        """SELECT agent_id, agent_version, task_name, submitted_by, fence AS attempt,
                  coalesce(usage, '{}') AS usage, parameters
           FROM jobs WHERE job_id = %(id)s""",
        id=job_id,
    )
    if row is None:
        return None
    given = secrecy.parameters(row["agent_id"], row.pop("agent_version"), row.pop("parameters")) or {}
    summary = {name: _summary(value) for name, value in list(given.items())[:MOST_SHOWN]}
    return row | {"input": summary, "input_cut": summary != given}


def _summary(value: Any) -> Any:
    """A value as a line shows it: short text and plain values as they are, the rest by their beginning."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else dumps(value)
    if len(text) <= LONGEST_SHOWN:
        return value
    return text[:LONGEST_SHOWN] + "…"
