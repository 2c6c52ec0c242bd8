"""GET /audit: who did what, where from, and whether the log is as it was written."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from flask import Response, current_app, render_template, request, url_for

from app import audit, clock
from app.accounts import queries as people
from app.accounts.permissions import demand
from app.audit import chain, queries, verify
from app.audit.queries import Filter, Mark
from app.dashboard import links
from app.dashboard.session import asking
from app.db import Row, db, dumps
from app.errors import Malformed

PAGE_SIZE = 50
MOST_ROWS = 20_000
LATE = timedelta(minutes=5)
"""Entries that wait longer than this to be sealed tell that no scheduler runs."""

FIELDS = ("q", "who", "action", "subject", "since", "until")
CSV_COLUMNS = (
    "timestamp", "event_type", "user_id", "subject", "task_id", "agent_id", "priority", "ip_address", "user_agent",
    "correlation_id", "details", "position", "digest",
)  # fmt: skip
FORMULAS = ("=", "+", "-", "@", "\t", "\r")
MEDIA = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}

# Whose page an entry's subject has, by what its action begins with: page, and what that calls the id.
PAGES = {
    "agent": ("agent", "agent_id"),
    "approval": ("approval", "approval_id"),
    "budget": ("budget", "budget_id"),
    "bulk_action": ("bulk_action", "bulk_id"),
    "dead_letter": ("dead_letter", "dlq_id"),
    "delivery": ("delivery", "delivery_id"),
    "job": ("job", "job_id"),
    "policy": ("policy", "policy_id"),
    "provider": ("provider", "provider_id"),
    "quality_gate": ("gate", "name"),
    "schedule": ("schedule", "schedule_id"),
    "user": ("user", "user_id"),
    "worker": ("worker", "worker_id"),
    "workflow": ("workflow", "workflow_id"),
    "workflow_template": ("workflow_template", "name"),
}


class Wanted(NamedTuple):
    """What the filter bar says, as it was typed, and as it is looked for."""

    typed: dict[str, str]
    filter: Filter
    wrong: dict[str, str]


def page() -> str:
    """GET /audit, narrowed by what the filter bar has."""
    demand(asking(), "view_audit")
    wanted = _wanted(request.args)
    before = _mark(request.args.get("before"))
    rows = queries.page(wanted.filter, before=before, limit=PAGE_SIZE + 1) if not wanted.wrong else []
    names = people.emails(list({row["actor"] for row in rows}))
    return render_template(
        "audit/page.html",
        entries=[_shown(row, names) for row in rows[:PAGE_SIZE]],
        wanted=wanted.typed,
        wrong=wanted.wrong,
        actions=queries.actions(),
        next=_cursor(rows[PAGE_SIZE - 1]) if len(rows) > PAGE_SIZE else None,
        before=before,
        state=_state(),
        most=MOST_ROWS,
    )


# -- what is looked for


def _wanted(asked: Mapping[str, str]) -> Wanted:
    typed = {name: text for name in FIELDS if (text := asked.get(name, "").strip().replace("\x00", "")[:200])}
    wrong: dict[str, str] = {}
    since, until = (_day(typed.get(name), name, wrong) for name in ("since", "until"))
    actor, also = _actor(typed.get("who"))
    return Wanted(
        typed,
        Filter(
            actor=actor,
            also=also,
            action=typed.get("action"),
            subject=typed.get("subject"),
            since=since,
            until=until + timedelta(days=1) if until else None,
            q=typed.get("q"),
        ),
        wrong,
    )


def _actor(text: str | None) -> tuple[str | None, str | None]:
    """A user's id by their e-mail, and that, for failed sign-ins; `callboard` is what it did by itself."""
    if not text:
        return None, None
    if text.lower() == "callboard":
        return "", None
    found = people.user_by_email(text) if "@" in text else None
    return (str(found["user_id"]), str(found["email"])) if found else (text, None)


def _day(text: str | None, name: str, wrong: dict[str, str]) -> datetime | None:
    """The beginning of a day (UTC)."""
    if not text:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        day = None
    if day is None or not 1970 <= day.year < 9999:
        wrong[name] = "Write a day as 2026-01-31."
        return None
    return day


def _cursor(row: Row) -> str:
    return f"{row['at'].astimezone(UTC).isoformat()}_{row['id']}"


