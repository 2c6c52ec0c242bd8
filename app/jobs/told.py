"""What a page reads of one job beside its own row: its log by filter, its events and moves, its relatives."""

from __future__ import annotations

from datetime import datetime
from heapq import merge
from typing import Any

from app.db import Row, db

LEVELS = ("debug", "info", "warning", "error")
KINDS = (
    "log", "progress", "stage", "turn", "tool", "tool_result", "provider", "budget", "watchdog", "quality", "asked",
    "complete",
)  # fmt: skip
MOVE = "move"
MOST_MOVES = 500
MOST_RELATIVES = 20
# Names of sources are looked for among so many of the newest lines.
LINES_WITH_SOURCES = 5000

_COLUMNS = "seq, at, fence AS attempt, kind, level, source, message, data"

Filter = dict[str, Any]
"""Which log lines: {level, source, attempt}; what is left out means any, `level` that and worse."""


def after(job_id: str, seq: int, *, limit: int, wanted: Filter) -> list[Row]:
    """The log lines above a sequence number, oldest first."""
    where, values = _which(wanted)
    return db.rows(
        f"""SELECT {_COLUMNS} FROM job_events WHERE job_id = %(job)s AND seq > %(seq)s AND {where}
            ORDER BY seq LIMIT %(limit)s""",
        job=job_id,
        seq=seq,
        limit=limit,
        **values,
    )


def before(job_id: str, seq: int | None, *, limit: int, wanted: Filter) -> list[Row]:
    """The last `limit` log lines below a sequence number, or of all, oldest first."""
    where, values = _which(wanted)
    rows = db.rows(
        f"""SELECT {_COLUMNS} FROM job_events
            WHERE job_id = %(job)s AND (%(seq)s::bigint IS NULL OR seq < %(seq)s) AND {where}
            ORDER BY seq DESC LIMIT %(limit)s""",
        job=job_id,
        seq=seq,
        limit=limit,
        **values,
    )
    return rows[::-1]


def _which(wanted: Filter) -> tuple[str, Filter]:
    parts, values = ["kind = 'log'"], {}
    if level := wanted.get("level"):
        parts.append("level = ANY(%(levels)s)")
        values["levels"] = list(LEVELS[LEVELS.index(level) :])
    for column, name in (("source", "source"), ("fence", "attempt")):
        if wanted.get(name) is not None:
            parts.append(f"{column} = %({name})s")
            values[name] = wanted[name]
    return " AND ".join(parts), values


def sources(job_id: str) -> list[str]:
    """Who wrote into the log of late, by name."""
    rows = db.rows(
        """SELECT DISTINCT source FROM (
               SELECT source FROM job_events WHERE job_id = %(job)s AND kind = 'log' ORDER BY seq DESC LIMIT %(limit)s) x
           ORDER BY source LIMIT 50""",
        job=job_id,
        limit=LINES_WITH_SOURCES,
    )
    return [row["source"] for row in rows]


def attempt_at(job_id: str, seq: int) -> int | None:
    """The attempt that the last log line up to a sequence number belongs to."""
    found: int | None = db.value(
        """SELECT fence FROM job_events WHERE job_id = %(job)s AND seq <= %(seq)s AND kind = 'log'
           ORDER BY seq DESC LIMIT 1""",
        job=job_id,
        seq=seq,
    )
    return found


def latest(job_id: str, limit: int) -> list[Row]:
    """The last words of a job, whatever kind they are of, oldest first; figures of progress are left out."""
    rows = db.rows(
        f"""SELECT {_COLUMNS} FROM job_events WHERE job_id = %(job)s AND kind <> 'progress'
            ORDER BY seq DESC LIMIT %(limit)s""",
        job=job_id,
        limit=limit,
    )
    return rows[::-1]


def newest(job_id: str, kind: str) -> Row | None:
    """The last event of a kind."""
    return db.row(
        f"""SELECT {_COLUMNS} FROM job_events WHERE job_id = %(job)s AND kind = %(kind)s
            ORDER BY seq DESC LIMIT 1""",
        job=job_id,
        kind=kind,
    )


def tails(job_id: str, attempts: list[int], limit: int) -> dict[int, list[Row]]:
    """The last log lines of each of these attempts, oldest first."""
    rows = db.rows(
        f"""SELECT e.* FROM unnest(%(attempts)s::bigint[]) AS a(n) CROSS JOIN LATERAL (
                SELECT {_COLUMNS} FROM job_events
                WHERE job_id = %(job)s AND fence = a.n AND kind = 'log' ORDER BY seq DESC LIMIT %(limit)s) e
            ORDER BY e.seq""",
        job=job_id,
        attempts=attempts,
        limit=limit,
    )
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(row["attempt"], []).append(row)
    return found


# -- events and moves as one list

# A cursor of both: how many moves were read, and the last event's number.
_SEQ_BITS = 32


