"""The transcript of a job: turns, tool calls with their answers, switches of providers, warnings; live by cursor."""

from __future__ import annotations

from typing import Any

from flask import Response, render_template, url_for

from app import clock
from app.dashboard import job_seen
from app.dashboard.htmx import STOP, Feed, Lines, every
from app.dashboard.session import settings
from app.db import Row
from app.jobs import timeline

AT_FIRST = 300
AT_ONCE = 300
# While nothing was told. Most agents never tell a story: who has not begun after a while is asked less often.
SILENT_MS = 5000
PATIENCE_SECONDS = 30.0

Entry = dict[str, Any]


def part(row: Row) -> dict[str, Any]:
    """What the page shows before the first poll: {story, story_seq, cursor, story_poll, feed}."""
    told = timeline.newest_story(row["job_id"], AT_FIRST)
    entries, earlier = _entries(row["job_id"], told)
    return {
        "story": earlier + entries,
        "story_seq": told[-1]["seq"] if told else 0,
        "cursor": row["last_seq"],
        "story_poll": _poll(row, bool(told)),
        "feed": url_for(FEED.endpoint, job_id=row["job_id"]),
        "is_whole": len(told) < AT_FIRST,
    }


def _read(after: int, job_id: str) -> Lines:
    """What was told above a cursor; an answer to a tool call that the page has already replaces that call's entry."""
    row = job_seen.readable(job_id)
    told = timeline.story(row["job_id"], after=after, limit=AT_ONCE)
    more = len(told) == AT_ONCE
    return Lines(
        _drawn(row["job_id"], told) if told else "",
        told[-1]["seq"] if more else max(row["last_seq"], told[-1]["seq"] if told else 0),
        every(0) if more else _poll(row, bool(told or after)),
    )


def _glance(job_id: str) -> tuple[int, str]:
    row = job_seen.glimpsed(job_id)
    return row["last_seq"], _poll(row, row["last_seq"] > 0)


def raw(job_id: str) -> Response:
    """GET /jobs/<job_id>/transcript.txt: all of it as text."""
    row = job_seen.readable(job_id)
    told = timeline.story(row["job_id"], limit=settings().max_log_lines)
    text = "".join(f"{e['at'].isoformat()} {e['kind']}: {e['message']}\n" for e in told)
    return Response(text, mimetype="text/plain")


def _poll(row: Row, told: bool) -> str:
    # One more look after the end: the last words and the final status are written apart.
    if row["finished_at"] is not None:
        return STOP
    since = row["started_at"] or row["submitted_at"]
    young = (clock.now() - since).total_seconds() < PATIENCE_SECONDS
    return every(settings().poll_running_ms if told or young else SILENT_MS)


def _drawn(job_id: str, told: list[Row]) -> str:
    entries, earlier = _entries(job_id, told)
    return render_template("job/_story.html", story=entries, answered=earlier, story_seq=told[-1]["seq"])


def _entries(job_id: str, told: list[Row]) -> tuple[list[Entry], list[Entry]]:
    """What was told as entries, answers inside their calls; and the earlier calls that are answered only now."""
    entries: list[Entry] = []
    calls: dict[tuple[int, str], Entry] = {}
    late: dict[tuple[int, str], Row] = {}
    for line in told:
        key = (line["attempt"], str((line["data"] or {}).get("call_id")))
        if line["kind"] == "tool_result" and key in calls:
            calls[key]["answer"] = line
        elif line["kind"] == "tool_result":
            late[key] = line
        else:
            entries.append(line | {"answer": None})
            if line["kind"] == "tool":
                calls[key] = entries[-1]
    return entries, _answered(job_id, late)


def _answered(job_id: str, late: dict[tuple[int, str], Row]) -> list[Entry]:
    """The calls to which these are the answers; an answer without its call stands for itself."""
    calls = timeline.tool_calls(job_id, [call_id for _, call_id in late]) if late else {}
    return [
        calls[key] | {"answer": answer} if key in calls else answer | {"answer": None}
        for key, answer in late.items()
    ]


FEED = Feed(name="job_story", read=_read, glance=_glance)
