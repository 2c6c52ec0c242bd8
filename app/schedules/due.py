"""Firing what is due: in one transaction the times are written down, jobs submitted and schedules moved on.

Any number of processes may do this at once. Each takes schedules that no other has locked; the key of
`schedule_fires` is why a time cannot fire twice even then, and the job stands in the same transaction, so there is
no time without its job. What cannot be submitted becomes a failed fire with its reason and stops nobody else.
None of these functions commits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import psycopg2
from opentelemetry.trace import SpanKind

from app.db import AWAY, Row, as_json, db, storable
from app.errors import CallboardError, Conflict
from app.jobs import lifecycle
from app.jobs.lifecycle import Order
from app.observe import logs, tracing
from app.schedules import cron, queries, slots, targets
from app.schedules.slots import Slot
from app.schedules.targets import Owner
from app.workflows import runs
from app.workflows.runs import RunWish

log = logs.get("schedules")

BATCH: Final = 200
# So many times in one transaction, and then it commits; what is left is still due.
MOST_FIRES: Final = 500
MOST_QUEUED: Final = 100
LONGEST_REASON: Final = 500


@dataclass(frozen=True, kw_only=True)
class News:
    """Something of a schedule that its owner should hear of: a time that was `missed` or `failed`."""

    schedule_id: str
    name: str
    submitted_by: str
    agent_id: str | None
    slot_at: datetime
    outcome: str
    reason: str | None


@dataclass(kw_only=True)
class Fired:
    """What one transaction did."""

    schedules: int = 0
    jobs: int = 0
    workflows: int = 0
    news: list[News] = field(default_factory=list)


@dataclass(kw_only=True)
class Entry:
    """One time of one schedule on its way into `schedule_fires`."""

    row: Row
    slot_at: datetime
    outcome: str
    reason: str | None = None
    order: Order | None = None
    wish: RunWish | None = None
    job_id: str | None = None
    workflow_id: str | None = None

    def fail(self, why: Exception) -> None:
        """It could not be submitted, for this reason."""
        self.outcome, self.reason = "failed", _reason(why)
        self.order = self.wish = None


@dataclass(kw_only=True)
class _Plan:
    """What becomes of one schedule: its times, and how its row goes on."""

    row: Row
    entries: list[Entry]
    next_fire_at: datetime | None
    ended: str | None = None
    enabled: bool = True


def is_due() -> bool:
    """Whether `fire` or `fire_queued` has anything to do; one cheap statement."""
    return bool(
        db.value(
            f"""SELECT EXISTS (SELECT 1 FROM schedules WHERE enabled AND ended IS NULL AND next_fire_at <= now())
                    OR EXISTS (SELECT 1 FROM schedules s WHERE {_HAS_QUEUED} AND NOT {_BUSY})"""
        )
    )


def fire(limit: int = BATCH) -> Fired:
    """Fire what is due, at most `limit` schedules; call it again until it answers that there were none."""
    rows = db.rows(
        f"""SELECT {queries.COLUMNS}, now() AS now FROM schedules s
            WHERE s.enabled AND s.ended IS NULL AND s.next_fire_at <= now()
            ORDER BY s.next_fire_at, s.schedule_id LIMIT %(limit)s FOR UPDATE SKIP LOCKED""",
        limit=limit,
    )
    if not rows:
        return Fired()
    owners = targets.owners(row["submitted_by"] for row in rows)
    busy = _standing([row["schedule_id"] for row in rows if row["overlap"] != "allow"])
    plans: list[_Plan] = []
    planned: list[Entry] = []
    for row in rows:
        plans.append(_plan(row, owners.get(row["submitted_by"], Owner()), busy.get(row["schedule_id"])))
        planned += plans[-1].entries
        if len(planned) >= MOST_FIRES:
            break
    entries = _insert(planned)
    _submit(entries)
    _write_fires(entries)
    _move_on(plans, entries)
    return _fired(len(plans), entries)


def fire_queued(limit: int = BATCH) -> Fired:
    """Run the oldest queued time of each schedule whose last run has ended."""
    rows = db.rows(
        f"""SELECT {queries.COLUMNS}, now() AS now FROM schedules s WHERE {_HAS_QUEUED} AND NOT {_BUSY}
            ORDER BY s.schedule_id LIMIT %(limit)s FOR UPDATE SKIP LOCKED""",
        limit=limit,
    )
    if not rows:
        return Fired()
    # Asked again now that the rows are locked: another process may have been here between.
    standing = _standing([row["schedule_id"] for row in rows])
    owners = targets.owners(row["submitted_by"] for row in rows)
    entries = [
        _made(
            Entry(row=row, slot_at=now_free["first"], outcome="fired"),
            owners.get(row["submitted_by"], Owner()),
        )
        for row in rows
        if not (now_free := standing[row["schedule_id"]])["busy"] and now_free["first"]
    ]
    _submit(entries)
    _write_fires(entries)
    _note_last(entries)
    return _fired(len(rows), entries)


def run_now(row: Row, owner: Owner) -> Row:
    """Run a locked schedule once more, apart from its times; raises what keeps it from being submitted.

    Answers {schedule_id, slot_at, outcome: fired | queued | skipped, reason, job_id, workflow_id}; one that may not
    overlap is queued or skipped as at any other time.
    """
    (standing,) = _standing([row["schedule_id"]]).values()
    slot = Slot(db.value("SELECT clock_timestamp()"), "run")
    entry = Entry(row=row, slot_at=slot.at, outcome="fired")
    outcome, reason = _overlapping(row, standing)
    if outcome:
        entry.outcome, entry.reason = outcome, reason
    else:
        _build(entry, owner)
    if not _insert([entry], manual=True):
        raise Conflict("it was run at this very moment; try again")
    if entry.order:
        entry.job_id = lifecycle.submit(entry.order)["job_id"]
    elif entry.wish:
        entry.workflow_id = str(runs.start(entry.wish)["workflow_id"])
    _write_fires([entry])
    _note_last([entry])
    return {
        "schedule_id": row["schedule_id"],
        "slot_at": entry.slot_at,
        "outcome": entry.outcome,
        "reason": entry.reason,
        "job_id": entry.job_id,
        "workflow_id": entry.workflow_id,
    }


# -- deciding


def _plan(row: Row, owner: Owner, standing: Row | None) -> _Plan:
    """The times of one schedule that are due; one that cannot even be counted out is switched off."""
    try:
        due, next_fire_at, ended = _due(row)
    except Exception as broken:  # noqa: BLE001 - one schedule that nobody foresaw must not stop all others
        log.warning("schedule.broken", schedule_id=row["schedule_id"], error=repr(broken))
        why = f"it is switched off, because its times cannot be counted out: {_reason(broken)}"
        entry = Entry(row=row, slot_at=row["next_fire_at"], outcome="failed", reason=why)
        return _Plan(row=row, entries=[entry], next_fire_at=None, enabled=False)
    entries = [_decided(row, slot, owner, standing) for slot in due]
    return _Plan(row=row, entries=entries, next_fire_at=next_fire_at, ended=ended)


def _due(row: Row) -> tuple[list[Slot], datetime | None, str | None]:
    """The times that are due, the next one, and how a one-time schedule ended."""
    now, policy = row["now"], {"misfire": row["misfire"], "grace_seconds": row["grace_seconds"]}
    if row["schedule_type"] == "one_time":
        slot = slots.once(row["next_fire_at"], now, **policy)
        return [slot], None, "missed" if slot.outcome == "missed" else "fired"
    times = (row["cron_expression"], row["timezone"])
    return slots.due(*times, first=row["next_fire_at"], now=now, **policy), cron.following(*times, now), None


def _decided(row: Row, slot: Slot, owner: Owner, standing: Row | None) -> Entry:
    """What becomes of one time; `standing` is kept up to date for the schedule's next one."""
    if slot.outcome != "run":
        return Entry(row=row, slot_at=slot.at, outcome=slot.outcome, reason=slot.reason)
    outcome, reason = _overlapping(row, standing)
    if outcome:
        return Entry(row=row, slot_at=slot.at, outcome=outcome, reason=reason)
    entry = _made(Entry(row=row, slot_at=slot.at, outcome="fired"), owner)
    if standing and entry.outcome == "fired":
        standing["busy"] = True
    return entry


