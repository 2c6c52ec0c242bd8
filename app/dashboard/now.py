"""GET /: what is going on now, at a glance: what needs somebody, what runs, what failed and why, and how well all is.

What many look at is read for all of them at once (app/dashboard/now_figures.py); what somebody may not see of it is
taken out after that.
"""

from __future__ import annotations

from typing import Any

from flask import render_template

from app import clock
from app.accounts.permissions import Principal, demand, may
from app.agents import registry
from app.approvals import queries as approvals
from app.budgets import ledger
from app.budgets import queries as budgets
from app.budgets.amounts import dollars, said
from app.dashboard import approval_card, forms, now_health, samples
from app.dashboard.htmx import Context, Panel, asked
from app.dashboard.job_chart import RANGES, chart
from app.dashboard.now_figures import calm, mine, overview, pace, pools, shared, workers
from app.dashboard.session import asking
from app.dashboard.words import Look, money
from app.db import Row
from app.jobs import dead_letters, queries, rollups, timeline
from app.jobs.document import brief
from app.jobs.states import Status
from app.kept import Kept

SPENDING_SECONDS = 15.0
MOST_QUESTIONS = 5
MOST_RUNNING = 8
MOST_FAILURES = 6
MOST_FINISHED = 6
USUAL_RANGE = "24h"
DEMO = "analyst"
STALLS = {
    "stalled": Look("No progress", "clock", "amber"),
    "looping": Look("Going in circles", "again", "amber"),
}

_spending = Kept(SPENDING_SECONDS, most=1)
forget_spending = _spending.forget


def page() -> str:
    """GET /; `?range=7d` chooses the time of the chart."""
    who = asking()
    return render_template(
        "now/page.html",
        questions=QUESTIONS.embed() if may(who, "view_approvals") else "",
        overview=OVERVIEW.embed(),
        running=RUNNING.embed(),
        failures=FAILURES.embed(),
        chart=CHART.embed({"range": _range()}),
        finished=FINISHED.embed(),
        health=now_health.HEALTH.embed(),
        queues=now_health.QUEUES.embed(),
        pool_names=[line["pool"] for line in pools()],
        first=_first_job(who),
    )


# -- a new installation


def _first_job(who: Principal) -> dict[str, Any] | None:
    """What somebody can do first where they see no job yet; None where there are some."""
    if queries.page(queries.Filter(owner=mine()), limit=1):
        return None
    return {
        "may_submit": may(who, "submit_task"),
        "demo": _demo(),
        "curl": samples.first_job(),
    }


def _demo() -> dict[str, Any] | None:
    """An agent that needs no model, with its example as a form sends it; None where it is not installed."""
    for agent in registry.all_agents():
        if agent.agent_id == DEMO and agent.enabled:
            fields = forms.filled_with(agent.schema, agent.example or {})
            return {"agent_id": DEMO, "fields": {forms.PREFIX + name: text for name, text in fields.items()}}
    return None


# -- what needs you


def _questions() -> Context:
    who = asking()
    demand(who, "view_approvals")
    rows = approvals.open_for(who.user_id, who.email, who.role, limit=MOST_QUESTIONS, brief=True)
    many_more = len(rows) == MOST_QUESTIONS
    return {
        "asked": approval_card.listed(rows),
        "more": approvals.count_open(who.user_id, who.email, who.role) - len(rows) if many_more else 0,
        "poll": pace(),
    }


# -- the figures on top


def _overview() -> Context:
    who, owner = asking(), mine()
    return {
        "figures": overview(owner),
        "all_jobs": owner is None,
        "workers": workers(),
        "needs_you": approvals.count_open(who.user_id, who.email, who.role)
        if may(who, "view_approvals")
        else None,
        "letters": may(who, "view_dlq"),
        "spend": _spend() if may(who, "view_budgets") else None,
        "poll": pace(),
    }


def _spend() -> dict[str, Any]:
    """What was used since midnight UTC, as a figure and a remark; and the budget of the day, if everything has one."""
    found: dict[str, Any] = _spending.answer("today", _spent_today)
    return found


def _spent_today() -> dict[str, Any]:
    now = clock.now()
    used = ledger.total(rollups.floor(now, rollups.DAY), now)
    cost, tokens = used["notional_usd"], used["tokens"]
    # Never a price for what has none.
    figure = dollars(cost) if cost else f"{tokens:,} tok" if tokens else "–"
    remark = (
        "" if not tokens else f"{used['unpriced_tokens']:,} tok unpriced" if used["unpriced_tokens"] else ""
    )
    if tokens and not cost:
        remark = "no charge" if cost is not None else "unpriced"
    return {
        "figure": figure,
        "remark": remark or ("" if tokens else "nothing used today"),
        "budget": _day_budget(),
    }


