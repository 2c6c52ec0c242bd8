"""What a job said while it ran: log lines, progress, events; written in batches, read by cursor."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.db import Row, as_json, db, storable

LONGEST_MESSAGE = 8000
# The kinds of entries that tell what an agent did; the log is apart from them.
STORY = ("turn", "tool", "tool_result", "provider", "quality", "budget", "watchdog", "asked")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One entry: `kind` is log, progress, stage, turn, tool, tool_result, provider, budget, watchdog, quality, asked, complete."""

    at: datetime
    kind: str
    level: str
    source: str
    message: str
    data: dict[str, Any] | None = None


@dataclass(kw_only=True)
class Report:
    """What one attempt has to say since the last write; None means unchanged."""

    job_id: str
    fence: int
    lease_id: str
    progress: int | None = None
    stage: str | None = None
    current_step: str | None = None
    process_id: int | None = None
    usage: dict[str, Any] | None = None
    checkpoint: dict[str, Any] | None = None
    pins: dict[str, str] | None = None
    watchdog: dict[str, Any] | None = None
    lines: list[Line] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """There is nothing to write."""
        said = (
            self.progress, self.stage, self.current_step, self.process_id, self.usage, self.checkpoint, self.pins,
            self.watchdog,
        )  # fmt: skip
        return not self.lines and all(value is None for value in said)


def write(report: Report) -> bool:
    """Write one attempt's news in one statement, if the attempt is still its own; answers whether it was.

    Lines get the next sequence numbers of the job, without gaps, so that a reader's cursor loses nothing.
    """
    lines = [
        {
            "n": n,
            "at": line.at,
            "kind": line.kind,
            "level": line.level,
            "source": str(line.source)[:100],
            "message": clean(line.message),
            "data": line.data,
        }
        for n, line in enumerate(report.lines, start=1)
    ]
    return bool(
        db.value(
            _WRITE,
            job=report.job_id,
            fence=report.fence,
            lease=report.lease_id,
            progress=report.progress,
            stage=clean(report.stage) if report.stage else None,
            step=clean(report.current_step) if report.current_step else None,
            pid=report.process_id,
            usage=as_json(report.usage) if report.usage is not None else None,
            checkpoint=as_json(report.checkpoint) if report.checkpoint is not None else None,
            pins=as_json(report.pins) if report.pins is not None else None,
            watchdog=as_json(report.watchdog) if report.watchdog is not None else None,
            lines=as_json(lines),
            count=len(lines),
        )
    )


_WRITE = """
    WITH mine AS (
        UPDATE jobs SET progress = coalesce(%(progress)s, progress), stage = coalesce(%(stage)s, stage),
               current_step = coalesce(%(step)s, current_step), process_id = coalesce(%(pid)s, process_id),
               usage = coalesce(%(usage)s, usage), checkpoint = coalesce(%(checkpoint)s, checkpoint),
               watchdog = coalesce(%(watchdog)s, watchdog), last_seq = last_seq + %(count)s, version = version + 1, updated_at = clock_timestamp()
        WHERE job_id = %(job)s AND fence = %(fence)s AND lease_id = %(lease)s AND status || '' = 'running'
        RETURNING job_id, last_seq - %(count)s AS base)
    , pinned AS (
        UPDATE job_attempts a SET pins = coalesce(%(pins)s, a.pins), usage = coalesce(%(usage)s, a.usage) FROM mine
        WHERE a.job_id = mine.job_id AND a.fence = %(fence)s AND coalesce(%(pins)s::jsonb, %(usage)s::jsonb) IS NOT NULL)
    , said AS (
        INSERT INTO job_events (job_id, seq, fence, at, kind, level, source, message, data)
        SELECT mine.job_id, mine.base + n.n, %(fence)s, n.at, n.kind, n.level, n.source, n.message,
               nullif(n.data, 'null'::jsonb)
        FROM mine, jsonb_to_recordset(%(lines)s::jsonb)
             AS n(n integer, at timestamptz, kind text, level text, source text, message text, data jsonb))
    SELECT 1 FROM mine"""


def clean(text: str) -> str:
    """Text as Postgres takes it, and not endless."""
    return storable(str(text)[:LONGEST_MESSAGE])


def log(job_id: str, *, after: int = 0, limit: int = 200, level: str | None = None) -> list[Row]:
    """Log lines with a sequence number above `after`, oldest first; `level` keeps that and worse."""
    return _read(job_id, "kind = 'log'", after, limit, level)