def _overlapping(row: Row, standing: Row | None) -> tuple[str | None, str | None]:
    """(skipped or queued, why) if the schedule may not run beside what it still runs; (None, None) if it may run."""
    if row["overlap"] == "allow" or not standing or not (standing["busy"] or standing["queued"]):
        return None, None
    if row["overlap"] == "skip":
        return ("skipped", "the run before it has not ended") if standing["busy"] else (None, None)
    if standing["queued"] >= MOST_QUEUED:
        return "skipped", f"{MOST_QUEUED} times wait already"
    standing["queued"] += 1
    return "queued", "waits until the run before it has ended"


def _made(entry: Entry, owner: Owner) -> Entry:
    """The entry with what is to be submitted; failed if that cannot be."""
    try:
        _build(entry, owner)
    except (*AWAY, psycopg2.Error):  # of the whole transaction
        raise
    except Exception as why:  # noqa: BLE001 - as above
        if not isinstance(why, CallboardError):
            log.warning("schedule.broken", schedule_id=entry.row["schedule_id"], error=repr(why))
        entry.fail(why)
    return entry


def _build(entry: Entry, owner: Owner) -> None:
    about = {"callboard.schedule.id": entry.row["schedule_id"]}
    with tracing.span("fire schedule", about, kind=SpanKind.PRODUCER):
        if targets.is_workflow(entry.row):
            entry.wish = targets.run_wish(entry.row, slot=entry.slot_at, owner=owner)
        else:
            entry.order = targets.order(entry.row, slot=entry.slot_at, owner=owner)


