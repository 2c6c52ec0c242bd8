"""GET /schedules: what is sent in by itself, when it comes next, how it went, and what people do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from flask import Flask, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts.permissions import demand, may, own_only
from app.agents import registry, secrecy
from app.dashboard import actions, agent_figures, budgets, links
from app.dashboard.htmx import Context, Panel, every
from app.dashboard.session import asking
from app.dashboard.words import STATES, Look, look, moment
from app.db import Row, db
from app.errors import CallboardError, NotFound
from app.jobs.states import Priority
from app.schedules import changes, cron, queries

REFRESH_MS = 5_000
UPCOMING_MS = 15_000
PAGE_SIZE = 30
UPCOMING = 20
FIRES = 50
NEXT = 5

STANDS = {
    "scheduled": Look("On", "check", "green"),
    "disabled": Look("Paused", "pause", "grey"),
    "fired": Look("Has run", "check", "grey"),
    "missed": Look("Missed", "clock", "red"),
    "cancelled": Look("Cancelled", "slash", "grey"),
}
OUTCOMES = {
    "fired": Look("Sent in", "send", "grey"),
    "queued": Look("Waits its turn", "layers", "grey"),
    "skipped": Look("Skipped", "dash", "grey"),
    "missed": Look("Missed", "clock", "amber"),
    "failed": Look("Could not start", "warn", "red"),
}
OVERLAPS = {
    "allow": "Start another beside it",
    "skip": "Skip the new time",
    "queue": "Wait, then start",
}
MISFIRES = {
    "run_once": "One run makes up for all",
    "skip": "They are left out",
    "all": "Each of them runs",
}
EXAMPLES: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "Nightly test generation",
        {"target": "agent:test-orchestrator", "p.scan_path": "/src", "repeat": "daily", "time": "02:00"},
    ),
    (
        "Weekly analytics",
        {
            "target": "agent:analyst",
            "p.report_type": "weekly",
            "repeat": "weekly",
            "weekdays": "1",
            "time": "09:00",
        },
    ),
)
# How high the column of an outcome begins: what ran fills it, what did not is a dot at the bottom.
_TOPS = {"green": 1, "red": 1, "blue": 5, "amber": 10}


class Bar(NamedTuple):
    """One column of the small chart of outcomes."""

    at: datetime
    word: str
    colour: str
    top: int


def page() -> str:
    """GET /schedules."""
    demand(asking(), "view_schedule")
    return render_template(
        "schedules/page.html",
        listing=LISTING.embed({"page": links.page_number()} if links.page_number() else None),
        upcoming=UPCOMING_PANEL.embed(),
    )


def detail(schedule_id: str) -> str:
    """GET /schedules/<schedule_id>."""
    row = visible(schedule_id)
    return render_template(
        "schedules/detail.html", schedule=row, status=STATUS.embed(schedule_id=row["schedule_id"])
    )


def visible(schedule_id: str, verb: str = "view_schedule") -> Row:
    """The schedule's row, if it exists and the one who asks may `verb` it."""
    row = queries.get(actions.checked_id(schedule_id))
    demand(asking(), verb, row["submitted_by"])
    return row


def _listing() -> Context:
    at = links.page_number()
    owner = own_only(asking(), "view_schedule")
    rows = queries.page(queries.Filter(owner=owner), limit=PAGE_SIZE + 1, offset=PAGE_SIZE * at)
    more, rows = len(rows) > PAGE_SIZE, rows[:PAGE_SIZE]
    fires = queries.outcomes([row["schedule_id"] for row in rows])
    return {
        "schedules": [_shown(row, fires[row["schedule_id"]]) for row in rows],
        "at": at,
        "more": more,
        "examples": [
            {"name": name, "href": url_for("dashboard.schedule_new", name=name, **fields)}
            for name, fields in EXAMPLES
            if fields["target"].partition(":")[2] in registry.teams()
        ],
        "poll": every(REFRESH_MS),
    }


def _upcoming() -> Context:
    owner = own_only(asking(), "view_schedule")
    return {"runs": queries.upcoming(owner, limit=UPCOMING), "poll": every(UPCOMING_MS)}


def _status(schedule_id: str) -> Context:
    row = visible(schedule_id)
    fires = queries.fires(row["schedule_id"], limit=FIRES)
    bars = queries.outcomes([row["schedule_id"]])[row["schedule_id"]]
    return {
        "s": _shown(row | {"parameters": _without_secrets(row)}, bars),
        "fires": [_fire(fire) for fire in fires],
        "upcoming": next_times(row),
        "budgets": [budgets.shown(b) for b in queries.spending(row["schedule_id"])]
        if may(asking(), "view_budgets")
        else [],
        "poll": every(REFRESH_MS),
    }


def _without_secrets(row: Row) -> Row:
    """What it gives to its agent, secrets hidden."""
    return secrecy.parameters(row["agent_id"], None, row["parameters"])  # type: ignore[no-any-return]


def next_times(row: Row) -> list[datetime]:
    """The next times of a schedule that is on."""
    if row["status"] != "scheduled" or row["next_fire_at"] is None:
        return []
    coming = [row["next_fire_at"]]
    if row["cron_expression"]:
        coming += cron.upcoming(row["cron_expression"], row["timezone"], coming[0], NEXT - 1)
    return coming