def _mark(text: str | None) -> Mark | None:
    """Where the page before ended; Malformed for what is none of ours."""
    if not text:
        return None
    moment, _, id_ = text.rpartition("_")
    try:
        at = datetime.fromisoformat(moment)
        number = int(id_)
    except ValueError:
        raise Malformed("This address of an older page is not one of ours.") from None
    if at.tzinfo is None or not 1970 <= at.year < 9999 or not 0 <= number < 2**62:
        raise Malformed("This address of an older page is not one of ours.")
    return Mark(at, number)


# -- what is shown


def _shown(row: Row, names: dict[str, str]) -> dict[str, Any]:
    told = queries.told(row)
    about = row["subject"] or ""
    return told | {
        "what": said(row["action"]),
        "who": _who(row, names),
        "who_known": row["actor"] in names,
        "about": named(row["action"], about),
        "href": _page_of(row["action"], about),
        "where": told["ip_address"] or told["details"].get("via", ""),
        "facts": {_named(name): _fact(value) for name, value in told["details"].items()},
    }


SAID = {
    "auth.failed": "Sign-in failed",
    "auth.limited": "Sign-in refused, too many tries",
    "auth.link_made": "Link to choose a password made",
    "auth.link_used": "Link to choose a password used",
    "auth.locked": "Account locked",
    "auth.reset_asked": "New password asked for",
    "auth.signed_in": "Signed in",
    "auth.signed_out": "Signed out",
    "auth.token_reused": "Spent token used again",
}


def said(action: str) -> str:
    """An action in words: `api_key.revoked` is "API key revoked"."""
    plain = action.replace(".", " ").replace("_", " ").capitalize().replace("Api key", "API key")
    return SAID.get(action, plain)


def _named(name: str) -> str:
    """A detail's name as a heading: `agent_id` is "Agent"."""
    return name.removesuffix("_id").replace("_", " ").capitalize()


def _fact(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value) or "none"
    return _plain(value)


def _who(row: Row, names: dict[str, str]) -> str:
    return names.get(row["actor"]) or row["actor"] or "Callboard"


def named(action: str, subject: str) -> str:
    """What an entry is about, as its page calls it: people by e-mail, where the account still exists."""
    return links.person(subject) if subject and action.startswith(("user.", "auth.")) else subject


def _page_of(action: str, subject: str) -> str:
    """The page of what it was done to; empty if it has none."""
    endpoint, name = PAGES.get(action.partition(".")[0], ("", ""))
    if not subject or "/" in subject or f"dashboard.{endpoint}" not in current_app.view_functions:
        return ""
    values: dict[str, Any] = {name: subject}
    return url_for(f"dashboard.{endpoint}", **values)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else dumps(value)


def _state() -> dict[str, Any]:
    """How far the chain is, and what the last verification found."""
    now = chain.state()
    oldest = now["oldest_waiting_at"]
    return now | {"last": verify.last_noted(), "late": oldest is not None and clock.now() - oldest > LATE}


# -- taking it along


def download() -> Response:
    """POST /audit/download with format=csv|jsonl: what the filter bar chooses, newest first; noted in the log itself."""
    demand(asking(), "view_audit")
    kind, wanted = request.form.get("format", "csv"), _wanted(request.form)
    if kind not in MEDIA or wanted.wrong:
        raise Malformed("There is no such list to download.")
    lines = [queries.told(row) for row in _rows(wanted.filter)]
    whole = _csv(lines) if kind == "csv" else "".join(f"{dumps(line)}\n" for line in lines)
    audit.record(
        "audit.downloaded",
        actor=asking().user_id,
        details={"format": kind, "entries": len(lines), **wanted.typed},
    )
    db.session.commit()
    name = f"audit-{clock.now():%Y-%m-%d-%H%M}.{kind}"
    return Response(
        whole,
        content_type=MEDIA[kind],
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )


def _rows(wanted: Filter) -> list[Row]:
    rows: list[Row] = []
    before: Mark | None = None
    while len(rows) < MOST_ROWS and (page := queries.page(wanted, before=before, limit=2_000)):
        rows += page
        before = Mark(page[-1]["at"], page[-1]["id"])
    return rows[:MOST_ROWS]


def _csv(lines: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(CSV_COLUMNS)
    for line in lines:
        writer.writerow([harmless(_cell(line[name])) for name in CSV_COLUMNS])
    return text.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return clock.iso(value) or ""
    return _plain(value)


def harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(FORMULAS) else cell
