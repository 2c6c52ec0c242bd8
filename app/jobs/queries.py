"""Reading jobs: one, many, counts. Owner rules are applied here, in SQL, so that no door can forget them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.db import Row, db, literal, plain_array
from app.errors import NotFound
from app.jobs import conditions, reach
from app.jobs.states import Reason

# Everything the status document needs, without the big columns.
LIGHT = """job_id::text, agent_id, agent_version, pool, status, status_reason, priority_rank, run_at, task_name, tags,
    submitted_by, correlation_id, traceparent, retry_of_job_id::text, replay_of_job_id::text, pinned, workflow_id::text, step_id, schedule_id::text,
    session_id, parent_job_id::text, depth, fence, worker_id, process_id,
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
# How many jobs it delegated itself; its version changes with each.
CHILDREN = "(SELECT count(*) FROM jobs c WHERE c.parent_job_id = jobs.job_id) AS children"
FULL = f"{LIGHT}, parameters, result, stack_trace, notify"
VERSION = """job_id::text, version, status, submitted_by, agent_id, agent_version, run_at, last_seq, submitted_at,
    started_at, finished_at, updated_at"""
CAP = 10_000
MOST_AHEAD = 1000
HOLDS = {
    Reason.BUDGET: "waits until there is budget again",
    Reason.PROVIDER_OPEN: "waits until its provider answers again",
    Reason.DELEGATED: "waits for the jobs it delegated",
}


def origin(job_id: str) -> Row | None:
    """What a job is found by: {correlation_id, traceparent}."""
    return db.row("SELECT correlation_id, traceparent FROM jobs WHERE job_id = %(job)s", job=job_id)


def get(job_id: str, *, full: bool = False) -> Row:
    """One job, with parameters, result and stack trace if `full`; NotFound if there is none."""
    found = db.row(
        f"SELECT {FULL if full else LIGHT}, {NUMBER}, {CHILDREN} FROM jobs WHERE job_id = %(job)s", job=job_id
    )
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
    """What decides about a 304 and its poll hint, by the primary key alone: a few small columns (VERSION)."""
    return db.row(f"SELECT {VERSION} FROM jobs WHERE job_id = %(job)s", job=job_id)


def changed(versions: dict[str, int]) -> dict[str, Row | None]:
    """The same of those jobs that have another version than this one, by id; None for one that does not exist."""
    found = db.rows(
        f"""SELECT k.job_id::text AS wanted, {VERSION}
            FROM unnest(%(jobs)s::uuid[], %(versions)s::bigint[]) AS k(job_id, known) LEFT JOIN jobs USING (job_id)
            WHERE jobs.version IS DISTINCT FROM k.known""",
        jobs=plain_array(versions),
        versions=plain_array(versions.values()),
    )
    return {row.pop("wanted"): row if row["version"] is not None else None for row in found}


def held(row: Row) -> Row | None:
    """What a job was handed back for and waits for: {reason, message, until}; None when it is not held.

    `until` None means until somebody lifts it.
    """
    return held_each([row])[0]


def held_each(rows: list[Row]) -> list[Row | None]:
    """What `held` says of each of them, by one query at most."""
    those = [row for row in rows if row["status"] == "retry" and row["status_reason"] in HOLDS]
    told = {
        each["job_id"]: each["error"] or {}
        for each in (
            db.rows(
                """SELECT a.job_id::text, a.error FROM job_attempts a
                   JOIN unnest(%(jobs)s::uuid[], %(fences)s::bigint[]) AS h(job_id, fence) USING (job_id, fence)""",
                jobs=[row["job_id"] for row in those],
                fences=[row["fence"] for row in those],
            )
            if those
            else []
        )
    }
    ids = {row["job_id"] for row in those}
    return [_held(row, told.get(row["job_id"], {})) if row["job_id"] in ids else None for row in rows]


def _held(row: Row, told: dict[str, Any]) -> Row:
    until = told.get("until")
    return {
        "reason": row["status_reason"],
        "message": told.get("message") or HOLDS[row["status_reason"]],
        "until": datetime.fromisoformat(until) if until else None,
    }