def _reason(why: Exception) -> str:
    said = why.message if isinstance(why, CallboardError) else f"{type(why).__name__}: {why}"
    return storable(said[:LONGEST_REASON])


# -- writing

_BUSY = """(EXISTS (SELECT 1 FROM jobs j WHERE j.job_id = s.last_job_id AND j.finished_at IS NULL)
    OR EXISTS (SELECT 1 FROM workflows w WHERE w.workflow_id = s.last_workflow_id AND w.finished_at IS NULL))"""
_HAS_QUEUED = "s.schedule_id IN (SELECT schedule_id FROM schedule_fires WHERE outcome = 'queued')"


def _standing(schedule_ids: list[str]) -> dict[str, Row]:
    """Whether their last run still runs, and what waits for it: {busy, queued, first}."""
    if not schedule_ids:
        return {}
    rows = db.rows(
        f"""SELECT s.schedule_id::text, {_BUSY} AS busy, f.queued, f.first FROM schedules s,
                   LATERAL (SELECT count(*) AS queued, min(slot_at) AS first FROM schedule_fires f
                            WHERE f.schedule_id = s.schedule_id AND f.outcome = 'queued') f
            WHERE s.schedule_id = ANY(%(ids)s::uuid[])""",
        ids=schedule_ids,
    )
    return {row["schedule_id"]: row for row in rows}


def _insert(entries: list[Entry], *, manual: bool = False) -> list[Entry]:
    """Write the times down; answers those that nobody wrote down before."""
    rows = db.rows(
        """INSERT INTO schedule_fires (schedule_id, slot_at, outcome, reason, manual)
           SELECT n.schedule_id, n.slot_at, n.outcome, n.reason, %(manual)s
           FROM jsonb_to_recordset(%(fires)s::jsonb)
                AS n(schedule_id uuid, slot_at timestamptz, outcome text, reason text)
           ON CONFLICT DO NOTHING RETURNING schedule_id::text, slot_at""",
        fires=as_json([_public(entry) for entry in entries]),
        manual=manual,
    )
    new = {(row["schedule_id"], row["slot_at"]) for row in rows}
    return [entry for entry in entries if (entry.row["schedule_id"], entry.slot_at) in new]


def _public(entry: Entry) -> dict[str, Any]:
    return {
        "schedule_id": entry.row["schedule_id"],
        "slot_at": entry.slot_at,
        "outcome": entry.outcome,
        "reason": entry.reason,
        "job_id": entry.job_id,
        "workflow_id": entry.workflow_id,
    }


def _submit(entries: list[Entry]) -> None:
    """Submit the jobs by one statement and start the workflows; what Postgres refuses fails alone."""
    ordered = [entry for entry in entries if entry.order]
    if ordered and not _submit_jobs(ordered):
        for entry in ordered:  # one of them cannot be stored: find out which
            if not _submit_jobs([entry]):
                log.warning("schedule.refused", schedule_id=entry.row["schedule_id"], reason=entry.reason)
    for entry in entries:
        if entry.wish:
            _start(entry, entry.wish)


def _submit_jobs(entries: list[Entry]) -> bool:
    def do() -> None:
        rows = lifecycle.submit_many([entry.order for entry in entries if entry.order])
        for entry, row in zip(entries, rows, strict=True):
            entry.job_id = row["job_id"]

    why = _alone(do)
    if why and len(entries) == 1:
        entries[0].fail(why)
    return why is None


