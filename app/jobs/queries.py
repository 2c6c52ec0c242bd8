"""Reading jobs: one, many, counts. Owner rules are applied here, in SQL, so that no door can forget them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.db import Row, db
from app.errors import NotFound
from app.jobs.states import Reason

# Everything the status document needs, without the big columns.
LIGHT = """job_id::text, agent_id, agent_version, pool, status, status_reason, priority_rank, run_at, task_name, tags,
    submitted_by, correlation_id, retry_of_job_id::text, replay_of_job_id::text, pinned, workflow_id::text, step_id, schedule_id::text, fence, worker_id, process_id,
    cancel_requested_at, retry_count, lost_count, released_count, max_retries, stage, progress, current_step, usage,
    watchdog, last_seq, submitted_at, queued_at, started_at, finished_at, updated_at, version, options, error, lane,
    verdict, quality_score, headline, asked_at, asked_seconds,
    CASE WHEN status = 'awaiting_input' THEN (
        SELECT jsonb_build_object('approval_id', a.approval_id, 'question', a.question, 'approvers', a.approvers,
            'requested_by', a.requested_by, 'escalated_at', a.escalated_at, 'escalate_to', a.escalate_to,
            'deadline_at', a.deadline_at)
        FROM approvals a WHERE a.job_id = jobs.job_id AND a.status = 'open') END AS asks"""
# For one job only: a list does not show it.
NUMBER = """(SELECT number FROM agent_versions v WHERE v.agent_id = jobs.agent_id AND v.version = jobs.agent_version)
    AS agent_version_number"""
FULL = f"{LIGHT}, parameters, result, stack_trace, notify"
CAP = 10_000
HOLDS = {
    Reason.BUDGET: "waits until there is budget again",
    Reason.PROVIDER_OPEN: "waits until its provider answers again",
}


def get(job_id: str, *, full: bool = False) -> Row:
    """One job, with parameters, result and stack trace if `full`; NotFound if there is none."""
    found = db.row(f"SELECT {FULL if full else LIGHT}, {NUMBER} FROM jobs WHERE job_id = %(job)s", job=job_id)
    if found is None:
        raise NotFound(f"there is no job {job_id}")
    return found


def locked(job_id: str, *, wait: bool = True) -> Row | None:
    """One job, held until the end of the transaction; None if there is none, or unless `wait` if somebody holds it."""
    columns = "job_id::text, agent_id, status, cancel_requested_at, submitted_by"
    skip = "" if wait else "SKIP LOCKED"
    return db.row(f"SELECT {columns} FROM jobs WHERE job_id = %(job)s FOR NO KEY UPDATE {skip}", job=job_id)


def root(job_id: str) -> str:
    """The first job of the chain of retries and replays by hand that leads to this one; itself, if it is none."""
    found = db.value(
        """WITH RECURSIVE chain AS (
               SELECT job_id, coalesce(retry_of_job_id, replay_of_job_id) AS before, 1 AS steps
               FROM jobs WHERE job_id = %(job)s
               UNION ALL
               SELECT j.job_id, coalesce(j.retry_of_job_id, j.replay_of_job_id), c.steps + 1
               FROM chain c JOIN jobs j ON j.job_id = c.before WHERE c.steps < 1000)
           SELECT coalesce(before, job_id)::text FROM chain ORDER BY steps DESC LIMIT 1""",
        job=job_id,
    )
    return str(found or job_id)


def checkpoint(job_id: str) -> dict[str, Any] | None:
    """Where the job got to; None if it kept nothing."""
    kept: dict[str, Any] | None = db.value("SELECT checkpoint FROM jobs WHERE job_id = %(job)s", job=job_id)
    return kept


def version(job_id: str) -> Row | None:
    """What decides about a 304 and its poll hint, by the primary key alone.

    {version, status, submitted_by, run_at, updated_at}
    """
    return db.row(
        "SELECT version, status, submitted_by, run_at, updated_at FROM jobs WHERE job_id = %(job)s",
        job=job_id,
    )


def held(row: Row) -> Row | None:
    """What a job was handed back for and waits for: {reason, message, until}; None when it is not held.

    `until` None means until somebody lifts it.
    """
    if row["status"] != "retry" or row["status_reason"] not in HOLDS:
        return None
    told = db.value(
        "SELECT error FROM job_attempts WHERE job_id = %(job)s AND fence = %(fence)s",
        job=row["job_id"],
        fence=row["fence"],
    )
    until = (told or {}).get("until")
    return {
        "reason": row["status_reason"],
        "message": (told or {}).get("message") or HOLDS[row["status_reason"]],
        "until": datetime.fromisoformat(until) if until else None,
    }


def some(job_ids: list[str]) -> dict[str, Row]:
    """Several jobs by id, without the big columns; missing ids are missing."""
    rows = db.rows(f"SELECT {LIGHT} FROM jobs WHERE job_id = ANY(%(ids)s::uuid[])", ids=job_ids)
    return {row["job_id"]: row for row in rows}


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which jobs to list; None means any."""

    owner: str | None = None
    agent_id: str | None = None
    statuses: tuple[str, ...] = ()
    priority_rank: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    tag: str | None = None
    text: str | None = None
    """Found in the task name, the agent's id, the error message, or as the beginning of the job's id."""
    pool: str | None = None
    workflow_id: str | None = None
    schedule_id: str | None = None
    verdict: str | None = None
    in_errors: bool = True
    """False for those who may not see error messages: they must not find jobs by them either."""

    def where(self) -> tuple[str, dict[str, Any]]:
        """The SQL condition and its values."""
        parts: list[str] = []
        for column, value in (
            ("submitted_by = %(owner)s", self.owner),
            ("agent_id = %(agent_id)s", self.agent_id),
            ("status = ANY(%(statuses)s)", self.statuses or None),
            ("priority_rank = %(rank)s", self.priority_rank),
            ("submitted_at >= %(since)s", self.since),
            ("submitted_at < %(until)s", self.until),
            ("tags @> ARRAY[%(tag)s]::text[] AND tags <> '{}'", self.tag),  # the second half for the index
            ("pool = %(pool)s", self.pool),
            ("verdict = %(verdict)s", self.verdict),
            ("workflow_id = %(workflow_id)s::uuid", self.workflow_id),
            ("schedule_id = %(schedule_id)s::uuid", self.schedule_id),
            (_TEXT_OR_ERROR if self.in_errors else _TEXT, self.text),
        ):
            if value is not None:
                parts.append(column)
        values = {
            "owner": self.owner, "agent_id": self.agent_id, "statuses": list(self.statuses), "pool": self.pool,
            "verdict": self.verdict, "rank": self.priority_rank, "since": self.since, "until": self.until, "tag": self.tag,
            "workflow_id": self.workflow_id, "schedule_id": self.schedule_id, "text": self.text, "like": f"%{_plain(self.text or '')}%", "prefix": f"{_plain(self.text or '')}%",
        }  # fmt: skip
        return " AND ".join(parts) or "true", values


