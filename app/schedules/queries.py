"""Reading schedules: one, many, what comes next, and what became of each time."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from app.agents import secrecy
from app.budgets import queries as budgets
from app.db import Row, db, literal
from app.errors import NotFound
from app.jobs.states import Priority
from app.schedules import cron

STATUSES: Final = ("scheduled", "disabled", "fired", "missed", "cancelled")
OUTCOMES: Final = ("fired", "queued", "skipped", "missed", "failed")
MOST_AT_ONCE: Final = 5000
"""So much of what became of times is forgotten by one transaction."""

_STATUS = "CASE WHEN s.ended IS NOT NULL THEN s.ended WHEN s.enabled THEN 'scheduled' ELSE 'disabled' END"
COLUMNS: Final = f"""s.schedule_id::text, s.name, s.agent_id, s.template_name, s.template_version, s.definition,
    s.parameters, s.options, s.priority_rank, s.schedule_type, s.cron_expression, s.execute_at, s.timezone,
    s.jitter_seconds, s.misfire, s.grace_seconds, s.overlap, s.enabled, s.ended, s.next_fire_at, s.last_slot_at,
    s.last_fired_at, s.last_job_id::text, s.last_workflow_id::text, s.submitted_by, s.created_at, s.updated_at,
    s.version, {_STATUS} AS status"""


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which schedules; None means any."""

    owner: str | None = None
    agent_id: str | None = None
    template_name: str | None = None
    status: str | None = None
    schedule_type: str | None = None
    text: str | None = None
    """Found in its name, agent or template, or as the beginning of its id."""

    def where(self) -> tuple[str, dict[str, Any]]:
        """The SQL condition and its values."""
        pattern = _pattern(self.text) if self.text else None
        conditions = (
            ("s.submitted_by = %(owner)s", "owner", self.owner),
            ("s.agent_id = %(agent)s", "agent", self.agent_id),
            ("s.template_name = %(template)s", "template", self.template_name),
            (f"{_STATUS} = %(status)s", "status", self.status),
            ("s.schedule_type = %(type)s", "type", self.schedule_type),
            (
                """(s.name ILIKE %(text)s OR s.agent_id ILIKE %(text)s OR s.template_name ILIKE %(text)s
                    OR s.schedule_id::text ILIKE ltrim(%(text)s, '%%'))""",
                "text",
                pattern,
            ),
        )
        wanted = [(condition, name, value) for condition, name, value in conditions if value is not None]
        told = " AND ".join(condition for condition, _, _ in wanted) or "true"
        return told, {name: value for _, name, value in wanted}


def _pattern(text: str) -> str:
    return f"%{literal(text)}%"


def get(schedule_id: str) -> Row:
    """One schedule with its status; NotFound if there is none."""
    row = db.row(f"SELECT {COLUMNS} FROM schedules s WHERE s.schedule_id = %(id)s", id=schedule_id)
    if row is None:
        raise NotFound(f"there is no schedule {schedule_id}")
    return row


def owner_of(schedule_id: str) -> str | None:
    """Whose it is; None if there is none."""
    owner: str | None = db.value(
        "SELECT submitted_by FROM schedules WHERE schedule_id = %(id)s", id=schedule_id
    )
    return owner


def page(chosen: Filter, *, limit: int = 50, offset: int = 0) -> list[Row]:
    """Schedules, those that come next first, then the ones without a next time, newest first."""
    where, values = chosen.where()
    return db.rows(
        f"""SELECT {COLUMNS} FROM schedules s WHERE {where}
            ORDER BY CASE WHEN s.enabled AND s.ended IS NULL THEN s.next_fire_at END NULLS LAST, s.schedule_id DESC
            LIMIT %(limit)s OFFSET %(offset)s""",
        **values,
        limit=limit,
        offset=offset,
    )


def count(chosen: Filter) -> int:
    """How many there are on all pages."""
    where, values = chosen.where()
    return int(db.value(f"SELECT count(*) FROM schedules s WHERE {where}", **values))


def upcoming(owner: str | None = None, *, limit: int = 20, until: datetime | None = None) -> list[Row]:
    """The next executions of all schedules, in order: rows of schedules with `at`, one for each time."""
    rows = db.rows(
        f"""SELECT {COLUMNS} FROM schedules s
            WHERE s.enabled AND s.ended IS NULL AND s.next_fire_at IS NOT NULL
              AND (%(owner)s::text IS NULL OR s.submitted_by = %(owner)s)
            ORDER BY s.next_fire_at, s.schedule_id LIMIT %(limit)s""",
        owner=owner,
        limit=limit,
    )
    waiting = [(row["next_fire_at"], number) for number, row in enumerate(rows)]
    heapq.heapify(waiting)
    found: list[Row] = []
    while waiting and len(found) < limit and (until is None or waiting[0][0] <= until):
        at, number = heapq.heappop(waiting)
        found.append(rows[number] | {"at": at})
        if following := _after(rows[number], at):
            heapq.heappush(waiting, (following, number))
    return found


