"""Tools for tasks: submit, look, wait, read, cancel, run again. (A task is a job; MCP calls it so.)"""

from __future__ import annotations

import json
import time
from typing import Annotated, Any, Literal

import anyio.to_thread
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from app.client.calls import AWAY_STATUSES
from app.mcp.caller import Forbidden, Refused, ask, given, page, present
from app.mcp.shapes import (
    JSON,
    Accepted,
    Cancelled,
    Explanation,
    File,
    Logs,
    Outcome,
    Task,
    Tasks,
    TaskStatus,
)

LONGEST_WAIT_SECONDS = 25
MOST_MESSAGE_CHARS = 2_000
MOST_LOG_CHARS = 40_000
FINAL = ("completed", "failed", "cancelled")

Priority = Literal["critical", "high", "normal", "low"]
TaskId = Annotated[str, Field(description="As create_task and list_tasks answer it.")]


def create_task(
    agent_id: Annotated[
        str | None, Field(description="Which agent; list_agents shows them. Not beside a topic.")
    ] = None,
    parameters: Annotated[
        JSON | None, Field(description="What the agent takes; get_agent shows its schema and an example.")
    ] = None,
    topic: Annotated[
        str | None, Field(description="Of a blog post, in place of agent_id and parameters.")
    ] = None,
    style: Annotated[str | None, Field(description="Of the post, like professional.")] = None,
    tone: Annotated[str | None, Field(description="Of the post: professional, casual or technical.")] = None,
    target_length: Annotated[int | None, Field(description="Words wished for in the post.")] = None,
    tags: Annotated[list[str] | None, Field(description="Of the post, or of the task.")] = None,
    task_name: Annotated[str | None, Field(description="A name for people.")] = None,
    priority: Priority = "normal",
    run_at: Annotated[
        str | None, Field(description="Not before, like 2026-01-31T12:00:00Z. Left out: now.")
    ] = None,
    idempotency_key: Annotated[
        str | None, Field(description="Call again with the same key and the first task is answered.")
    ] = None,
) -> Accepted:
    """Give work to an agent, or order a blog post by its topic. Answers at once; the work goes on by itself.

    Follow it with wait_for_task, then read it with get_task_result.
    """
    if agent_id is None and topic is None:
        raise ToolError("Say agent_id with its parameters (list_agents shows them), or a topic for a post.")
    body = given(
        agent_id=agent_id, parameters=parameters, topic=topic, style=style, tone=tone,
        target_length=target_length, tags=tags, task_name=task_name, priority=priority, run_at=run_at,
    )  # fmt: skip
    return accepted(ask("POST", "/api/v1/jobs", body=body, headers=once(idempotency_key)))


def get_task_status(
    task_id: TaskId,
    log_lines: Annotated[int, Field(ge=0, le=100, description="Newest lines of its log to send along.")] = 10,
) -> TaskStatus:
    """Where a task is: progress, stage, the end of its log, its quality score, and why it waits."""
    return status(task_id, log_lines)


async def wait_for_task(
    task_id: TaskId,
    seconds: Annotated[
        float, Field(ge=0, le=LONGEST_WAIT_SECONDS, description="How long to wait at most.")
    ] = 20,
    log_lines: Annotated[int, Field(ge=0, le=100)] = 5,
) -> TaskStatus:
    """Wait until a task is done or asks a person, at most 25 seconds. `done` says whether it is; if not, call again.

    While the server is busy it may answer sooner: then wait `poll_after_ms` before you call again.
    """
    places = present().waits
    if places is not None and not places.acquire(blocking=False):
        seconds = 0
        places = None
    try:
        return await _watch(task_id, time.monotonic() + seconds, log_lines)
    finally:
        if places is not None:
            places.release()


def get_task_result(
    task_id: TaskId,
    max_chars: Annotated[
        int, Field(ge=100, le=200_000, description="A longer result is cut to so many characters of JSON.")
    ] = 20_000,
) -> Outcome:
    """What came out of a task: result or error, verdict, usage, and the files it left."""
    found = ask("GET", job(task_id))
    result = found.get("result")
    text = json.dumps(result, ensure_ascii=False)
    cut = result is not None and len(text) > max_chars
    return Outcome.model_validate(
        found
        | {
            "done": found["poll"]["terminal"],
            "result": None if cut else result,
            "text": text[:max_chars] if cut else None,
            "files": _files(task_id),
            "url": page(found["links"]["page"]),
        }
    )


def cancel_task(task_id: TaskId) -> Cancelled:
    """Cancel a task: a waiting one leaves the queue at once, a running one stops within seconds.

    Cancelling what is cancelled already changes nothing and is no error.
    """
    try:
        return Cancelled.model_validate(ask("POST", job(task_id, "cancel")))
    except Refused as refused:
        if refused.status != 409:
            raise
        now = ask("GET", job(task_id, "status"))
        if now["status"] != "cancelled" and not now["cancel_requested"]:
            raise
        return Cancelled.model_validate(now | {"cancel_requested": True})


def retry_task(
    task_id: TaskId,
    parameters: Annotated[JSON | None, Field(description="Replace the old ones as a whole.")] = None,
    priority: Priority | None = None,
    idempotency_key: str | None = None,
) -> Accepted:
    """Run a finished task again, as a new task."""
    body = given(parameters=parameters, priority=priority)
    return accepted(ask("POST", job(task_id, "retry"), body=body, headers=once(idempotency_key)))


