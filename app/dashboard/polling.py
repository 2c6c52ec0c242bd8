"""GET /polling: how polling goes, as the server answers and as open pages feel it."""

from __future__ import annotations

from typing import Any

import orjson
from flask import render_template, request
from werkzeug.wrappers import Response as AnyResponse

from app.accounts.permissions import demand
from app.alerts import rules
from app.dashboard.htmx import Context, Panel, asked, every
from app.dashboard.session import asking
from app.dashboard.words import Look, duration, minute, percent
from app.db import Row, db
from app.errors import Malformed
from app.limiter import limiter
from app.polling import queries, reports, thresholds

REFRESH_MS = 15_000
REPORTS = "120 per minute"
WINDOWS = {"1h": "Last hour", "24h": "24 hours"}
PARTS = {"1h": "a minute", "24h": "15 minutes"}

STATES = {
    "healthy": Look("Healthy", "check", "green"),
    "degraded": Look("Degraded", "warn", "amber"),
    "unhealthy": Look("Unhealthy", "cross", "red"),
}
WITHIN = Look("Within", "check", "green")
OVER = Look("Over the limit", "warn", "red")
UNKNOWN = Look("Too little to tell", "circle", "grey")
UNITS = {"share": "percent", "seconds": "seconds"}
VIEWS = {"server": "The server", "pages": "Open pages"}


def page() -> str:
    """GET /polling; `?window=24h`."""
    demand(asking(), "view_alerts")
    window = _window(request.args.get("window", ""))
    return render_template(
        "polling/page.html", window=window, windows=WINDOWS, health=HEALTH.embed({"window": window})
    )


def _window(wanted: str) -> str:
    return wanted if wanted in queries.WINDOWS else queries.USUAL_WINDOW


def _read() -> Context:
    demand(asking(), "view_alerts")
    window = _window(asked().get("window", ""))
    found = queries.health(window)
    return {
        "look": STATES[found["status"]],
        "open_pages": found["open_pages"],
        "minutes": found["present_minutes"],
        "fewest": thresholds.FEWEST,
        "checks": [_check(check) for check in found["checks"]],
        "views": [(VIEWS[view], figures) for view, figures in found["figures"].items()],
        "lines": _lines(found["figures"]),
        "charts": [_charts(view, found["series"][view]) for view in VIEWS],
        "lasts": WINDOWS[window].lower(),
        "part": PARTS[window],
        "first": "1 h ago" if window == "1h" else "24 h ago",
        "poll": every(REFRESH_MS),
    }


def _check(check: dict[str, Any]) -> dict[str, Any]:
    limit = thresholds.BY_NAME[check["name"]]
    value = check["value"]
    return check | {
        "look": UNKNOWN if value is None else OVER if check["over"] else WITHIN,
        "value_words": _said(value, limit.unit),
        "limit_words": rules.said(limit.most * (100 if limit.unit == "share" else 1), UNITS[limit.unit]),
        "share": 0 if value is None else min(100, round(100 * value / limit.most)),
        "means": limit.means,
        "do": limit.do,
    }


def _said(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    if unit == "share":
        return f"{100 * value:.1f} %" if 0 < value < 0.1 else percent(value)
    return duration(value)


def _lines(figures: dict[str, Row]) -> list[tuple[str, list[str]]]:
    """Both views side by side, figure by figure."""
    told = (
        ("Polls", lambda row: f"{row['polls']:,}"),
        ("Answered", lambda row: _said(row["success_rate"], "share")),
        ("Failed", _failed),
        ("Unchanged (304)", lambda row: percent(row["unchanged_rate"])),
        ("Response, on average", lambda row: _ms(row["average_ms"])),
        ("95 % within", lambda row: _ms(row["p95_ms"])),
        ("The slowest", lambda row: _ms(row["most_ms"])),
        ("Recoveries", _recovered),
        ("Queries per poll", lambda row: _number(row["queries_per_poll"])),
        ("A query, on average", lambda row: _ms(row["query_ms"])),
        ("The slowest query", lambda row: _ms(row["query_most_ms"])),
    )
    return [(words, [said(figures[view]) for view in VIEWS]) for words, said in told]


def _failed(row: Row) -> str:
    late = f", {row['timeouts']:,} of them not in time" if row["timeouts"] else ""
    return f"{row['failures']:,}{late}" if row["polls"] else "–"


def _recovered(row: Row) -> str:
    if not row["recoveries"]:
        return "–"
    return f"{row['recoveries']:,}, {duration(row['recovery_seconds'])} on average"


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} ms" if value < 10 else duration(value / 1000)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _charts(view: str, parts: list[Row]) -> dict[str, Any]:
    polls, failures = (sum(part[name] for part in parts) for name in ("polls", "failures"))
    times = [part["ms"] for part in parts if part["ms"] is not None]
    return {
        "view": view,
        "title": VIEWS[view],
        "polls": polls,
        "answered": [_counted(part) for part in parts],
        "answered_words": f"{polls:,} polls, {failures:,} failed",
        "times": [_timed(part) for part in parts],
        "times_words": f"from {_ms(min(times))} to {_ms(max(times))} on average" if times else "no polls",
        "slowest_words": _ms(max(times)) if times else "",
    }


def _counted(part: Row) -> dict[str, Any]:
    words = (
        f"{_at(part)}: {part['polls']:,} polls, {part['failures']:,} failed, {part['unchanged']:,} unchanged"
    )
    return {"ok": part["polls"] - part["failures"], "bad": part["failures"], "words": words}


def _timed(part: Row) -> dict[str, Any]:
    return {"ok": part["ms"] or 0, "bad": 0, "words": f"{_at(part)}: {_ms(part['ms'])}"}


def _at(part: Row) -> str:
    return f"{minute(part['at'])} UTC"


@limiter.shared_limit(REPORTS, scope="polling-report", key_func=lambda: asking().user_id)
def report() -> AnyResponse:
    """POST /ui/polling/report: what an open page says of its own polls; sent by navigator.sendBeacon."""
    request.max_content_length = reports.MOST_BYTES
    try:
        said = orjson.loads(request.get_data(cache=False))
    except orjson.JSONDecodeError:
        raise Malformed("A report is JSON.") from None
    reports.take(said)
    db.session.commit()
    return AnyResponse(status=204)


HEALTH = Panel(name="polling", template="polling/_health.html", read=_read)
