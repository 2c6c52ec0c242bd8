"""GET /jobs: the list, by one filter bar, by cursor, with actions on one, on the ticked and on all that match."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts import queries as people
from app.accounts.permissions import demand, own_only
from app.agents import registry
from app.dashboard import actions, job_columns, samples, views
from app.dashboard.htmx import STOP, Context, Panel, asked, every
from app.dashboard.job_filter import Wanted
from app.dashboard.session import asking, settings
from app.dashboard.words import VERDICTS, money
from app.db import Row, db
from app.errors import CallboardError, Forbidden, Malformed, NotFound
from app.jobs import explain, lifecycle, queries, reach, words
from app.jobs.document import brief
from app.jobs.states import FINAL, PRIORITIES
from app.kept import Kept

PAGE_SIZE = 50
SOON_MS = 200
"""Counts that are dear come by the first poll, so that the page does not wait for them."""

# The tabs: the word of `status:` and the word on the tab.
TABS = {
    "": "All",
    "waiting": "Waiting",
    "running": "Running",
    "asking": "Needs a person",
    "completed": "Completed",
    "failed": "Failed",
    "cancelled": "Cancelled",
}
# What can be said of a job in the end; "revise" is only ever said of a draft.
SAID = {name: seen.word for name, seen in VERDICTS.items() if name and name != "revise"}
SINCE = {
    "1h": "Last hour",
    "24h": "Last 24 h",
    "7d": "Last 7 days",
    "30d": "Last 30 days",
    "today": "Today (UTC)",
}
CHOICES = ("agent", "priority", "since", "quality", "tag")
"""Qualifiers that can be chosen from lists, too."""

_counts = Kept(seconds=10, most=500)
forget = _counts.forget


def page() -> str:
    """GET /jobs."""
    wanted = Wanted.of(asked())
    after = {"after": asked()["after"]} if asked().get("after") else {}
    return render_template(
        "jobs/page.html",
        wanted=wanted,
        views=views.menu(wanted),
        may_share=views.may_share(),
        columns=job_columns.COLUMNS,
        chosen=job_columns.chosen(),
        more=asked().get("more") == "on",
        choices=_choices(wanted),
        qualifiers=words.QUALIFIERS,
        workflow=_only(wanted, "workflow"),
        tabs=TABS_PANEL.embed(wanted.query()),
        table=TABLE.embed(wanted.query() | after),
    )


def _only(wanted: Wanted, name: str) -> str:
    """The one value of a qualifier; empty where there is none, or where it is more than that."""
    said = wanted.asked.all(name)
    denied = wanted.asked.all(name, negated=True)
    return said[0].values[0] if len(said) == 1 and len(said[0].values) == 1 and not denied else ""


def _choices(wanted: Wanted) -> dict[str, Any]:
    """What the lists beside the bar show: the values of each, and what of the filter is theirs to change."""
    now = {name: _only(wanted, name) for name in CHOICES}
    rest = wanted
    for name in (name for name in CHOICES if now[name]):
        rest = rest.having(name)
    return {
        "now": now,
        "rest": rest.text(),
        "agents": [agent.agent_id for agent in registry.all_agents()],
        "priorities": PRIORITIES,
        "since": SINCE,
        "verdicts": SAID,
    }


# -- the tabs


class Tab(NamedTuple):
    """A state, as a link that keeps the rest of the filter."""

    word: str
    wanted: Wanted
    is_here: bool
    number: int | None
    """How many there are; None where that is not known yet."""


def _tabs() -> Context:
    wanted = Wanted.of(asked())
    everything, here = wanted.having("status"), _here(wanted)
    counts = None if wanted.asked.complaints else _counted(everything)
    return {
        "tabs": [
            Tab(word, wanted.having("status", *filter(None, [name])), name == here, _of(counts, name))
            for name, word in TABS.items()
        ],
        "poll": every(
            SOON_MS if counts is None and not wanted.asked.complaints else 2 * settings().stats_refresh_ms
        ),
    }


def _here(wanted: Wanted) -> str | None:
    """The tab that shows just these statuses, if there is one."""
    if wanted.asked.all("status", negated=True):
        return None
    said = wanted.asked.values("status")
    return said[0] if len(said) == 1 else None if said else ""


def _counted(everything: Wanted) -> dict[str, int] | None:
    """How many there are in each status; None where that is not known yet, or would be too dear to know.

    Those of all jobs are quick. Those of a filter are counted when the page asks again.
    """
    owner, chosen = own_only(asking(), "view_task"), everything.filter(asking())
    if not everything.asked.terms:
        found: dict[str, int] = _counts.answer(("all", owner), lambda: queries.counts_by_status(owner))
        return found
    key = ("by", asking().user_id, asking().role, everything.text())
    if not request.path.startswith("/ui/"):
        kept: dict[str, int] | None = _counts.known(key)
        return kept
    counted: dict[str, int] = _counts.answer(key, lambda: queries.counts_of(chosen))
    return counted


def _of(counts: dict[str, int] | None, name: str) -> int | None:
    if not counts:
        return None if counts is None else 0
    return sum(counts.get(status, 0) for status in (words.statuses([name]) if name else counts))


# -- the table


def _table() -> Context:
    who, wanted = asking(), Wanted.of(asked())
    if wanted.asked.complaints:
        return {
            "wanted": wanted,
            "complaints": wanted.asked.complaints,
            "jobs": [],
            "behind": None,
            "poll": STOP,
        }
    chosen, after = wanted.filter(who), asked().get("after")
    rows = queries.page(chosen, before=_cursor(after), limit=PAGE_SIZE + 1)
    shown, more = rows[:PAGE_SIZE], len(rows) > PAGE_SIZE
    end = None if more else reach.horizon(chosen, _cursor(after))
    columns = job_columns.chosen()
    return {
        "jobs": _lines(shown, columns),
        "wanted": wanted,
        "columns": columns,
        "heads": job_columns.COLUMNS,
        "room": job_columns.room(columns),
        "next": _place(shown[-1]) if more else None,
        "behind": _place(end) if end else None,
        "searched": reach.SEARCHED,
        "after": after or "",
        "matching": _matching(wanted, chosen) if more or after else len(shown),
        "sample": samples.first_job() if not (shown or wanted.asked.terms or after) else "",
        "poll": every(settings().stats_refresh_ms if not _alive(shown) else settings().poll_running_ms),
    }


def _lines(rows: list[Row], columns: tuple[str, ...]) -> list[dict[str, Any]]:
    """The rows as the table shows them."""
    who = asking()
    chips = explain.chips(rows, who)
    by = _submitters(rows) if "submitter" in columns else {}
    return [
        brief(row, who)
        | {
            "chip": chips.get(row["job_id"]),
            "cost": money(row["usage"]).partition(", ")[::2],
            "worker_id": row["worker_id"],
            "by": by.get(row["submitted_by"], row["submitted_by"]),
        }
        for row in rows
    ]


def _submitters(rows: list[Row]) -> dict[str, str]:
    found = people.emails(sorted({row["submitted_by"] for row in rows}))
    return found | {asking().user_id: "you"}


def _matching(wanted: Wanted, chosen: queries.Filter) -> int:
    """How many fit in all, counted up to 10,000."""
    key = ("matching", asking().user_id, asking().role, wanted.text())
    count: int = _counts.answer(key, lambda: queries.count(chosen))
    return count


def _alive(rows: list[Row]) -> bool:
    return any(row["status"] == "running" for row in rows)


def _place(row: Row) -> str:
    return f"{row['submitted_at'].isoformat()}~{row['job_id']}"


def _cursor(text: str | None) -> tuple[datetime, str] | None:
    if not text:
        return None
    at, _, job_id = text.partition("~")
    try:
        return datetime.fromisoformat(at), actions.checked_id(job_id)
    except ValueError:
        raise Malformed("This page of the list does not exist.") from None


# -- actions on one row


def act() -> AnyResponse:
    """POST /jobs/act: what the menu of a row does (`do` is verb:id); the list comes back as it was."""
    verb, _, job_id = request.form.get("do", "").partition(":")
    if verb not in ACTIONS:
        raise Malformed("Choose what to do with the job.")
    row = queries.get(actions.checked_id(job_id))
    demand(asking(), "view_task", row["submitted_by"])
    try:
        said = ACTIONS[verb](row)
    except CallboardError as refused:
        if isinstance(refused, Forbidden | NotFound):  # these have pages of their own
            raise
        db.session.rollback()
        flash(f"Not done: {refused.message}", "red")
        return _back(request.form)
    db.session.commit()
    flash(said, "green")
    return _back(request.form)


def _cancel(row: Row) -> str:
    demand(asking(), "cancel_task", row["submitted_by"])
    done = lifecycle.cancel(row["job_id"])
    actions.noted("job.cancelled", row["job_id"])
    return "Cancelled." if done["status"] in FINAL else "Cancelling: its worker stops it in a moment."


def _retry(row: Row) -> str:
    demand(asking(), "retry_task", row["submitted_by"])
    return f"Sent in again as {actions.again(row['job_id'])[-8:]}."


ACTIONS: dict[str, Callable[[Row], str]] = {"cancel": _cancel, "retry": _retry}


def _back(form: Mapping[str, str]) -> AnyResponse:
    after: dict[str, Any] = {"after": form["after"]} if form.get("after") else {}
    return redirect(url_for("dashboard.jobs", **Wanted.of(form).query(), **after), 303)


TABS_PANEL = Panel(name="jobs_tabs", template="jobs/_tabs.html", read=_tabs)
TABLE = Panel(name="jobs_table", template="jobs/_table.html", read=_table)
