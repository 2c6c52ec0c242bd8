"""GET /alerts: what is wrong now, what was, and what is watched."""

from __future__ import annotations

from flask import flash, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts import queries as accounts
from app.accounts.permissions import demand
from app.alerts import changes, queries
from app.alerts.rules import said
from app.dashboard import actions, forms
from app.dashboard.htmx import Context, Panel, every
from app.dashboard.session import asking
from app.dashboard.words import Look, many
from app.db import Row, db
from app.errors import Conflict, Invalid

REFRESH_MS = 15_000
RECENT = 20

LOOKS = {
    "critical": Look("Critical", "flame", "red"),
    "warning": Look("Warning", "warn", "amber"),
    "info": Look("Note", "circle", "blue"),
}
UNITS = {
    "percent": "%",
    "seconds": "seconds",
    "jobs": "jobs",
    "attempts": "attempts",
    "requests": "requests",
    "breaks": "breaks",
}


def page() -> str:
    """GET /alerts."""
    demand(asking(), "view_alerts")
    return _page({}, {})


def _page(typed: dict[str, str], wrong: dict[str, str]) -> str:
    rules = [_rule(row, typed, wrong) for row in queries.rules()]
    return render_template("alerts/page.html", alerts=LISTING.embed(), rules=rules)


def _rule(row: Row, typed: dict[str, str], wrong: dict[str, str]) -> Row:
    """A rule with the words of the page, and with what was just typed into its form."""
    mine = typed.get("rule") == row["rule"]
    return row | {
        "look": LOOKS[row["severity"]],
        "unit_word": UNITS[row["unit"]],
        "typed": typed["threshold"] if mine else f"{row['threshold']:g}",
        "wrong": wrong.get("threshold") or wrong.get("") if mine else None,
        "usual_words": said(row["usual_threshold"], row["unit"]),
        "hold_words": _time(row["hold_seconds"]),
        "calm_words": _time(row["calm_seconds"]),
        "by": _name(row["updated_by"]),
    }


def _time(seconds: float) -> str:
    """`30 seconds`, `2 minutes`; empty for none."""
    if not seconds:
        return ""
    return many(round(seconds / 60), "minute") if seconds % 60 == 0 else many(round(seconds), "second")


def _listing() -> Context:
    demand(asking(), "view_alerts")
    return {
        "active": [_alert(row) for row in queries.listing("active")],
        "recent": [_alert(row) for row in queries.listing("resolved", RECENT)],
        "watched": [row for row in queries.rules() if row["enabled"]],
        "poll": every(REFRESH_MS),
    }


def _alert(row: Row) -> Row:
    return row | {
        "look": LOOKS[row["severity"]],
        "value_words": said(row["value"], row["unit"]),
        "worst_words": said(row["worst"], row["unit"]),
        "limit_words": said(row["threshold"], row["unit"]),
        "by": _name(row["acknowledged_by"]),
    }


def _name(user_id: str | None) -> str:
    found = accounts.user(actions.checked_id(user_id)) if user_id else None
    return str(found["email"]) if found else ""


def acknowledge(alert_id: str) -> AnyResponse:
    """POST /alerts/<alert_id>/acknowledge."""
    demand(asking(), "manage_alerts")
    try:
        row = changes.acknowledge(actions.checked_id(alert_id), by=asking().user_id)
    except Conflict as over:
        flash(over.message, "amber")
        return redirect(url_for("dashboard.alerts"), 303)
    actions.noted("alert.acknowledged", row["alert_id"], rule=row["rule"], of=row["subject"])
    db.session.commit()
    flash("You take care of it. It is not told again while it lasts.", "green")
    return redirect(url_for("dashboard.alerts"), 303)


def set_rule(rule: str) -> AnyResponse:
    """POST /alert-rules/<rule>: on or off, and its threshold; an empty one is the usual one."""
    demand(asking(), "manage_alerts")
    typed = {"rule": rule, "threshold": request.form.get("threshold", "").strip().replace("\x00", "")[:30]}
    try:
        row = changes.set_rule(
            rule,
            by=asking().user_id,
            enabled=request.form.get("enabled") == "on",
            threshold=_number(typed["threshold"]),
        )
    except Invalid as wrong:
        db.session.rollback()
        return make_response(_page(typed, forms.complaints(wrong)), 422)
    actions.noted("alert_rule.changed", rule, enabled=row["enabled"], threshold=row["threshold"])
    db.session.commit()
    told = f"is raised over {row['limit_words']}" if row["enabled"] else "is not watched any more"
    flash(f"“{row['title']}” {told}.", "green")
    return redirect(url_for("dashboard.alerts", _anchor=f"rule-{rule}"), 303)


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", "")) if text else None
    except ValueError:
        raise Invalid("That is no number.", [("/threshold", "must be a number")]) from None


LISTING = Panel(name="alerts", template="alerts/_list.html", read=_listing)