def _start(entry: Entry, wish: RunWish) -> None:
    def do() -> None:
        entry.workflow_id = str(runs.start(wish)["workflow_id"])

    if why := _alone(do):
        entry.fail(why)


def _alone(do: Callable[[], None]) -> Exception | None:
    """Do it in a savepoint; answers why it was undone. Only a Postgres that is away is everybody's matter."""
    db.run("SAVEPOINT one_of_many")
    try:
        do()
    except AWAY:
        raise
    except (CallboardError, psycopg2.Error) as why:
        db.run("ROLLBACK TO SAVEPOINT one_of_many")
        return why
    db.run("RELEASE SAVEPOINT one_of_many")
    return None


def _write_fires(entries: list[Entry]) -> None:
    """Note what was submitted for each time, and what was not."""
    db.run(
        """UPDATE schedule_fires f SET outcome = n.outcome, reason = n.reason, job_id = n.job_id,
                  workflow_id = n.workflow_id, at = clock_timestamp()
           FROM jsonb_to_recordset(%(fires)s::jsonb) AS n(schedule_id uuid, slot_at timestamptz, outcome text,
                reason text, job_id uuid, workflow_id uuid)
           WHERE f.schedule_id = n.schedule_id AND f.slot_at = n.slot_at""",
        fires=as_json([_public(entry) for entry in entries]),
    )


def _move_on(plans: list[_Plan], entries: list[Entry]) -> None:
    last = _last_runs(entries)
    db.run(
        """UPDATE schedules s SET next_fire_at = n.next_fire_at, ended = coalesce(n.ended, s.ended),
                  enabled = n.enabled, version = s.version + (NOT n.enabled)::int,
                  last_slot_at = coalesce(n.last_slot_at, s.last_slot_at),
                  last_fired_at = CASE WHEN n.ran THEN clock_timestamp() ELSE s.last_fired_at END,
                  last_job_id = CASE WHEN n.ran THEN n.job_id ELSE s.last_job_id END,
                  last_workflow_id = CASE WHEN n.ran THEN n.workflow_id ELSE s.last_workflow_id END
           FROM jsonb_to_recordset(%(plans)s::jsonb) AS n(schedule_id uuid, next_fire_at timestamptz, ended text,
                enabled boolean, last_slot_at timestamptz, ran boolean, job_id uuid, workflow_id uuid)
           WHERE s.schedule_id = n.schedule_id""",
        plans=as_json([_moved(plan, last.get(plan.row["schedule_id"])) for plan in plans]),
    )


def _moved(plan: _Plan, ran: Entry | None) -> dict[str, Any]:
    failed = any(entry.outcome == "failed" for entry in plan.entries)
    return {
        "schedule_id": plan.row["schedule_id"],
        "next_fire_at": plan.next_fire_at,
        "ended": "missed" if plan.ended and failed else plan.ended,
        "enabled": plan.enabled,
        "last_slot_at": max((entry.slot_at for entry in plan.entries), default=None),
        "ran": ran is not None,
        "job_id": ran.job_id if ran else None,
        "workflow_id": ran.workflow_id if ran else None,
    }


def _note_last(entries: list[Entry]) -> None:
    """Note in the schedules what runs for them now."""
    for entry in _last_runs(entries).values():
        db.run(
            """UPDATE schedules SET last_fired_at = clock_timestamp(), last_job_id = %(job)s,
                      last_workflow_id = %(workflow)s WHERE schedule_id = %(id)s""",
            id=entry.row["schedule_id"],
            job=entry.job_id,
            workflow=entry.workflow_id,
        )


def _last_runs(entries: list[Entry]) -> dict[str, Entry]:
    return {entry.row["schedule_id"]: entry for entry in entries if entry.job_id or entry.workflow_id}


def _fired(schedules: int, entries: list[Entry]) -> Fired:
    return Fired(
        schedules=schedules,
        jobs=sum(entry.job_id is not None for entry in entries),
        workflows=sum(entry.workflow_id is not None for entry in entries),
        news=[_news(entry) for entry in entries if entry.outcome in ("missed", "failed")],
    )


def _news(entry: Entry) -> News:
    return News(
        **{name: entry.row[name] for name in ("schedule_id", "name", "submitted_by", "agent_id")},
        slot_at=entry.slot_at,
        outcome=entry.outcome,
        reason=entry.reason,
    )
