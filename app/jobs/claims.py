"""Taking work: who gets the next job, and the frozen value that alone may settle it.

A Claim crosses commits and threads; an ORM row must not, because SQLAlchemy reads a row again after a
commit and would show a worker that lost its lease the lease of its successor.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.db import Row, db


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One attempt of one job in the hands of one worker."""

    job_id: str
    fence: int
    """The fencing token: +1 with each claim; a settle under an older one is refused."""
    lease_id: str
    """Tells this very claim from any other, also from one that a crash of Postgres made forget."""
    worker_id: str
    agent_id: str
    agent_version: str
    pool: str
    parameters: dict[str, Any]
    options: dict[str, Any]
    """Per-job overrides: timeout (s), max_retries, strategy, base_delay (s), budget {usd?, tokens?, minutes?}."""
    retry_count: int
    max_retries: int
    lost_count: int
    priority_rank: int
    checkpoint: dict[str, Any]
    submitted_by: str
    submitted_at: datetime
    correlation_id: str | None
    """What it and everything it calls are found by."""
    task_name: str | None
    last_seq: int
    traceparent: str | None = None
    """The span in which it was submitted."""
    waited_seconds: float = 0.0
    """From when it was due."""
    schedule_id: str | None = None
    workflow_id: str | None = None
    step_id: str | None = None
    session_id: str | None = None
    parent_job_id: str | None = None
    depth: int = 0
    budgeted: bool = False
    """A shared budget covers its agent."""
    awaited: bool = False
    """Something follows when it is finished: a workflow's next step, or news to somebody, a session or its parent."""

    @property
    def idempotency_key(self) -> str:
        """What tells one attempt's effects outside from another's."""
        return f"{self.job_id}:{self.fence}"


def claim_next(
    worker_id: str, pools: tuple[str, ...], *, lease_seconds: float, limit: int = 1
) -> list[Claim]:
    """Take up to `limit` of the best eligible jobs of `pools`: by priority, then due time, then id.

    Eligible: due, its pool not paused, its agent enabled and with a free slot and a rate token. The rules
    stand in the SQL function `jobs_claim` (migrations/sql/0010_turns.sql), one round trip, one commit.
    """
    rows = db.rows(
        "SELECT jobs_take(%(worker)s, %(pools)s, %(limit)s, %(lease)s * interval '1 s') AS taken",
        worker=worker_id,
        pools=list(pools),
        limit=limit,
        lease=lease_seconds,
    )
    return [_claim(row["taken"]) for row in rows]


def _claim(taken: Row) -> Claim:
    return Claim(**{**taken, "submitted_at": datetime.fromisoformat(taken["submitted_at"])})


@dataclass(frozen=True)
class Beat:
    """What a heartbeat learned of one claim."""

    held: bool
    """False: another worker or a rescue has it; stop and write nothing."""
    cancel: bool


def beat(claims: list[Claim], *, lease_seconds: float, extend: bool) -> dict[tuple[str, int], Beat]:
    """Look after `claims` in one statement: extend their leases if `extend`, and hear of cancellations."""
    if not claims:
        return {}
    statement = _EXTEND if extend else _LISTEN
    found = db.rows(
        statement,
        ids=[c.job_id for c in claims],
        fences=[c.fence for c in claims],
        leases=[c.lease_id for c in claims],
        lease=lease_seconds,
    )
    alive = {(r["job_id"], r["fence"]): r["cancel"] for r in found}
    keys = [(c.job_id, c.fence) for c in claims]
    return {key: Beat(held=key in alive, cancel=bool(alive.get(key))) for key in keys}


_MINE = "unnest(%(ids)s::uuid[], %(fences)s::bigint[], %(leases)s::uuid[]) AS mine(job_id, fence, lease_id)"
_EXTEND = f"""
    UPDATE jobs j SET lease_expires_at = clock_timestamp() + %(lease)s * interval '1 s'
    FROM {_MINE} WHERE j.job_id = mine.job_id AND j.fence = mine.fence AND j.lease_id = mine.lease_id AND j.status || '' = 'running'
    RETURNING j.job_id::text, j.fence, j.cancel_requested_at IS NOT NULL AS cancel"""
_LISTEN = f"""
    SELECT j.job_id::text, j.fence, j.cancel_requested_at IS NOT NULL AS cancel
    FROM {_MINE} JOIN jobs j ON j.job_id = mine.job_id AND j.fence = mine.fence AND j.lease_id = mine.lease_id AND j.status || '' = 'running'"""