def since(job_id: str, cursor: int, *, limit: int, kind: str | None) -> list[Row]:
    """Events and moves behind a cursor in one list, oldest first, each with its own `cursor`; `kind` narrows it."""
    known, seq = divmod(cursor, 1 << _SEQ_BITS)
    events = _events(job_id, "seq > %(seq)s", "ASC", kind, limit, seq=seq)
    moves = _moves(job_id, known, kind)
    if len(events) == limit:  # there are more: what happened after the last of these comes with them
        moves = [each for each in moves if each["at"] <= events[-1]["at"]]
    return _together(events, moves, cursor)


def until(job_id: str, seq: int | None, *, limit: int, kind: str | None) -> list[Row]:
    """The last `limit` events below a sequence number, or of all, with the moves among them, oldest first."""
    where = "(%(seq)s::bigint IS NULL OR seq < %(seq)s)"
    events = _events(job_id, where, "DESC", kind, limit, seq=seq)[::-1]
    moves = _moves(job_id, 0, kind)
    if len(events) == limit:
        moves = [each for each in moves if each["at"] >= events[0]["at"]]
    if seq is not None and (end := _at(job_id, seq)) is not None:
        moves = [each for each in moves if each["at"] < end]
    return _together(events, moves, 0)


def end(job_id: str, last_seq: int) -> int:
    """The cursor behind everything that happened to a job so far."""
    moves = db.value("SELECT count(*) FROM job_history WHERE job_id = %(job)s", job=job_id)
    return (int(moves) << _SEQ_BITS) + last_seq


def behind(found: list[Row], known: int) -> int:
    """The cursor behind `found` and behind everything that was there when `known` was asked for, before them."""
    last = found[-1]["cursor"] if found else 0
    (number, seq), (other, later) = divmod(known, 1 << _SEQ_BITS), divmod(last, 1 << _SEQ_BITS)
    return (max(number, other) << _SEQ_BITS) + max(seq, later)


def _events(job_id: str, where: str, order: str, kind: str | None, limit: int, **values: Any) -> list[Row]:
    if kind == MOVE:
        return []
    return db.rows(
        f"""SELECT {_COLUMNS} FROM job_events
            WHERE job_id = %(job)s AND {where} AND (%(kind)s::text IS NULL OR kind = %(kind)s)
            ORDER BY seq {order} LIMIT %(limit)s""",
        job=job_id,
        kind=kind,
        limit=limit,
        **values,
    )


def _moves(job_id: str, known: int, kind: str | None) -> list[Row]:
    if kind not in (None, MOVE):
        return []
    return db.rows(
        """SELECT row_number() OVER (ORDER BY id) AS number, at, from_status, to_status, reason, fence AS attempt,
                  worker_id, 'move' AS kind, 'info' AS level
           FROM job_history WHERE job_id = %(job)s ORDER BY id OFFSET %(known)s LIMIT %(most)s""",
        job=job_id,
        known=known,
        most=MOST_MOVES,
    )


def _at(job_id: str, seq: int) -> datetime | None:
    found: datetime | None = db.value(
        "SELECT at FROM job_events WHERE job_id = %(job)s AND seq >= %(seq)s ORDER BY seq LIMIT 1",
        job=job_id,
        seq=seq,
    )
    return found


def _together(events: list[Row], moves: list[Row], cursor: int) -> list[Row]:
    """Both by time, each in its own order, each with the cursor behind it."""
    number, seq = divmod(cursor, 1 << _SEQ_BITS)
    whole = []
    for row in merge(moves, events, key=lambda each: each["at"]):
        number, seq = row.get("number", number), row.get("seq", seq)
        whole.append(row | {"cursor": (number << _SEQ_BITS) + seq})
    return whole


# -- relatives


def later(job_id: str) -> list[Row]:
    """The jobs that ran this one again, newest first: {job_id, how: retry | replay | resume, status, …}."""
    return db.rows(
        f"""SELECT j.job_id::text, j.agent_id, j.task_name, j.status, j.status_reason, j.submitted_by, j.submitted_at,
                   CASE WHEN j.replay_of_job_id IS NOT NULL THEN 'replay'
                        WHEN (SELECT o.status_reason FROM jobs o WHERE o.job_id = %(job)s) = 'stopped_budget'
                        THEN 'resume' ELSE 'retry' END AS how
            FROM jobs j WHERE j.retry_of_job_id = %(job)s OR j.replay_of_job_id = %(job)s
            ORDER BY j.job_id DESC LIMIT {MOST_RELATIVES}""",
        job=job_id,
    )


def memory(worker_ids: list[str]) -> dict[str, int]:
    """How much memory these workers used when they were last heard of, in bytes; those that are gone are missing."""
    rows = db.rows(
        "SELECT worker_id, memory_bytes FROM workers WHERE worker_id = ANY(%(ids)s) AND memory_bytes IS NOT NULL",
        ids=worker_ids,
    )
    return {row["worker_id"]: row["memory_bytes"] for row in rows}