def get_task_logs(
    task_id: TaskId,
    after: Annotated[int, Field(ge=0, description="`cursor` of the answer before; 0: from the start.")] = 0,
    limit: Annotated[int, Field(ge=1, le=500)] = 100,
    level: Annotated[
        Literal["debug", "info", "warning", "error"] | None, Field(description="This level and worse.")
    ] = None,
    everything: Annotated[
        bool,
        Field(
            description="Also what is no log line: stages, tools, model calls, checks, scores, side effects."
        ),
    ] = False,
) -> Logs:
    """Read a task's log from a cursor on; long lines and long answers are cut, the cursor goes on behind them."""
    if everything:
        told = ask("GET", job(task_id, "events"), query={"after": after, "limit": limit})
        lines = told["events"]
    else:
        told = ask("GET", job(task_id, "logs"), query={"after": after, "limit": limit, "level": level})
        lines = told["logs"]
    shown = _bounded(lines)
    more = bool(told["more"]) or len(shown) < len(lines)
    final = not more and ask("GET", job(task_id, "status"))["poll"]["terminal"]
    return Logs.model_validate(
        {
            "task_id": task_id,
            "logs": shown,
            "cursor": shown[-1]["seq"] if shown else after,
            "more": more,
            "done": final,
        }
    )


def explain_task(task_id: TaskId) -> Explanation:
    """Say why a task is not running: what it waits for, until when, and its place in the queue."""
    return Explanation.model_validate(ask("GET", job(task_id, "explain")))


def list_tasks(
    status: Annotated[list[str] | None, Field(description="One or several, like running, failed.")] = None,
    agent_id: str | None = None,
    tag: str | None = None,
    words: Annotated[
        str | None, Field(description="In the name, the agent, the error, or the beginning of the id.")
    ] = None,
    since: Annotated[
        str | None, Field(description="Submitted at or after, like 2026-01-31T00:00:00Z.")
    ] = None,
    limit: Annotated[int, Field(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Field(description="`next_cursor` of the page before.")] = None,
) -> Tasks:
    """List tasks, newest first: your own; for admins and viewers everybody's."""
    query = given(
        status=",".join(status) if status else None,
        agent_id=agent_id,
        tag=tag,
        q=words,
        since=since,
        limit=limit,
        cursor=cursor,
    )
    told = ask("GET", "/api/v1/jobs", query=query)
    shown = [each | {"url": page(f"/jobs/{each['job_id']}")} for each in told["jobs"]]
    return Tasks(
        tasks=[Task.model_validate(each) for each in shown],
        total=told["total"],
        next_cursor=told["next_cursor"],
    )


def job(task_id: str, what: str = "") -> str:
    """The API's path of a task; raises ToolError if that is no id, so that nothing else is asked for."""
    if not task_id or not all(sign.isalnum() or sign == "-" for sign in task_id):
        raise ToolError(f"{task_id!r} is no task_id: take one from create_task or list_tasks.")
    return f"/api/v1/jobs/{task_id}" + (f"/{what}" if what else "")


def once(key: str | None) -> dict[str, str]:
    """The header that makes a repeated call answer the first one's task."""
    return {"Idempotency-Key": key} if key else {}


def accepted(told: JSON) -> Accepted:
    """A submission's answer."""
    return Accepted.model_validate(told | {"url": page(told["links"]["page"])})


def status(task_id: str, log_lines: int = 0) -> TaskStatus:
    """The status document, as tools show it."""
    found = ask("GET", job(task_id, "status"), query={"logs": log_lines} if log_lines else None)
    return TaskStatus.model_validate(
        found
        | {
            "done": found["poll"]["terminal"],
            "poll_after_ms": found["poll"]["next_after_ms"],
            "logs": _bounded(found.get("logs") or []),
            "url": page(found["links"]["page"]),
        }
    )


async def _watch(task_id: str, until: float, log_lines: int) -> TaskStatus:
    """Ask as often as the server says, and no oftener; a server that is being restarted is waited for as well."""
    while True:
        pause = 1.0
        try:
            now = await anyio.to_thread.run_sync(status, task_id, log_lines)
        except Refused as refused:
            if refused.status not in (None, *AWAY_STATUSES) or time.monotonic() >= until:
                raise
        else:
            if now.done or now.status == "awaiting_input" or time.monotonic() >= until:
                return now
            pause = (now.poll_after_ms or 1000) / 1000
        await anyio.sleep(max(0.0, min(pause, until - time.monotonic())))


def _bounded(lines: list[JSON]) -> list[JSON]:
    """As many whole lines as a model can be expected to read; at least one, its message cut."""
    kept: list[JSON] = []
    size = 0
    for line in lines:
        message = line["message"]
        short = message if len(message) <= MOST_MESSAGE_CHARS else message[:MOST_MESSAGE_CHARS] + "… [cut]"
        data = line.get("data")
        data_size = len(json.dumps(data)) if data else 0
        if data_size > MOST_MESSAGE_CHARS:
            data, data_size = {"cut": f"{data_size} characters"}, 30
        size += len(short) + data_size + 100
        if kept and size > MOST_LOG_CHARS:
            break
        kept.append(line | {"message": short, "data": data})
    return kept


def _files(task_id: str) -> list[File]:
    try:
        found: list[dict[str, Any]] = ask("GET", job(task_id, "artifacts"))["artifacts"]
    except Forbidden:  # a viewer may see that it is done, not what it made
        return []
    return [
        File.model_validate(each | {"uri": f"callboard://artifacts/{each['artifact_id']}"}) for each in found
    ]
