"""GET /security: who tries to come in, what was refused, what is unusual, and what admins did."""

from __future__ import annotations

from datetime import timedelta

from flask import render_template

from app import clock
from app.accounts.permissions import demand
from app.alerts import queries, rules, suspicions
from app.dashboard import audit
from app.dashboard.alerts import LOOKS
from app.dashboard.htmx import Context, Panel, every
from app.dashboard.session import asking
from app.dashboard.words import Look, many
from app.db import Row

REFRESH_MS = 15_000
LASTS = timedelta(hours=24)
SENT = timedelta(hours=1)

ANSWERS = {
    401: Look("Not signed in", "slash", "grey"),
    403: Look("Not allowed", "cross", "red"),
    429: Look("Over the limit", "clock", "amber"),
}
WATCHED = tuple(rule for rule in rules.RULES if rule.link == "/security")


def page() -> str:
    """GET /security."""
    demand(asking(), "view_audit")
    return render_template("security/page.html", figures=FIGURES.embed())


def _read() -> Context:
    demand(asking(), "view_audit")
    since = clock.now() - LASTS
    sign_ins, refused = suspicions.sign_ins(since), suspicions.totals(since)
    hours = suspicions.by_hour(since)
    return {
        "sign_ins": sign_ins,
        "refused": refused,
        "keys": suspicions.keys_at_risk(),
        "alerts": [_alert(row) for row in queries.listing("active") if row["link"] == "/security"],
        "watched": WATCHED,
        "failed_chart": [_column(row, row["failed"], "failed sign-in") for row in hours],
        "refused_chart": [_column(row, row["refused"], "refused request") for row in hours],
        "addresses": suspicions.failed_by_address(since),
        "answers": [row | {"look": ANSWERS[row["status"]]} for row in suspicions.answers(since)],
        "senders": [_sender(row) for row in suspicions.senders(SENT)],
        "privileged": [_done(row) for row in suspicions.privileged()],
        "poll": every(REFRESH_MS),
    }


def _alert(row: Row) -> Row:
    return row | {"look": LOOKS[row["severity"]], "value_words": rules.said(row["value"], row["unit"])}


def _column(row: Row, count: int, word: str) -> dict[str, object]:
    words = f"{row['at']:%H:%M} UTC: {many(count, word)}"
    return {"ok": 0, "bad": count, "words": words}


def _done(row: Row) -> Row:
    return row | {
        "what": audit.said(row["action"]),
        "about": audit.named(row["action"], row["subject"] or ""),
    }


def _sender(row: Row) -> Row:
    return row | {"unusual": row["jobs"] > suspicions.TIMES_USUAL * row["usual"]}


FIGURES = Panel(name="security", template="security/_figures.html", read=_read)