def some(job_ids: list[str]) -> dict[str, Row]:
    """Several jobs by id, without the big columns; missing ids are missing."""
    rows = db.rows(f"SELECT {LIGHT}, {CHILDREN} FROM jobs WHERE job_id = ANY(%(ids)s::uuid[])", ids=job_ids)
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
    agents: tuple[str, ...] = ()
    not_agents: tuple[str, ...] = ()
    priorities: tuple[int, ...] = ()
    pools: tuple[str, ...] = ()
    not_pools: tuple[str, ...] = ()
    tags: tuple[tuple[str, ...], ...] = ()
    """One of each."""
    not_tags: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = ()
    submitters: tuple[str, ...] = ()
    """Besides `owner`, which is what may be seen at all."""
    workflows: tuple[str, ...] = ()
    schedules: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    """Whole ids, their beginnings (`01…`) or their ends."""
    texts: tuple[str, ...] = ()
    """Each found as `text` is."""
    errors: tuple[tuple[str, ...], ...] = ()
    """One of each found in the error's type or message."""
    cost: tuple[str, float] | None = None
    """In dollars: (">", 1.0)."""
    in_errors: bool = True
    """False for those who may not see error messages: they must not find jobs by them either."""

    def where(self) -> tuple[str, dict[str, Any]]:
        """The SQL condition and its values."""
        parts: list[str] = []
        for column, value in (
            ("submitted_by = %(owner)s", self.owner),
            ("agent_id = %(agent_id)s", self.agent_id),
            # Of one status the index has the order of the ids; of several it has not.
            (
                "status = ANY(%(statuses)s)" if len(self.statuses) > 1 else "status = %(status)s",
                self.statuses or None,
            ),
            ("priority_rank = %(rank)s", self.priority_rank),
            ("submitted_at >= %(since)s AND jobs.job_id >= %(least_id)s::uuid", self.since),
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
            "status": next(iter(self.statuses), None),
            "verdict": self.verdict, "rank": self.priority_rank, "since": self.since, "until": self.until, "tag": self.tag,
            "workflow_id": self.workflow_id, "schedule_id": self.schedule_id, "text": self.text, "like": f"%{literal(self.text or '')}%", "prefix": f"{literal(self.text or '')}%",
        }  # fmt: skip
        if self.since:
            values["least_id"] = reach.least_id(self.since)
        further, more = conditions.further(self)
        return " AND ".join(parts + further) or "true", values | more


_TEXT = "(task_name ILIKE %(like)s OR agent_id ILIKE %(like)s OR job_id::text LIKE %(prefix)s)"
_TEXT_OR_ERROR = f"({_TEXT} OR error->>'message' ILIKE %(like)s)"


def page(
    chosen: Filter, *, before: tuple[datetime, str] | None = None, limit: int = 50, offset: int = 0
) -> list[Row]:
    """Jobs, newest first; `before` is (submitted_at, job_id) of the last one seen and costs the same at any depth.

    The order is that of the ids, which are UUIDv7: the order of submission. What no index knows is looked for as far
    as `reach.horizon` says; fewer than `limit` are all there are only if that is None.
    """
    where, values = chosen.where()
    within, more = reach.bounds(chosen, before)
    return db.rows(
        f"""SELECT {LIGHT} FROM jobs WHERE {where}{within}
            ORDER BY {reach.order(chosen)} DESC LIMIT %(limit)s OFFSET %(offset)s""",
        **values,
        **more,
        limit=limit,
        offset=offset,
    )


def count(chosen: Filter, cap: int = CAP) -> int:
    """How many jobs fit within `reach.horizon`, counted up to `cap` (so a count never costs more than that)."""
    where, values = chosen.where()
    within, more = reach.bounds(chosen)
    return int(
        db.value(
            f"SELECT count(*) FROM (SELECT 1 FROM jobs WHERE {where}{within} LIMIT %(cap)s) x",
            **values,
            **more,
            cap=cap,
        )
    )


def counts_of(chosen: Filter, cap: int = CAP) -> dict[str, int] | None:
    """How many jobs that fit are in each status; None if they are more than `cap`, which would be dear to tell.

    Counted within `reach.horizon`.
    """
    where, values = chosen.where()
    within, more = reach.bounds(chosen)
    rows = db.rows(
        f"""SELECT status, count(*) AS n FROM (SELECT status FROM jobs WHERE {where}{within} LIMIT %(most)s) x
            GROUP BY 1""",
        **values,
        **more,
        most=cap + 1,
    )
    counted = {row["status"]: row["n"] for row in rows}
    return counted if sum(counted.values()) <= cap else None


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
    mine = "AND j.submitted_by = %(owner)s" if owner else ""  # apart, for each has its own index
    rows = db.rows(
        f"""SELECT s.status, (SELECT count(*) FROM (
               SELECT 1 FROM jobs j WHERE j.status = s.status {mine} LIMIT %(cap)s) x) AS n
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


def ahead(rows: list[Row]) -> dict[str, int]:
    """By job id, for rows that wait: how many due jobs of its pool go first, counted up to MOST_AHEAD."""
    if not rows:
        return {}
    found = db.rows(
        """SELECT w.job_id::text, (SELECT count(*) FROM (
               SELECT 1 FROM jobs j WHERE j.status IN ('pending','queued','retry') AND j.pool = w.pool
                 AND j.run_at <= greatest(now(), w.run_at)
                 AND (j.priority_rank, j.run_at, j.job_id) < (w.priority_rank, w.run_at, w.job_id) LIMIT %(cap)s) x) AS n
           FROM jobs w WHERE w.job_id = ANY(%(ids)s::uuid[])""",
        ids=[row["job_id"] for row in rows],
        cap=MOST_AHEAD,
    )
    return {each["job_id"]: each["n"] for each in found}
