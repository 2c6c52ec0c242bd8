"""GET /jobs: the list, by state and filter, by cursor, with actions on the selected or on all that match."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app import clock
from app.accounts.permissions import may, own_only
from app.agents import registry
from app.dashboard import actions
from app.dashboard.htmx import Context, Panel, every
from app.dashboard.session import asking, settings
from app.dashboard.words import VERDICTS, many
from app.db import db
from app.errors import Malformed
from app.jobs import queries
from app.jobs.document import brief
from app.jobs.states import PRIORITIES, STATUSES, Priority

PAGE_SIZE = 50
MOST_AT_ONCE = 1000

# The tabs: the word in the address, the word on the tab, the statuses behind it.
TABS: dict[str, tuple[str, tuple[str, ...]]] = {
    "": ("All", ()),
    "waiting": ("Waiting", ("pending", "queued", "retry")),
    "running": ("Running", ("running",)),
    "completed": ("Completed", ("completed",)),
    "failed": ("Failed", ("failed",)),
    "cancelled": ("Cancelled", ("cancelled",)),
}
# What can be said of a job in the end; "revise" is only ever said of a draft.
SAID = {name: seen.word for name, seen in VERDICTS.items() if name and name != "revise"}
SINCE = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the address asks for; unknown words are ignored, so that old links still show something."""

    state: str = ""
    agent: str = ""
    priority: str = ""
    since: str = ""
    q: str = ""
    tag: str = ""
    verdict: str = ""
    """What its quality gate said."""
    workflow: str = ""
    """The id of a run; its steps' jobs."""

    def query(self) -> dict[str, Any]:
        """Itself as a query string's parts, without what is empty."""
        return {name: value for name, value in vars(self).items() if value}

    def statuses(self) -> tuple[str, ...]:
        """Which statuses are meant; a single one may be named too."""
        return TABS[self.state][1] if self.state in TABS else (self.state,)


def _wanted(values: Any) -> Wanted:
    given = {name: values.get(name, "").strip()[:200] for name in Wanted.__dataclass_fields__}
    known = {
        "state": (*TABS, *STATUSES),
        "priority": ("", *PRIORITIES),
        "since": ("", *SINCE),
        "verdict": ("", *SAID),
    }
    return Wanted(
        **{name: value if value in known.get(name, (value,)) else "" for name, value in given.items()}
    )


def _filter(wanted: Wanted) -> queries.Filter:
    return queries.Filter(
        owner=own_only(asking(), "view_task"),
        agent_id=wanted.agent or None,
        statuses=wanted.statuses(),
        priority_rank=int(Priority.named(wanted.priority)) if wanted.priority else None,
        since=clock.now() - SINCE[wanted.since] if wanted.since else None,
        tag=wanted.tag or None,
        verdict=wanted.verdict or None,
        workflow_id=actions.checked_id(wanted.workflow) if wanted.workflow else None,
        text=wanted.q or None,
        in_errors=may(asking(), "view_task_content"),
    )


def page() -> str:
    """GET /jobs."""
    wanted = _wanted(request.args)
    after = {"after": request.args["after"]} if request.args.get("after") else {}
    return render_template(
        "jobs/page.html",
        wanted=wanted,
        agents=registry.all_agents(),
        priorities=PRIORITIES,
        since=tuple(SINCE),
        verdicts=SAID,
        tabs=TABS_PANEL.embed(wanted.query()),
        table=TABLE.embed(wanted.query() | after),
        is_filtered=wanted != Wanted(state=wanted.state),
    )


def _tabs() -> Context:
    wanted = _wanted(request.args)
    counts = queries.counts_by_status(own_only(asking(), "view_task"))
    return {
        "tabs": [
            (
                name,
                word,
                sum(counts.get(s, 0) for s in statuses or counts),
                replace(wanted, state=name).query(),
            )
            for name, (word, statuses) in TABS.items()
        ],
        "at": wanted.state,
        "poll": every(2 * settings().stats_refresh_ms),
    }


def _table() -> Context:
    who, wanted = asking(), _wanted(request.args)
    chosen = _filter(wanted)
    rows = queries.page(chosen, before=_cursor(request.args.get("after")), limit=PAGE_SIZE + 1)
    shown = rows[:PAGE_SIZE]
    return {
        "jobs": [brief(row, who) for row in shown],
        "wanted": wanted,
        "next": _place(shown[-1]) if len(rows) > PAGE_SIZE else None,
        "is_first": not request.args.get("after"),
        "matching": queries.count(chosen),
        "poll": every(settings().stats_refresh_ms if not _alive(shown) else settings().poll_running_ms),
    }


def _alive(rows: list[dict[str, Any]]) -> bool:
    return any(row["status"] == "running" for row in rows)


def _place(row: dict[str, Any]) -> str:
    return f"{row['submitted_at'].isoformat()}~{row['job_id']}"


def _cursor(text: str | None) -> tuple[datetime, str] | None:
    if not text:
        return None
    at, _, job_id = text.partition("~")
    try:
        return datetime.fromisoformat(at), actions.checked_id(job_id)
    except ValueError:
        raise Malformed("This page of the list does not exist.") from None


def bulk() -> AnyResponse | str:
    """POST /jobs/bulk: cancel or retry the ticked jobs, or after a review all that match."""
    verb = request.form.get("verb", "")
    if verb not in actions.BULK:
        raise Malformed("Choose what to do with the jobs.")
    wanted = _wanted(request.form)
    back = redirect(url_for("dashboard.jobs", **wanted.query()), 303)
    whole = request.form.get("whole") == "on"
    if whole and request.form.get("sure") != "on":
        return _review(verb, wanted)
    ids = queries.ids(_filter(wanted), MOST_AT_ONCE) if whole else request.form.getlist("id")[:MOST_AT_ONCE]
    if not ids:
        flash("Tick some jobs first.", "amber")
        return back
    done, refused = actions.BULK[verb](ids)
    db.session.commit()
    _tell(verb, done, refused)
    return back


def _review(verb: str, wanted: Wanted) -> str:
    chosen = _filter(wanted)
    return render_template(
        "jobs/review.html",
        verb=verb,
        wanted=wanted,
        count=queries.count(chosen),
        most=MOST_AT_ONCE,
        sample=[brief(row, asking()) for row in queries.page(chosen, limit=5)],
    )


def _tell(verb: str, done: int, refused: int) -> None:
    did = {"cancel": "cancelled", "retry": "sent in again"}[verb]
    if done:
        flash(f"{many(done, 'job')} {did}.", "green")
    if refused:
        flash(f"{many(refused, 'job')} left alone: not possible in their state, or not yours.", "amber")


TABS_PANEL = Panel(name="jobs_tabs", template="jobs/_tabs.html", read=_tabs)
TABLE = Panel(name="jobs_table", template="jobs/_table.html", read=_table)
