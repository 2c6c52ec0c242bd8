"""The transcript of a job: turns, tool calls with their answers, switches of providers, warnings; live by cursor."""

from __future__ import annotations

from typing import Any

from flask import Response, make_response, render_template, request

from app import clock
from app.accounts.permissions import demand
from app.dashboard import actions
from app.dashboard.htmx import STOP, every
from app.dashboard.session import asking, settings
from app.db import Row
from app.jobs import queries, timeline

AT_FIRST = 300
AT_ONCE = 300
# While nothing was told. Most agents never tell a story: who has not begun after a while is asked less often.
SILENT_MS = 5000
PATIENCE_SECONDS = 30.0

Entry = dict[str, Any]


def at_first(row: Row) -> dict[str, Any]:
    """What the page of a job shows before the first poll: {story, story_seq, story_poll}."""
    told = timeline.newest_story(row["job_id"], AT_FIRST)
    entries, earlier = _entries(row["job_id"], told)
    return {
        "story": earlier + entries,
        "story_seq": told[-1]["seq"] if told else 0,
        "story_poll": _poll(row, bool(told)),
    }


def more(job_id: str) -> Response:
    """GET /ui/jobs/<job_id>/story?after=N: what was told above a cursor; 204 when that is nothing.

    An answer to a tool call that the page has already replaces that call's entry.
    """
    row = _readable(job_id)
    after = number(request.args.get("after"))
    told = timeline.story(row["job_id"], after=after, limit=AT_ONCE)
    response = _lines(row["job_id"], told) if told else make_response("", 204)
    response.headers["HX-Poll"] = every(0) if len(told) == AT_ONCE else _poll(row, bool(told or after))
    return response


def raw(job_id: str) -> Response:
    """GET /jobs/<job_id>/transcript.txt: all of it as text."""
    row = _readable(job_id)
    told = timeline.story(row["job_id"], limit=settings().max_log_lines)
    text = "".join(f"{e['at'].isoformat()} {e['kind']}: {e['message']}\n" for e in told)
    return Response(text, mimetype="text/plain")


def number(text: str | None) -> int:
    """A cursor from an address; 0 for anything odd."""
    return min(int(text), 2**62) if text and text.isdecimal() else 0


def _readable(job_id: str) -> Row:
    row = queries.get(actions.checked_id(job_id))
    demand(asking(), "view_task", row["submitted_by"])
    demand(asking(), "view_task_content", row["submitted_by"])
    return row


def _poll(row: Row, told: bool) -> str:
    # One more look after the end: the last words and the final status are written apart.
    if row["finished_at"] is not None:
        return STOP
    since = row["started_at"] or row["submitted_at"]
    young = (clock.now() - since).total_seconds() < PATIENCE_SECONDS
    return every(settings().poll_running_ms if told or young else SILENT_MS)


def _lines(job_id: str, told: list[Row]) -> Response:
    entries, earlier = _entries(job_id, told)
    return make_response(
        render_template("job/_story.html", story=entries, answered=earlier, story_seq=told[-1]["seq"])
    )


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
