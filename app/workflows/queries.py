"""Reading runs: one, many, counts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.db import Row, db, literal
from app.errors import NotFound

STATUSES = ("running", "paused", "completed", "failed", "cancelled")
SYNONYMS = {"active": "running", "canceled": "cancelled"}
"""Words of other documents, accepted and never sent."""
FINAL = ("completed", "failed", "cancelled")
CAP = 10_000
# Everything but what may be large.
LIGHT = """workflow_id::text, name, description, status, status_reason, error, external_key, template_name,
    template_version, submitted_by, priority_rank, tags, correlation_id, notify, schedule_id::text, session_id,
    parent_workflow_id::text, parent_step_id, depth, retry_of_workflow_id::text, round, total_steps, completed_steps,
    submitted_at, paused_at, cancel_requested_at, finished_at, updated_at, version"""
FULL = f"{LIGHT}, definition, inputs, output"
_STEP = """step_id, position, kind, parent_step_id, case_index, item_index, depends_on, definition, status,
    status_reason, error, job_id::text, child_workflow_id::text, approval_id::text, kept, round, started_at,
    finished_at, coalesce(pg_column_size(output), 0) AS size"""


def origin(workflow_id: str) -> Row | None:
    """What a run is found by: {correlation_id, traceparent}."""
    return db.row(
        "SELECT correlation_id, traceparent FROM workflows WHERE workflow_id = %(id)s", id=workflow_id
    )


def get(workflow_id: str, *, full: bool = False) -> Row:
    """One run, with definition, inputs and output if `full`; NotFound if there is none."""
    found = db.row(
        f"SELECT {FULL if full else LIGHT} FROM workflows WHERE workflow_id = %(id)s", id=workflow_id
    )
    if found is None:
        raise NotFound(f"there is no workflow {workflow_id}")
    return found


def names(workflow_ids: list[str]) -> dict[str, str]:
    """What these runs are called, by their ids; runs that are gone are left out."""
    rows = db.rows(
        "SELECT workflow_id::text, name FROM workflows WHERE workflow_id = ANY(%(ids)s::uuid[])",
        ids=workflow_ids,
    )
    return {row["workflow_id"]: row["name"] for row in rows}


def steps(workflow_id: str) -> list[Row]:
    """The steps of a run in the order of its definition, those of an item together; without items and outputs."""
    rows = db.rows(
        f"SELECT {_STEP} FROM workflow_steps WHERE workflow_id = %(id)s ORDER BY position, item_index, step_id",
        id=workflow_id,
    )
    inside: dict[str | None, list[Row]] = {}
    for row in rows:
        inside.setdefault(row["parent_step_id"], []).append(row)
    ordered: list[Row] = []
    todo = inside.get(None, [])[::-1]
    while todo:
        row = todo.pop()
        ordered.append(row)
        todo += inside.get(row["step_id"], [])[::-1]
    return ordered


def version(workflow_id: str) -> Row | None:
    """What decides about a 304, the poll hint and who may look; None if there is no such run.

    {version, status, submitted_by, updated_at, work}: `work` grows with every change of a job or run inside it,
    and `updated_at` is the last of all these.
    """
    return db.row(
        """SELECT w.version, w.status, w.submitted_by, greatest(w.updated_at, j.at, c.at) AS updated_at,
                  (j.versions + j.jobs + c.versions)::bigint AS work
           FROM workflows w
           CROSS JOIN LATERAL (SELECT coalesce(sum(version), 0) AS versions, count(*) AS jobs, max(updated_at) AS at
                               FROM jobs WHERE workflow_id = %(id)s) j
           CROSS JOIN LATERAL (SELECT coalesce(sum(version), 0) AS versions, max(updated_at) AS at
                               FROM workflows WHERE parent_workflow_id = %(id)s) c
           WHERE w.workflow_id = %(id)s""",
        id=workflow_id,
    )


def page(
    owner: str | None = None,
    status: str | None = None,
    template: str | None = None,
    schedule_id: str | None = None,
    q: str | None = None,
    since: datetime | None = None,
    limit: int = 50,
    before: str | None = None,
    offset: int = 0,
    *,
    parent: str | None = None,
) -> list[Row]:
    """Runs, newest first; not those inside others, unless `parent` names one.

    `q` is found in names, templates, the callers' own names, or as the beginning of an id; `before` is the id of the last one
    seen and costs the same at any depth.
    """
    where, values = _where(owner, status, template, schedule_id, q, since, parent)
    if before:
        where += " AND workflow_id < %(before)s::uuid"
    return db.rows(
        f"""SELECT {LIGHT} FROM workflows WHERE {where}
            ORDER BY workflows.workflow_id DESC LIMIT %(limit)s OFFSET %(offset)s""",
        **values,
        before=before,
        limit=limit,
        offset=offset,
    )


def count(
    owner: str | None = None,
    status: str | None = None,
    template: str | None = None,
    schedule_id: str | None = None,
    q: str | None = None,
    since: datetime | None = None,
    *,
    parent: str | None = None,
) -> int:
    """How many runs `page` would show in all, counted up to ten thousand."""
    where, values = _where(owner, status, template, schedule_id, q, since, parent)
    return int(
        db.value(f"SELECT count(*) FROM (SELECT 1 FROM workflows WHERE {where} LIMIT {CAP}) x", **values)
    )


def counts(owner: str | None = None) -> dict[str, int]:
    """How many runs are in each status, each counted up to ten thousand; not those inside others."""
    rows = db.rows(
        """SELECT s.status, (SELECT count(*) FROM (
               SELECT 1 FROM workflows w WHERE w.status = s.status AND w.parent_workflow_id IS NULL
                 AND (%(owner)s::text IS NULL OR w.submitted_by = %(owner)s) LIMIT %(cap)s) x) AS n
           FROM unnest(%(statuses)s::text[]) AS s(status)""",
        owner=owner,
        statuses=list(STATUSES),
        cap=CAP,
    )
    return {row["status"]: row["n"] for row in rows}


_TEXT = """(name ILIKE %(like)s OR template_name ILIKE %(like)s OR external_key ILIKE %(like)s
            OR workflow_id::text LIKE %(prefix)s)"""


def _where(
    owner: str | None,
    status: str | None,
    template: str | None,
    schedule_id: str | None,
    q: str | None,
    since: datetime | None,
    parent: str | None,
) -> tuple[str, dict[str, Any]]:
    chosen = SYNONYMS.get(status, status) if status else None
    parts = ["parent_workflow_id IS NULL" if parent is None else "parent_workflow_id = %(parent)s"]
    parts += [
        condition
        for condition, value in (
            ("submitted_by = %(owner)s", owner),
            ("status = %(status)s", chosen),
            ("template_name = %(template)s", template),
            ("schedule_id = %(schedule)s", schedule_id),
            ("submitted_at >= %(since)s", since),
            (_TEXT, q),
        )
        if value is not None
    ]
    plain = literal(q or "")
    values = {
        "owner": owner, "status": chosen, "template": template, "schedule": schedule_id, "since": since,
        "parent": parent, "like": f"%{plain}%", "prefix": f"{plain.lower()}%",
    }  # fmt: skip
    return " AND ".join(parts), values
