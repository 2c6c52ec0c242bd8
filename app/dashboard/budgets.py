"""GET /budgets: how much may be used, how much of it is, and forms to change that."""

from __future__ import annotations

from typing import Any

from flask import flash, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts.permissions import demand
from app.agents import registry
from app.budgets import queries
from app.budgets.amounts import UNITS, said
from app.budgets.periods import PERIODS
from app.dashboard import actions, forms
from app.dashboard.htmx import Context, Panel, every
from app.dashboard.session import asking
from app.dashboard.words import Look
from app.db import Row, db
from app.errors import Invalid, NotFound
from app.jobs import spending
from app.schedules import queries as schedules

REFRESH_MS = 5_000
UNIT_WORDS = {"usd": "US dollars", "tokens": "Tokens", "minutes": "Minutes of running", "runs": "Runs"}
PERIOD_WORDS = {
    "day": "A day (UTC)",
    "month": "A calendar month (UTC)",
    "rolling": "The last … days",
    "total": "In all, from now on",
}
LOOKS = {
    "off": Look("Off", "circle", "grey"),
    "ok": Look("Within", "check", "green"),
    "warned": Look("Nearly spent", "warn", "amber"),
    "stopped": Look("Spent", "cross", "red"),
}
EVERYTHING = "global"


def page() -> str:
    """GET /budgets."""
    demand(asking(), "view_budgets")
    return render_template("budgets/page.html", listing=LISTING.embed())


def _listing() -> Context:
    demand(asking(), "view_budgets")
    return {"budgets": [shown(row) for row in queries.listing()], "poll": every(REFRESH_MS)}


def shown(row: Row) -> Row:
    """A budget with the words and the look that pages show."""
    told = queries.public(row)
    unit = row["unit"]
    return told | {
        "covers": _covers(row),
        "span": _span(row),
        "look": LOOKS[told["state"]],
        "percent": min(100, int(100 * told["spent_ratio"])),
        # Not "$0.00": there may be usage without a price, which a budget in dollars cannot see.
        "spent_words": said(unit, told["spent"]) if told["spent"] or unit != "usd" else "nothing priced",
        "limit_words": said(unit, told["limit"]),
        "reserved_words": said(unit, told["reserved"]) if told["reserved"] else "",
    }


def _covers(row: Row) -> str:
    if row["scope"] == "schedule":
        return f"Schedule {_schedule(row['subject'])}"
    return "Everything" if row["scope"] == EVERYTHING else f"{row['scope'].capitalize()} {row['subject']}"


def _schedule(schedule_id: str) -> str:
    try:
        return str(schedules.get(actions.checked_id(schedule_id))["name"])
    except NotFound:
        return f"{schedule_id[-8:]}, which is deleted"


def _span(row: Row) -> str:
    if row["period"] == "rolling":
        return f"in {row['rolling_days']} days"
    return {"day": "a day", "month": "a month", "total": "in all"}[str(row["period"])]


# -- forms


def new() -> str:
    """GET /budgets/new; `?covers=agent:seo-writer` fills in what it is for."""
    demand(asking(), "manage_budgets")
    start = {"covers": request.args.get("covers", EVERYTHING), "period": "month", "unit": "usd", "warn": "80"}
    return _form(None, start | {"enabled": "on"}, {})


def creating() -> AnyResponse:
    """POST /budgets/new."""
    demand(asking(), "manage_budgets")
    typed = _typed()
    scope, _, subject = typed["covers"].partition(":")
    try:
        wish = _wish(typed)
        row = spending.create(
            by=asking().user_id, scope=scope, subject=subject or None, unit=typed["unit"], **wish
        )
    except Invalid as wrong:
        return _again(None, typed, wrong)
    actions.noted(
        "budget.created", row["budget_id"], name=row["name"], limit=row["limit_amount"], unit=row["unit"]
    )
    return _done(f"The budget {row['name']} holds from now on.")


def edit(budget_id: str) -> str:
    """GET /budgets/<budget_id>."""
    demand(asking(), "manage_budgets")
    row = queries.get(actions.checked_id(budget_id))
    start = {
        "name": row["name"],
        "limit": f"{row['limit_amount'].normalize():f}",
        "period": row["period"],
        "rolling_days": str(row["rolling_days"] or ""),
        "warn": f"{(row['warn_ratio'] * 100).normalize():f}",
        "enabled": "on" if row["enabled"] else "",
    }
    return _form(row, start, {})


def changing(budget_id: str) -> AnyResponse:
    """POST /budgets/<budget_id>."""
    demand(asking(), "manage_budgets")
    before, typed = queries.get(actions.checked_id(budget_id)), _typed()
    try:
        row = spending.change(before["budget_id"], **_wish(typed))
    except Invalid as wrong:
        return _again(before, typed, wrong)
    actions.noted("budget.changed", row["budget_id"], name=row["name"], limit=row["limit_amount"])
    return _done(f"The budget {row['name']} is changed.")


def delete(budget_id: str) -> AnyResponse:
    """POST /budgets/<budget_id>/delete."""
    demand(asking(), "manage_budgets")
    row = queries.get(actions.checked_id(budget_id))
    spending.remove(row["budget_id"])
    actions.noted("budget.deleted", row["budget_id"], name=row["name"])
    return _done(f"The budget {row['name']} is deleted; what was used stays in the books.")


def _done(words: str) -> AnyResponse:
    db.session.commit()
    flash(words, "green")
    return redirect(url_for("dashboard.budgets"), 303)


def _again(row: Row | None, typed: dict[str, str], wrong: Invalid) -> AnyResponse:
    db.session.rollback()
    return make_response(_form(row, typed, forms.complaints(wrong)), 422)


def _typed() -> dict[str, str]:
    names = ("name", "covers", "unit", "limit", "period", "rolling_days", "warn", "enabled")
    return {name: request.form.get(name, "").strip().replace("\x00", "") for name in names}


def _wish(typed: dict[str, str]) -> dict[str, Any]:
    """What is typed as the room takes it; what cannot be read is left for the room to complain about."""
    rolling = typed["period"] == "rolling"
    days, warn = typed["rolling_days"], _number(typed["warn"])
    return {
        "name": typed["name"],
        "limit_amount": typed["limit"].replace(",", ""),
        "period": typed["period"],
        "rolling_days": (int(days) if days.isdecimal() else 0) if rolling else None,
        "warn_ratio": None if warn is None else warn / 100,
        "enabled": typed["enabled"] == "on",
    }


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _form(row: Row | None, typed: dict[str, str], wrong: dict[str, str]) -> str:
    teams = registry.teams()
    return render_template(
        "budgets/form.html",
        budget=shown(row) if row else None,
        typed=typed,
        wrong=wrong,
        agents=sorted(teams),
        teams=sorted(set(teams.values())),
        units={unit: UNIT_WORDS[unit] for unit in UNITS},
        periods={period: PERIOD_WORDS[period] for period in sorted(PERIODS, key=list(PERIOD_WORDS).index)},
    )


LISTING = Panel(name="budgets", template="budgets/_list.html", read=_listing)
