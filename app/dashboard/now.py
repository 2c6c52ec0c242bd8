"""GET /: what is going on now, at a glance; each panel refreshes by itself."""

from __future__ import annotations

from flask import render_template

from app.accounts import queries as people
from app.accounts.permissions import demand, may, own_only
from app.approvals import queries as approvals
from app.dashboard import actions, approval_card
from app.dashboard.htmx import Context, Panel, every
from app.dashboard.pools import PAUSES
from app.dashboard.session import asking, settings
from app.db import Row
from app.errors import NotFound
from app.jobs import dead_letters, queries, stats
from app.jobs.document import brief
from app.jobs.states import WAITING
from app.workers import fleet

FAILURES_MS = 15_000
QUESTIONS_MS = 5_000
MOST_QUESTIONS = 5
MOST_RUNNING = 12
MOST_FAILURES = 8
MOST_FINISHED = 6


def page() -> str:
    """GET /."""
    return render_template(
        "now/page.html",
        questions=QUESTIONS.embed() if may(asking(), "view_approvals") else "",
        overview=OVERVIEW.embed(),
        queues=QUEUES.embed(),
        running=RUNNING.embed(),
        finished=FINISHED.embed(),
        failures=FAILURES.embed(),
        pool_names=[line["pool"] for line in stats.by_pool()],
    )


def _questions() -> Context:
    who = asking()
    demand(who, "view_approvals")
    rows = approvals.open_for(who.user_id, who.email, who.role, limit=MOST_QUESTIONS, brief=True)
    return {
        "asked": approval_card.listed(rows),
        "more": max(0, approvals.count_open(who.user_id, who.email, who.role) - len(rows)),
        "poll": every(QUESTIONS_MS),
    }


def _overview() -> Context:
    owner = own_only(asking(), "view_task")
    return {
        "figures": stats.overview(owner),
        "points": _five_minutes(stats.throughput(60, owner)),
        "poll": every(settings().stats_refresh_ms),
    }


def _five_minutes(minutes: list[Row]) -> list[Row]:
    """Minutes put together by fives: twelve columns can be told apart, sixty cannot."""
    return [
        {"at": five[0]["at"], "ok": sum(m["completed"] for m in five), "bad": sum(m["failed"] for m in five)}
        for five in (minutes[n : n + 5] for n in range(0, len(minutes), 5))
    ]


def _queues() -> Context:
    levels = stats.queues()
    waiting = sum(line["depth"] for line in levels.values())
    rate = sum(line["per_minute"] for line in levels.values())
    busy = {line["pool"]: line for line in fleet.by_pool(settings().pools)}
    return {
        "levels": levels,
        "most": max((line["depth"] for line in levels.values()), default=0),
        "waiting": waiting,
        "wait_seconds": 60 * waiting / rate if rate and waiting else None,
        "pools": [
            line | busy.get(line["pool"], {"threads": 0, "busy": 0}) | {"paused_by": _name(line["paused_by"])}
            for line in stats.by_pool()
        ],
        "pauses": PAUSES,
        "workers": fleet.capacity(),
        "poll": every(settings().stats_refresh_ms),
    }


def _name(user_id: str | None) -> str | None:
    """Who that is, as people say it; None where nobody, or nobody that is known, is meant."""
    try:
        found = people.user(actions.checked_id(user_id)) if user_id else None
    except NotFound:
        found = None
    return str(found["email"]).partition("@")[0] if found else None


def _running() -> Context:
    who = asking()
    owner = own_only(who, "view_task")
    chosen = queries.Filter(owner=owner, statuses=("running",))
    rows = queries.page(chosen, limit=MOST_RUNNING)
    waiting = queries.page(queries.Filter(owner=owner, statuses=WAITING), limit=1)
    return {
        "jobs": [brief(row, who) for row in rows],
        "more": max(0, queries.count(chosen, 1000) - len(rows)),
        "poll": every(settings().poll_running_ms if rows or waiting else settings().stats_refresh_ms),
    }


def _finished() -> Context:
    who = asking()
    chosen = queries.Filter(owner=own_only(who, "view_task"), statuses=("completed",))
    return {
        "jobs": [brief(row, who) for row in queries.page(chosen, limit=MOST_FINISHED)],
        "poll": every(FAILURES_MS),
    }


def _failures() -> Context:
    who = asking()
    if may(who, "view_dlq"):
        found = dead_letters.groups(dead_letters.WINDOWS["24h"], limit=MOST_FAILURES)
        return {"groups": found, "jobs": None, "poll": every(FAILURES_MS)}
    chosen = queries.Filter(owner=own_only(who, "view_task"), statuses=("failed",))
    return {
        "groups": None,
        "jobs": [brief(row, who) for row in queries.page(chosen, limit=MOST_FAILURES)],
        "poll": every(FAILURES_MS),
    }


QUESTIONS = Panel(name="now_questions", template="now/_questions.html", read=_questions)
OVERVIEW = Panel(name="now_overview", template="now/_overview.html", read=_overview)
QUEUES = Panel(name="now_queues", template="now/_queues.html", read=_queues)
RUNNING = Panel(name="now_running", template="now/_running.html", read=_running)
FINISHED = Panel(name="now_finished", template="now/_finished.html", read=_finished)
FAILURES = Panel(name="now_failures", template="now/_failures.html", read=_failures)