def events(job_id: str, *, after: int = 0, limit: int = 200) -> list[Row]:
    """Everything the job said, log lines included, above sequence number `after`."""
    return _read(job_id, "true", after, limit, None)


def story(job_id: str, *, after: int = 0, limit: int = 200) -> list[Row]:
    """The transcript above sequence number `after`, oldest first: turns, tool calls, switches, warnings."""
    return _read(job_id, f"kind IN {STORY}", after, limit, None)


def newest_story(job_id: str, limit: int) -> list[Row]:
    """The last `limit` entries of the transcript, oldest first."""
    rows = db.rows(
        f"""SELECT seq, at, fence AS attempt, kind, level, source, message, data FROM job_events
            WHERE job_id = %(job)s AND kind IN {STORY} ORDER BY seq DESC LIMIT %(limit)s""",
        job=job_id,
        limit=limit,
    )
    return rows[::-1]


def tool_calls(job_id: str, call_ids: list[str]) -> dict[tuple[int, str], Row]:
    """The newest call of each of these ids, by (attempt, call_id)."""
    rows = db.rows(
        """SELECT seq, at, fence AS attempt, kind, level, source, message, data FROM job_events
           WHERE job_id = %(job)s AND kind = 'tool' AND data ->> 'call_id' = ANY(%(ids)s) ORDER BY seq""",
        job=job_id,
        ids=call_ids,
    )
    return {(row["attempt"], str(row["data"]["call_id"])): row for row in rows}


def newest(job_id: str, limit: int) -> list[Row]:
    """The last `limit` log lines, oldest first."""
    rows = db.rows(
        """SELECT seq, at, fence AS attempt, kind, level, source, message, data FROM job_events
           WHERE job_id = %(job)s AND kind = 'log' ORDER BY seq DESC LIMIT %(limit)s""",
        job=job_id,
        limit=limit,
    )
    return rows[::-1]


_LEVELS = ("debug", "info", "warning", "error")


def _read(job_id: str, kind: str, after: int, limit: int, level: str | None) -> list[Row]:
    levels = list(_LEVELS[_LEVELS.index(level) :]) if level else list(_LEVELS)
    return db.rows(
        f"""SELECT seq, at, fence AS attempt, kind, level, source, message, data FROM job_events
            WHERE job_id = %(job)s AND seq > %(after)s AND {kind} AND level = ANY(%(levels)s)
            ORDER BY seq LIMIT %(limit)s""",
        job=job_id,
        after=after,
        limit=limit,
        levels=levels,
    )


def history(job_id: str) -> list[Row]:
    """Every change of status, in order: {at, from_status, to_status, reason, fence, worker_id}."""
    return db.rows(
        """SELECT at, from_status, to_status, reason, fence AS attempt, worker_id FROM job_history
           WHERE job_id = %(job)s ORDER BY id""",
        job=job_id,
    )


def attempts(job_id: str) -> list[Row]:
    """Every execution, in order.

    Each {attempt, worker_id, agent_version, started_at, ended_at, outcome, error, delay_seconds, duration_seconds,
    usage, pins: {provider?, model?, cli_version?, session_id?}}.
    """
    return db.rows(
        """SELECT fence AS attempt, worker_id, agent_version, started_at, ended_at, outcome, error, delay_seconds,
                  usage, pins, extract(epoch FROM coalesce(ended_at, clock_timestamp()) - started_at)::float AS duration_seconds
           FROM job_attempts WHERE job_id = %(job)s ORDER BY fence""",
        job=job_id,
    )


def last_lines(job_ids: list[str]) -> dict[str, str]:
    """What each of these jobs said last, in one line; of its newest fifty entries, progress and stages aside."""
    rows = db.rows(
        """SELECT j.job_id::text, e.message FROM jobs j CROSS JOIN LATERAL (
               SELECT left(message, 300) AS message FROM job_events e
               WHERE e.job_id = j.job_id AND e.seq > j.last_seq - 50 AND e.kind NOT IN ('progress', 'stage', 'complete')
                 AND e.message <> '' ORDER BY e.seq DESC LIMIT 1) e
           WHERE j.job_id = ANY(%(ids)s::uuid[])""",
        ids=job_ids,
    )
    return {row["job_id"]: " ".join(row["message"].split()) for row in rows}
