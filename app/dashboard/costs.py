"""GET /costs: what was used and what it cost, as cash and by the price list, and how much of it has no price."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import render_template

from app import clock
from app.accounts.permissions import demand
from app.budgets import ledger
from app.dashboard.htmx import Context, Panel, asked, every
from app.dashboard.session import asking
from app.db import Row

REFRESH_MS = 15_000
WINDOWS = {"1": "Last 24 h", "7": "7 days", "30": "30 days", "90": "90 days"}
GROUPS = {"agent": "Agent", "model": "Model", "provider": "Provider", "team": "Team", "day": "Day"}
USUAL_WINDOW, USUAL_GROUP = "30", "agent"


def page() -> str:
    """GET /costs; `?by=model&days=7`."""
    demand(asking(), "view_budgets")
    return render_template(
        "costs/page.html",
        by=_by(),
        days=_days(),
        groups=GROUPS,
        windows=WINDOWS,
        report=REPORT.embed({"by": _by(), "days": _days()}),
    )


def _by() -> str:
    word = asked().get("by", USUAL_GROUP)
    return word if word in GROUPS else USUAL_GROUP


def _days() -> str:
    word = asked().get("days", USUAL_WINDOW)
    return word if word in WINDOWS else USUAL_WINDOW


def _read() -> Context:
    demand(asking(), "view_budgets")
    until = clock.now()
    since = until - timedelta(days=int(_days()))
    rows = [_shown(row) for row in ledger.report(_by(), since, until)]
    most = max((row["notional_usd"] or 0 for row in rows), default=0)
    return {
        "rows": rows,
        "total": _shown(ledger.total(since, until)),
        "most": most,
        "most_tokens": max((row["tokens"] for row in rows), default=0),
        "by": _by(),
        "heading": GROUPS[_by()],
        "poll": every(REFRESH_MS),
    }


def _shown(row: Row) -> Row:
    """A line with its figures under the names that `words.money` reads."""
    usage: dict[str, Any] = {name: row[name] for name in row if name.endswith("_tokens")}
    status = "unpriced" if row["unpriced_tokens"] else "derived"
    return row | {"usage": usage | {"cost_usd": row["notional_usd"], "cost_status": status}}


REPORT = Panel(name="costs", template="costs/_report.html", read=_read)
