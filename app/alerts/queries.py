"""What can be read of alerts and of the rules behind them."""

from __future__ import annotations

from typing import Literal

from app.alerts.rules import BY_NAME, RULES, Rule, said
from app.db import Row, db
from app.errors import NotFound
from app.kept import Kept

State = Literal["active", "resolved", "all"]

MOST = 200
_COLUMNS = """alert_id::text, rule, subject, severity, message, value, worst, threshold, wrong_since, raised_at,
    calm_since, resolved_at, acknowledged_at, acknowledged_by"""
_STATES = {"active": "resolved_at IS NULL", "resolved": "resolved_at IS NOT NULL", "all": "true"}

_counted = Kept(seconds=5, most=1)
forget = _counted.forget


def listing(state: State = "active", limit: int = 50) -> list[Row]:
    """Alerts of a state: the active ones by severity, others newest first; what is only suspected is none."""
    order = "array_position(ARRAY['critical','warning','info'], severity), raised_at DESC"
    rows = db.rows(
        f"""SELECT {_COLUMNS} FROM alerts WHERE raised_at IS NOT NULL AND {_STATES[state]}
            ORDER BY {order if state == "active" else "raised_at DESC"}, alert_id LIMIT %(limit)s""",
        limit=min(limit, MOST),
    )
    return [_shown(row) for row in rows]


def get(alert_id: str) -> Row:
    """One alert; raises NotFound."""
    row = db.row(
        f"SELECT {_COLUMNS} FROM alerts WHERE alert_id = %(id)s AND raised_at IS NOT NULL", id=alert_id
    )
    if row is None:
        raise NotFound(f"There is no alert {alert_id}.")
    return _shown(row)


def _shown(row: Row) -> Row:
    """With state, title, unit and link; a rule that the code no longer has is shown under its name."""
    rule = BY_NAME.get(row["rule"])
    state = "resolved" if row["resolved_at"] else "acknowledged" if row["acknowledged_at"] else "active"
    return row | {
        "state": state,
        "title": rule.title if rule else row["rule"],
        "unit": rule.unit if rule else "jobs",
        "link": rule.link.format(subject=row["subject"]) if rule else "/alerts",
        "do": rule.do if rule else "",
    }


def active() -> int:
    """How many alerts are active and nobody has acknowledged; up to five seconds old."""
    amount: int = _counted.answer(
        "active",
        lambda: int(
            db.value(
                """SELECT count(*) FROM alerts WHERE resolved_at IS NULL AND raised_at IS NOT NULL
                     AND acknowledged_at IS NULL"""
            )
        ),
    )
    return amount


def by_rule() -> list[Row]:
    """How many alerts of each rule are active, acknowledged or not, rules without any included: {rule, severity, active}."""
    found = {
        row["rule"]: row["active"]
        for row in db.rows(
            """SELECT rule, count(*) AS active FROM alerts
               WHERE resolved_at IS NULL AND raised_at IS NOT NULL GROUP BY 1"""
        )
    }
    return [
        {"rule": rule.name, "severity": rule.severity, "active": found.get(rule.name, 0)} for rule in RULES
    ]


def changed() -> dict[str, Row]:
    """What admins changed of rules, by rule: {rule, enabled, threshold, updated_by, updated_at}."""
    rows = db.rows("SELECT rule, enabled, threshold, updated_by, updated_at FROM alert_rules")
    return {row["rule"]: row for row in rows}


def rules() -> list[Row]:
    """Every rule as it is in force, with what is active of it."""
    own, active = changed(), {row["rule"]: row["active"] for row in by_rule()}
    return [_rule(rule, own.get(rule.name, {}), active[rule.name]) for rule in RULES]


def rule(name: str) -> Row:
    """One rule as it is in force; raises NotFound."""
    for found in rules():
        if found["rule"] == name:
            return found
    raise NotFound(f"There is no alert rule {name!r}.")


def _rule(rule: Rule, own: Row, active: int) -> Row:
    threshold = own.get("threshold")
    return {
        "rule": rule.name,
        "title": rule.title,
        "words": rule.words,
        "unit": rule.unit,
        "subject": rule.subject,
        "severity": rule.severity,
        "enabled": own.get("enabled", True),
        "threshold": rule.threshold if threshold is None else threshold,
        "usual_threshold": rule.threshold,
        "most_threshold": rule.most,
        "limit_words": said(rule.threshold if threshold is None else threshold, rule.unit),
        "hold_seconds": rule.hold.total_seconds(),
        "calm_seconds": rule.calm.total_seconds(),
        "told_as": rule.told_as or "alert.raised",
        "active": active,
        "updated_by": own.get("updated_by"),
        "updated_at": own.get("updated_at"),
    }


def purge(days: int) -> int:
    """Remove alerts that were over so many days ago; answers how many."""
    return db.run("DELETE FROM alerts WHERE resolved_at < now() - %(days)s * interval '1 day'", days=days)