def _after(row: Row, at: datetime) -> datetime | None:
    return cron.following(row["cron_expression"], row["timezone"], at) if row["cron_expression"] else None


_FIRE = """f.schedule_id::text, f.slot_at, f.outcome, f.reason, f.manual, f.job_id::text, f.workflow_id::text, f.at,
    coalesce(j.status, w.status) AS run_status"""
_RUNS = "LEFT JOIN jobs j ON j.job_id = f.job_id LEFT JOIN workflows w ON w.workflow_id = f.workflow_id"


def fires(
    schedule_id: str, *, outcome: str | None = None, before: datetime | None = None, limit: int = 50
) -> list[Row]:
    """What became of its times, newest first: {slot_at, outcome, reason, manual, job_id, workflow_id, at, run_status}.

    `run_status` is that of the job or workflow now; None if there was none, or it is past its retention.
    """
    return db.rows(
        f"""SELECT {_FIRE} FROM schedule_fires f {_RUNS}
            WHERE f.schedule_id = %(id)s AND (%(outcome)s::text IS NULL OR f.outcome = %(outcome)s)
              AND (%(before)s::timestamptz IS NULL OR f.slot_at < %(before)s)
            ORDER BY f.slot_at DESC LIMIT %(limit)s""",
        id=schedule_id,
        outcome=outcome,
        before=before,
        limit=limit,
    )


def outcomes(schedule_ids: list[str], n: int = 60) -> dict[str, list[Row]]:
    """The last `n` times of each of several schedules, oldest first: {slot_at, outcome, run_status, job_id, …}."""
    rows = db.rows(
        f"""SELECT {_FIRE} FROM unnest(%(ids)s::uuid[]) AS wanted(schedule_id) CROSS JOIN LATERAL (
                SELECT * FROM schedule_fires f WHERE f.schedule_id = wanted.schedule_id
                ORDER BY f.slot_at DESC LIMIT %(n)s) f {_RUNS}
            ORDER BY f.schedule_id, f.slot_at""",
        ids=schedule_ids,
        n=n,
    )
    found: dict[str, list[Row]] = {schedule_id: [] for schedule_id in schedule_ids}
    for row in rows:
        found[row["schedule_id"]].append(row)
    return found


def spending(schedule_id: str) -> list[Row]:
    """The budgets that are this schedule's own."""
    return [row for row in budgets.listing() if (row["scope"], row["subject"]) == ("schedule", schedule_id)]


def describe(row: Row) -> str:
    """When it runs, in words."""
    if row["cron_expression"]:
        return cron.explain(row["cron_expression"], row["timezone"])
    return cron.explain_once(row["execute_at"], row["timezone"])


def public(row: Row, *, content: bool = True) -> dict[str, Any]:
    """A schedule as the API shows it; without `content` what it submits is left out (null)."""
    comes = row["next_fire_at"] if row["status"] == "scheduled" else None
    return {
        "schedule_id": row["schedule_id"],
        "name": row["name"],
        "status": row["status"],
        "description": describe(row),
        "agent_id": row["agent_id"],
        "workflow_template": row["template_name"],
        "workflow_version": row["template_version"],
        "workflow": row["definition"] if content else None,
        "parameters": secrecy.parameters(row["agent_id"], None, row["parameters"]) if content else None,
        "options": row["options"] if content else None,
        "priority": Priority(row["priority_rank"]).word,
        "schedule_type": row["schedule_type"],
        "cron_expression": row["cron_expression"],
        "execute_at": row["execute_at"],
        "timezone": row["timezone"],
        "jitter_seconds": row["jitter_seconds"],
        "misfire": row["misfire"],
        "grace_seconds": row["grace_seconds"],
        "overlap": row["overlap"],
        "enabled": row["enabled"],
        "next_execution": comes,
        "next_execution_local": local(comes, row["timezone"]),
        "last_execution": row["last_fired_at"],
        "last_job_id": row["last_job_id"],
        "last_workflow_id": row["last_workflow_id"],
        "submitted_by": row["submitted_by"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "version": row["version"],
    }


def local(moment: datetime | None, timezone: str) -> str | None:
    """`moment` as it is told there, ISO 8601 with its offset."""
    return moment.astimezone(cron.zone(timezone)).isoformat(timespec="seconds") if moment else None


def prune(days: float, limit: int = MOST_AT_ONCE) -> int:
    """Forget what became of times that are older, but what still waits, at most `limit`; answers how many."""
    return db.run(
        """DELETE FROM schedule_fires WHERE ctid = ANY(ARRAY(
               SELECT ctid FROM schedule_fires
               WHERE at < now() - %(days)s * interval '1 day' AND outcome <> 'queued' ORDER BY at LIMIT %(limit)s))""",
        days=days,
        limit=limit,
    )
