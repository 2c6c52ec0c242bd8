"""Beside a job's overview: why it waits, its budgets, what the watchdog saw, its relatives, who was told of it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from flask import current_app
from markupsafe import Markup

from app import clock
from app.accounts.permissions import may
from app.agents import registry
from app.budgets import ledger
from app.budgets import queries as budgets
from app.budgets.amounts import exact, said
from app.dashboard import job_seen, links
from app.dashboard.budgets import shown as shown_budget
from app.dashboard.deliveries import CHANNELS, LOOKS
from app.dashboard.htmx import STOP, Context, Panel, every, is_poll
from app.dashboard.session import asking
from app.dashboard.words import look
from app.db import Row
from app.errors import NotFound
from app.jobs import delegation, explain, idempotency, intake, queries, told
from app.jobs.states import WAITING, Status
from app.kept import Kept
from app.notify import deliveries
from app.observe import correlation
from app.schedules import queries as schedules

MOST_DELIVERIES = 8
OTHERS_SECONDS = 60
"""What others do beside a job is looked at anew so often; what happens to the job itself is seen at the next poll."""
WAITED_FOR_SECONDS = 20
"""What a job waits for that people may change, more often."""
SOONEST_SECONDS = 10
TURNS = ("queue", "busy")
"""It waits for nothing but its turn."""
TOLD_WITHIN = timedelta(seconds=15)
"""So long after a job's end its callbacks may still be written."""

_kept = Kept(seconds=3, most=2_000)
"""Shared budgets, for all who only ask again."""
forget = _kept.forget

_HOW = {"retry": "Retried as", "replay": "Replayed as", "resume": "Resumed as"}


def embed(row: Row) -> Context:
    """The panel, and the facts beside it that never change."""
    return {
        "panel": _with_panel(row),
        "owner": links.person(row["submitted_by"]),
        "idempotency_key": _key(row),
        "schedule": _schedule(row["schedule_id"]),
        "before": _before(row),
        "trace_url": _trace_url(row),
    }


def _with_panel(row: Row) -> Markup:
    return PANEL.embed(job_id=row["job_id"])


def _key(row: Row) -> str | None:
    """Whoever may not see the content does not see what its sender called the request either."""
    if not job_seen.sees_content(row):
        return None
    return idempotency.key_of(row["submitted_by"], row["job_id"], row["submitted_at"])


def _trace_url(row: Row) -> str | None:
    """Where its trace is shown, if somebody said where."""
    trace_id = correlation.trace_id(row["traceparent"])
    template: str = current_app.config["CALLBOARD"].trace_url
    return template.replace("{trace_id}", trace_id) if template and trace_id else None


def _schedule(schedule_id: str | None) -> Row | None:
    if schedule_id is None:
        return None
    try:
        return schedules.get(schedule_id)
    except NotFound:
        return {"schedule_id": None, "name": "a schedule that is deleted"}


def _before(row: Row) -> Row | None:
    """The job that this one runs again: {job_id, how}; nothing of one that may not be seen."""
    before = row["retry_of_job_id"] or row["replay_of_job_id"]
    if before is None:
        return None
    found = queries.some([before]).get(before)
    if found is None or not may(asking(), "view_task", found["submitted_by"]):
        return None
    resumed = row["retry_of_job_id"] and found["status_reason"] == "stopped_budget"
    how = "Resumes" if resumed else "Retry of" if row["retry_of_job_id"] else "Replay of"
    return {"job_id": before, "how": how, "is_replay": row["replay_of_job_id"] is not None}


def _read(job_id: str) -> Context:
    row = job_seen.visible(job_id)
    sent = _deliveries(row)
    why = _why(row) if row["status"] in WAITING else None
    return {
        "job": row,
        "why": why,
        "own": _own_budget(row),
        "shared": _shared_budgets(row) if row["finished_at"] is None else [],
        "watched": _watched(row),
        "later": _later(row["job_id"]) if row["finished_at"] is not None else [],
        "sent": sent,
        "poll": _poll(row, sent),
        "good_for": _good_for(row, why),
    }