def _shown(row: Row, fires: list[Row]) -> Row:
    owner = row["submitted_by"]
    return row | {
        "target": target_of(row),
        "words": queries.describe(row),
        "look": look(row["status"], STANDS),
        "next_at": row["next_fire_at"] if row["status"] == "scheduled" else None,
        "last": _fire(fires[-1]) if fires else None,
        "cost": agent_figures.cost_words(
            agent_figures.of_schedules().get(row["schedule_id"]), altogether=True
        ),
        "bars": [_bar(fire) for fire in fires],
        "mine": may(asking(), "manage_schedule", owner),
        "can_toggle": not row["ended"],
        "sees_content": may(asking(), "view_task_content", owner),
        "priority": Priority(row["priority_rank"]).word,
        "overlap_words": OVERLAPS[row["overlap"]],
        "misfire_words": MISFIRES[row["misfire"]],
        "by": links.person(owner),
    }


def target_of(row: Row) -> Row:
    """What a schedule sends in: its kind, name and page."""
    if row["agent_id"]:
        href = url_for("dashboard.agent", agent_id=row["agent_id"])
        return {"kind": "agent", "word": "Agent", "title": row["agent_id"], "href": href}
    if row["template_name"]:
        version = f" v{row['template_version']}" if row["template_version"] else ""
        href = url_for("dashboard.workflow_template", name=row["template_name"])
        return {"kind": "template", "word": "Workflow", "title": row["template_name"] + version, "href": href}
    if row["definition"]:
        return {"kind": "definition", "word": "Workflow", "title": row["definition"]["name"], "href": ""}
    return {"kind": "agent", "word": "Agent", "title": "an agent that is gone", "href": ""}


def _fire(fire: Row) -> Row:
    kind = "job" if fire["job_id"] else "workflow"
    became = fire["job_id"] or fire["workflow_id"]
    return fire | {"look": _look(fire), "became": became, "href": links.to(kind, became)}


def _look(fire: Row) -> Look:
    """What became of a time: how its job or workflow stands, if it came to one."""
    if fire["outcome"] == "fired" and fire["run_status"]:
        return look(fire["run_status"], STATES)
    return OUTCOMES[fire["outcome"]]


def _bar(fire: Row) -> Bar:
    seen = _look(fire)
    return Bar(fire["slot_at"], seen.word, seen.colour, _TOPS.get(seen.colour, 12))


# -- what people do


def act(schedule_id: str, verb: str) -> AnyResponse:
    """POST /schedules/<schedule_id>/<verb>: run, pause, resume or delete."""
    row = visible(schedule_id, "manage_schedule")
    if verb not in _VERBS:
        raise NotFound
    back = url_for("dashboard.schedules") if _came_from_list() else links.to("schedule", row["schedule_id"])
    try:
        words, gone = _VERBS[verb](row)
    except CallboardError as refused:
        db.session.rollback()
        flash(f"Not done: {refused.message}.", "red")
        return redirect(back, 303)
    actions.noted(f"schedule.{verb}", row["schedule_id"], name=row["name"])
    db.session.commit()
    flash(words, "green")
    return redirect(url_for("dashboard.schedules") if gone else back, 303)


def _came_from_list() -> bool:
    return (request.referrer or "").partition("?")[0].endswith(url_for("dashboard.schedules"))


def _run(row: Row) -> tuple[str, bool]:
    done = changes.run_now(row["schedule_id"], may_exceed_budget=may(asking(), "exceed_budget"))
    if done["outcome"] == "fired":
        return f"{row['name']} runs now.", False
    return f"{row['name']}: {OUTCOMES[done['outcome']].word.lower()}, {done['reason']}.", False


def _switch(row: Row, *, enabled: bool) -> tuple[str, bool]:
    changes.enable(row["schedule_id"], enabled=enabled)
    return (f"{row['name']} is on again." if enabled else f"{row['name']} is paused."), False


def _delete(row: Row) -> tuple[str, bool]:
    changes.delete(row["schedule_id"])
    return f"{row['name']} is deleted; what it has sent in stays.", True


_VERBS: dict[str, Callable[[Row], tuple[str, bool]]] = {
    "run": _run,
    "pause": lambda row: _switch(row, enabled=False),
    "resume": lambda row: _switch(row, enabled=True),
    "delete": _delete,
}

LISTING = Panel(name="schedules", template="schedules/_list.html", read=_listing)
UPCOMING_PANEL = Panel(name="schedules_upcoming", template="schedules/_upcoming.html", read=_upcoming)
STATUS = Panel(name="schedule", template="schedules/_detail.html", read=_status)


# -- words


def there(value: datetime | str | None, timezone: str) -> str:
    """A moment as clocks tell it in a zone: `Mon 23 Nov 2026, 09:00 CET`."""
    at = moment(value)
    return at.astimezone(cron.zone(timezone)).strftime("%a %-d %b %Y, %H:%M %Z") if at else ""


def tallied(bars: list[Bar]) -> list[tuple[str, int]]:
    """How often each outcome came: [("completed", 58), ("failed", 2)]."""
    return Counter(bar.word.lower() for bar in bars).most_common()


def register(app: Flask) -> None:
    """Make the words known to the templates."""
    app.jinja_env.filters.update(there=there, tallied=tallied)