_TEXT = "(task_name ILIKE %(like)s OR agent_id ILIKE %(like)s OR job_id::text LIKE %(prefix)s)"
_TEXT_OR_ERROR = f"({_TEXT} OR error->>'message' ILIKE %(like)s)"


def _plain(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def page(
    chosen: Filter, *, before: tuple[datetime, str] | None = None, limit: int = 50, offset: int = 0
) -> list[Row]:
    """Jobs, newest first; `before` is (submitted_at, job_id) of the last one seen and costs the same at any depth.

    The order is that of the ids, which are UUIDv7: the order of submission. It says `jobs.job_id`, because plain
    `job_id` would mean the text in the answer, which no index has.
    """
    where, values = chosen.where()
    if before:
        where += " AND job_id < %(before_id)s::uuid"
        values |= {"before_id": before[1]}
    return db.rows(
        f"""SELECT {LIGHT} FROM jobs WHERE {where}
            ORDER BY jobs.job_id DESC LIMIT %(limit)s OFFSET %(offset)s""",
        **values,
        limit=limit,
        offset=offset,
    )


def count(chosen: Filter, cap: int = CAP) -> int:
    """How many jobs fit, counted up to `cap` (so a count never costs more than that)."""
    where, values = chosen.where()
    return int(
        db.value(
            f"SELECT count(*) FROM (SELECT 1 FROM jobs WHERE {where} LIMIT %(cap)s) x", **values, cap=cap
        )
    )


def ids(chosen: Filter, limit: int = 1000) -> list[str]:
    """The ids of the jobs that fit, oldest first, at most `limit`: for actions on all matching."""
    where, values = chosen.where()
    rows = db.rows(
        f"SELECT job_id::text FROM jobs WHERE {where} ORDER BY jobs.job_id LIMIT %(limit)s",
        **values,
        limit=limit,
    )
    return [row["job_id"] for row in rows]


def counts_by_status(owner: str | None = None, cap: int = CAP) -> dict[str, int]:
    """How many jobs are in each status, each counted up to `cap`."""
    rows = db.rows(
        """SELECT s.status, (SELECT count(*) FROM (
               SELECT 1 FROM jobs j WHERE j.status = s.status
                 AND (%(owner)s::text IS NULL OR j.submitted_by = %(owner)s) LIMIT %(cap)s) x) AS n
           FROM unnest(ARRAY['pending','queued','running','awaiting_input','retry','completed','failed','cancelled']) AS s(status)""",
        owner=owner,
        cap=cap,
    )
    return {row["status"]: row["n"] for row in rows}


def queue_position(row: Row, cap: int = 1000) -> int | None:
    """How many due jobs of the same pool go first, plus one; None when not waiting, `cap` when further back."""
    if row["status"] not in ("pending", "queued", "retry"):
        return None
    ahead = db.value(
        """SELECT count(*) FROM (
               SELECT 1 FROM jobs WHERE status IN ('pending','queued','retry') AND pool = %(pool)s
                 AND run_at <= greatest(now(), %(run_at)s)
                 AND (priority_rank, run_at, job_id) < (%(rank)s, %(run_at)s, %(job)s::uuid) LIMIT %(cap)s) x""",
        pool=row["pool"],
        rank=row["priority_rank"],
        run_at=row["run_at"],
        job=row["job_id"],
        cap=cap,
    )
    return int(ahead) + 1
