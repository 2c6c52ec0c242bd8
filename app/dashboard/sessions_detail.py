"""GET /sessions/<id>: one session in parts, each with an address of its own; only what is shown is read and polled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import make_response, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.accounts.permissions import may
from app.agents import registry
from app.dashboard import forms, links, sessions_seen
from app.dashboard.htmx import Context, Feed, Lines, Panel, asked, every, number
from app.dashboard.session import asking
from app.dashboard.sessions_seen import pace, readable, shown, takes, visible
from app.dashboard.words import web_address
from app.db import Row
from app.jobs.states import PRIORITIES
from app.sessions import delegating, events, made, memory, queries, talk

Typed = dict[str, Any]
Wrong = dict[str, str]

TABS = (("conversation", "Conversation"), ("memories", "Memories"), ("artifacts", "Artifacts"), ("jobs", "Jobs"),
        ("events", "Events"))  # fmt: skip
MESSAGES = 50
EVENTS = 200
LISTED = 50
MEMORY_TYPES = ("fact", "decision", "preference", "task", "person", "note")
ARTIFACT_TYPES = ("text/markdown", "text/plain", "application/json", "link")
LONGEST_WORD = 200


def page(session_id: str) -> str:
    """GET /sessions/<session_id>, and of it the part that `?tab=` names."""
    return drawn(session_id, _tab(), {}, {})


def drawn(session_id: str, tab: str, typed: Typed, wrong: Wrong) -> str:
    """The page with a part; `typed` and `wrong` are of the form that stands in it."""
    row = visible(session_id)
    if not sessions_seen.allowed(row, sessions_seen.CONTENT):
        return render_template(
            "sessions/detail.html", session=shown(row), tab="conversation", head=_head(row, "")
        )
    return render_template(
        f"sessions/tab_{tab}.html",
        session=shown(row),
        tab=tab,
        head=_head(row, tab),
        can_add=takes(row),
        typed=typed,
        wrong=wrong,
        **_PARTS[tab](row, typed),
    )


def again(session_id: str, tab: str, typed: Typed, wrong: Wrong) -> AnyResponse:
    """The page with its form as it was typed, and what is wrong with it."""
    return make_response(drawn(session_id, tab, typed, wrong), 422)


def _tab() -> str:
    wanted = asked().get("tab")
    return next((name for name, _ in TABS if name == wanted), TABS[0][0])


def _head(row: Row, tab: str) -> Any:
    return STATUS.embed({"tab": tab} if tab else None, session_id=row["session_id"])


def _status(session_id: str) -> Context:
    row = visible(session_id)
    counts = queries.counts(row["session_id"])
    sizes = {
        "conversation": row["message_count"],
        "memories": counts["memory_count"],
        "artifacts": counts["artifact_count"],
        "jobs": counts["job_count"],
        "events": row["last_seq"],
    }
    return {
        "s": shown(row | counts),
        "deleted_by": links.person(row["deleted_by"]) if row["deleted_by"] else "",
        "tabs": [(name, word, sizes[name]) for name, word in TABS],
        "tab": _tab(),
        "sees_content": sessions_seen.allowed(row, sessions_seen.CONTENT),
        "can_manage": sessions_seen.allowed(row, "manage_session"),
        "poll": pace(row),
    }


# -- what was said


def _conversation(row: Row, typed: Typed) -> Context:
    """The newest messages, or those before a place in the address (`before`)."""
    before = min(number(asked().get("before")), row["message_count"] + 1)
    end = (before - 1) if before else row["message_count"]
    begin = max(0, end - MESSAGES)
    messages = talk.page(row["session_id"], after=begin, limit=end - begin) if end > begin else []
    typed.setdefault("speaker", asking().email.partition("@")[0])
    return {
        "messages": messages,
        "earlier": begin + 1 if begin else None,
        "is_past": bool(before),
        "feed": None if before else url_for(TALK.endpoint, session_id=row["session_id"]),
        "feed_poll": pace(row),
        "summary": SUMMARY.embed(session_id=row["session_id"]),
        "about": list(row["metadata"].items())[:20],
    }


def _said(after: int, session_id: str) -> Lines:
    row = readable(session_id)
    found = talk.page(row["session_id"], after=after, limit=MESSAGES)
    more = len(found) == MESSAGES
    html = render_template("sessions/_talk.html", messages=found) if found else ""
    return Lines(html, found[-1]["place"] if found else after, every(0) if more else pace(row))


def _last_place(session_id: str) -> tuple[int, str]:
    row = readable(session_id)
    return row["message_count"], pace(row)


def _summary(session_id: str) -> Context:
    row = readable(session_id)
    told = row["summary"]
    return {
        "session_id": row["session_id"],
        "summary": told,
        "new": row["message_count"] - int(told["up_to"]) if told else 0,
        "messages": row["message_count"],
        "can_make": row["message_count"] > 0 and row["deleted_at"] is None and _joins(row),
        "poll": pace(row),
    }


def _joins(row: Row) -> bool:
    return sessions_seen.allowed(row, "join_session")


# -- what is remembered


def _memories(row: Row, typed: Typed) -> Context:
    if editing := asked().get("edit", "").replace("\x00", ""):
        known = memory.get(row["session_id"], editing)
        typed |= known | {"tags": ", ".join(known["tags"])} | typed
    query = _looked_for()
    return {
        "listing": MEMORIES.embed(query, session_id=row["session_id"]),
        "q": query.get("q", ""),
        "tag": query.get("tag", ""),
        "editing": bool(editing),
        "is_empty": not queries.counts(row["session_id"])["memory_count"],
        "types": MEMORY_TYPES,
    }


def _looked_for() -> dict[str, str]:
    found = {name: asked().get(name, "").replace("\x00", "").strip()[:LONGEST_WORD] for name in ("q", "tag")}
    return {name: value for name, value in found.items() if value}


def _remembered(session_id: str) -> Context:
    row, query = readable(session_id), _looked_for()
    tag = query.get("tag")
    rows = memory.page(
        row["session_id"], query=query.get("q", ""), tags=[tag] if tag else [], limit=LISTED + 1
    )
    return {
        "memories": [each | {"by": links.person(each["stored_by"])} for each in rows[:LISTED]],
        "more": len(rows) > LISTED,
        "session_id": row["session_id"],
        "can_add": takes(row),
        "q": query.get("q", ""),
        "tag": tag,
        "poll": pace(row),
    }


# -- what was made


def _artifacts(row: Row, _typed: Typed) -> Context:
    return {
        "listing": ARTIFACTS.embed(_behind(), session_id=row["session_id"]),
        "is_empty": not queries.counts(row["session_id"])["artifact_count"],
        "types": ARTIFACT_TYPES,
    }


def _behind() -> dict[str, str]:
    before = links.before_id()
    return {"before": before} if before else {}


def _cut(rows: list[Row], name: str) -> Context:
    """A page of rows of which one more was asked for: whether there are others, and where one is."""
    return {
        "next": rows[LISTED - 1][name] if len(rows) > LISTED else None,
        "before": links.before_id(),
    }


def _made(session_id: str) -> Context:
    row = readable(session_id)
    found = made.page(row["session_id"], limit=LISTED + 1, before=links.before_id())
    return _cut(found, "artifact_id") | {
        "artifacts": [artifact(row, each) for each in found[:LISTED]],
        "session_id": row["session_id"],
        "poll": pace(row),
    }


def artifact(row: Row, each: Row) -> Row:
    """Something made, with where it is read, downloaded and, if it is elsewhere, where that is."""
    where = {"session_id": row["session_id"], "artifact_id": each["artifact_id"]}
    return each | {
        "href": url_for("dashboard.session_artifact", **where),
        "file": "" if each["url"] else url_for("dashboard.session_file", **where),
        "outside": web_address(each["url"]),
        "by": links.person(each["added_by"]),
    }


# -- what was handed out


def _jobs(row: Row, typed: Typed) -> Context:
    """The jobs, and the form of the agent that the address or the form names."""
    wanted = typed.get("agent_id") or asked().get("agent", "")
    chosen = registry.get(wanted) if wanted in registry.teams() else None
    told = typed.get("parameters")
    return {
        "listing": JOBS.embed(_behind(), session_id=row["session_id"]),
        "agents": registry.all_agents(),
        "agent": chosen,
        "fields": forms.fields(chosen.schema, told or {}, typed.get("complaints")) if chosen else [],
        "priorities": PRIORITIES,
        "priority": typed.get("priority", "normal"),
    }


def _handed_out(session_id: str) -> Context:
    row = readable(session_id)
    found = delegating.jobs(row["session_id"], limit=LISTED + 1, before=links.before_id())
    return _cut(found, "job_id") | {
        "jobs": [_job(each) for each in found[:LISTED]],
        "session_id": row["session_id"],
        "poll": pace(row),
    }


def _job(each: Row) -> Row:
    """A job with its page, which is for those who may see it: not each who takes part."""
    seen = may(asking(), "view_task", each["submitted_by"])
    return each | {
        "href": links.to("job", each["job_id"]) if seen else "",
        "by": links.person(each["submitted_by"]),
        "says": (each["error"] or {}).get("message", ""),
    }


# -- what happened


def _events(row: Row, _typed: Typed) -> Context:
    """The newest events, or those before a number in the address (`before`)."""
    before = min(number(asked().get("before")), row["last_seq"] + 1)
    end = (before - 1) if before else row["last_seq"]
    begin = max(0, end - EVENTS)
    found = events.after(row["session_id"], begin, limit=end - begin)[0] if end > begin else []
    return {
        "events": [_told(row, each) for each in found],
        "earlier": begin + 1 if begin else None,
        "is_past": bool(before),
        "feed": None if before else url_for(HAPPENED.endpoint, session_id=row["session_id"]),
        "feed_poll": pace(row),
    }


def _happened(after: int, session_id: str) -> Lines:
    row = readable(session_id)
    found, cursor = events.after(row["session_id"], after, limit=EVENTS)
    html = render_template("sessions/_events.html", events=[_told(row, each) for each in found])
    return Lines(html if found else "", cursor, every(0) if len(found) == EVENTS else pace(row))


def _last_seq(session_id: str) -> tuple[int, str]:
    row = readable(session_id)
    return row["last_seq"], pace(row)


def _told(row: Row, event: Row) -> Row:
    """An event in words, with where what it is about stands."""
    data = event["data"]
    shown_as = next(
        (str(data[name]) for name in ("key", "name", "agent_id", "excerpt", "title") if data.get(name)), ""
    )
    return event | {
        "words": events.TYPES.get(event["type"], event["type"]),
        "detail": " ".join(shown_as.split())[:LONGEST_WORD],
        "href": _place(row, event["type"].partition(".")[0], data),
        "who": links.person(event["by"]) if event["by"] else "",
    }


def _place(row: Row, family: str, data: Row) -> str:
    if family == "job" and data.get("job_id"):
        return links.to("job", data["job_id"])
    if family == "artifact" and data.get("artifact_id"):
        where = {"session_id": row["session_id"], "artifact_id": data["artifact_id"]}
        return url_for("dashboard.session_artifact", **where)
    if family == "memory" and data.get("key"):
        return url_for("dashboard.session", session_id=row["session_id"], tab="memories", q=data["key"])
    return ""


_PARTS: dict[str, Callable[[Row, Typed], Context]] = {
    "conversation": _conversation,
    "memories": _memories,
    "artifacts": _artifacts,
    "jobs": _jobs,
    "events": _events,
}

STATUS = Panel(name="session", template="sessions/_status.html", read=_status)
SUMMARY = Panel(name="session_summary", template="sessions/_summary.html", read=_summary)
MEMORIES = Panel(name="session_memories", template="sessions/_memories.html", read=_remembered)
ARTIFACTS = Panel(name="session_artifacts", template="sessions/_artifacts.html", read=_made)
JOBS = Panel(name="session_jobs", template="sessions/_jobs.html", read=_handed_out)
TALK = Feed(name="session_talk", read=_said, glance=_last_place)
HAPPENED = Feed(name="session_events", read=_happened, glance=_last_seq)