def _good_for(row: Row, why: Row | None) -> int:
    """How many seconds it will do; of a job that waits for its turn as many as go first, for its place moves slowly."""
    if row["status"] == Status.AWAITING_INPUT:
        return WAITED_FOR_SECONDS
    if why is None:
        return OTHERS_SECONDS
    if any(each["code"] not in TURNS for each in why["blockers"]) or why["queue_position"] is None:
        return WAITED_FOR_SECONDS
    place: int = why["queue_position"]
    return min(OTHERS_SECONDS, max(SOONEST_SECONDS, place))


def _why(row: Row) -> Row:
    return explain.explained(row, who=asking(), recent=is_poll())


def _poll(row: Row, sent: list[Row]) -> str:
    if row["finished_at"] is None or any(each["status"] == "pending" for each in sent):
        return every(job_seen.SLOW_MS)
    return every(job_seen.SLOW_MS) if clock.now() - row["finished_at"] < TOLD_WITHIN else STOP


def _own_budget(row: Row) -> list[Row]:
    """What the job may use by itself, by unit, and how much it did: {unit, spent, limit, percent, colour, words}."""
    try:
        allowed = intake.allowance(row)
    except NotFound:
        return []
    if not allowed:
        return []
    used = ledger.used_before(row["job_id"], row["fence"] + 1)
    aside = delegation.set_aside(row["job_id"]) if row["children"] else {}
    return [
        _bar(unit, used.get(unit, Decimal(0)), exact(limit), aside.get(unit))
        for unit, limit in allowed.items()
    ]


def _bar(unit: str, used: Decimal, limit: Decimal, aside: Decimal | None) -> Row:
    for_others = f", {said(unit, aside)} for delegated jobs" if aside else ""
    percent = min(100, int(100 * used / limit)) if limit else 100
    # Not "$0.00": there may be usage without a price, which a budget in dollars cannot see.
    spent = said(unit, used) if used or unit != "usd" else "nothing priced"
    return {
        "unit": unit,
        "percent": percent,
        "colour": "red" if percent >= 100 else "amber" if percent >= 80 else "green",
        "words": f"{spent} of {said(unit, limit)}{for_others}",
    }


def _shared_budgets(row: Row) -> list[Row]:
    """The budgets that the job draws on together with others; with what running jobs have set aside."""
    if not may(asking(), "view_budgets"):
        return []
    drawn_on = row["agent_id"], row["schedule_id"]
    found: list[Row] = _kept.answer(drawn_on, lambda: budgets.covering(*drawn_on), fresh=not is_poll())
    return [shown_budget(each) for each in found]


def _watched(row: Row) -> Row | None:
    """What the watchdog did last; its words are content."""
    if not job_seen.sees_content(row):
        return None
    mode = _watchdog_of(row["agent_id"])
    event = told.newest(row["job_id"], "watchdog") if row["last_seq"] else None
    return {"event": event, "mode": mode} if event or (row["watchdog"] and mode) else None


def _watchdog_of(agent_id: str) -> str | None:
    try:
        return (registry.get(agent_id).watchdog or {}).get("mode")
    except NotFound:
        return None


def _later(job_id: str) -> list[Row]:
    """The jobs that ran this one, which has ended, again; of those that whoever asks may see."""
    found = told.later(job_id)
    return [
        each | {"said": _HOW[each["how"]]}
        for each in found
        if may(asking(), "view_task", each["submitted_by"])
    ]


def _deliveries(row: Row) -> list[Row]:
    """Callbacks and messages about the job, newest first."""
    if not may(asking(), "view_deliveries"):
        return []
    found = deliveries.page(subject=("job", row["job_id"]), limit=MOST_DELIVERIES)
    return [
        each
        | {
            "look": look(each["status"], LOOKS),
            "channel_words": "Callback" if each["callback"] else CHANNELS[each["channel"]],
        }
        for each in found
        if may(asking(), "view_deliveries", each["owner"])
    ]


PANEL = Panel(name="job_rail", template="job/_rail.html", read=_read, glance=job_seen.glance_around)