def _day_budget() -> dict[str, Any] | None:
    """The budget of a day for everything, that in dollars first: {words, ratio, state}."""
    rows = [
        row
        for row in budgets.listing()
        if row["scope"] == "global" and row["period"] == "day" and row["enabled"]
    ]
    for row in sorted(rows, key=lambda row: row["unit"] != "usd"):
        told = budgets.public(row)
        limit = said(row["unit"], row["limit_amount"])
        return {"words": f"of {limit} a day", "ratio": float(told["spent_ratio"]), "state": told["state"]}
    return None


# -- what runs


def _running() -> Context:
    who, owner = asking(), mine()
    rows, lines = shared("running", owner, lambda: _running_of(owner))
    return {
        "jobs": [_card(row, lines.get(row["job_id"]), who) for row in rows],
        "more": max(0, overview(owner)["running"] - len(rows)) if len(rows) == MOST_RUNNING else 0,
        "poll": pace(),
    }


def _running_of(owner: str | None) -> tuple[list[Row], dict[str, str]]:
    rows = queries.page(queries.Filter(owner=owner, statuses=(Status.RUNNING,)), limit=MOST_RUNNING)
    return rows, timeline.last_lines([row["job_id"] for row in rows])


def _card(row: Row, line: str | None, who: Principal) -> Row:
    """One that runs: what it said last only for those who may see that."""
    sees = may(who, "view_task_content", row["submitted_by"])
    seen = row["watchdog"] or {}
    return brief(row, who) | {
        "line": line if sees and line != row["current_step"] else None,
        "money": money(row["usage"]),
        "budget": _own_budget(row),
        "stall": STALLS.get(seen.get("state", "")),
        "stalled_since": seen.get("since"),
        "stalled_after": seen.get("last") if sees else None,
    }


def _own_budget(row: Row) -> dict[str, Any] | None:
    """How much of the job's own budget is used: {words, percent}; None where it has none in dollars or tokens."""
    limits = _allowance(row["agent_id"]) | (row["options"].get("budget") or {})
    usage = row["usage"] or {}
    tokens = sum(
        int(usage.get(f"{kind}_tokens") or 0) for kind in ("input", "output", "cache_read", "cache_write")
    )
    for unit, used in (("usd", float(usage.get("cost_usd") or 0)), ("tokens", float(tokens))):
        if limit := limits.get(unit):
            return {"words": f"of {said(unit, limit)}", "percent": min(100, int(100 * used / limit))}
    return None


def _allowance(agent_id: str) -> dict[str, Any]:
    """What the agent's definition lets a job use."""
    return next((agent.budget or {} for agent in registry.all_agents() if agent.agent_id == agent_id), {})


# -- what failed, and what came out


def _failures() -> Context:
    who, owner = asking(), mine()
    window = dead_letters.WINDOWS["24h"]
    groups = shared(
        "failures", owner, lambda: dead_letters.groups(window, owner=owner, limit=MOST_FAILURES + 1)
    )
    return {
        "groups": [_group(group, who, owner) for group in groups[:MOST_FAILURES]],
        "more": len(groups) > MOST_FAILURES,
        "letters": may(who, "view_dlq"),
        "all_jobs": owner is None,
        "poll": pace(),
    }


def _group(group: Row, who: Principal, owner: str | None) -> Row:
    """One kind of failure; its message is content of the jobs that failed so."""
    sees = may(who, "view_task_content", owner)
    first = (group["error_message"] or "").strip().partition("\n")[0]
    return group | {"error_message": first if sees else None}


def _finished() -> Context:
    who, owner = asking(), mine()
    chosen = queries.Filter(owner=owner, statuses=(Status.COMPLETED,))
    rows = shared("finished", owner, lambda: queries.page(chosen, limit=MOST_FINISHED))
    return {"jobs": [brief(row, who) for row in rows], "poll": calm()}


# -- the chart


def _range() -> str:
    word = asked().get("range", USUAL_RANGE)
    return word if word in RANGES else USUAL_RANGE


def _chart() -> Context:
    owner, chosen = mine(), _range()
    return {
        "range": chosen,
        "ranges_of": RANGES,
        "chart": chart(rollups.series(chosen, owner=owner), chosen),
        "all_jobs": owner is None,
        "poll": pace(),
    }


QUESTIONS = Panel(name="now_questions", template="now/_questions.html", read=_questions)
OVERVIEW = Panel(name="now_overview", template="now/_overview.html", read=_overview)
RUNNING = Panel(name="now_running", template="now/_running.html", read=_running)
FAILURES = Panel(name="now_failures", template="now/_failures.html", read=_failures)
CHART = Panel(name="now_chart", template="now/_chart.html", read=_chart)
FINISHED = Panel(name="now_finished", template="now/_finished.html", read=_finished)
