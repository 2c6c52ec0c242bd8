"""The extension io.modelcontextprotocol/tasks (SEP-2663): a call of run_agent answers with a task to poll.

A task of the protocol is a job: durable before it is answered, found again after any restart, seen by its owner only.
Clients that did not declare the extension get run_agent's plain answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import anyio.to_thread
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver import require_client_extension
from mcp.server.mcpserver.exceptions import ToolError
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolRequestParams, CallToolResult, RequestParams, TextContent
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.mcp.caller import Refused, ask, given, page
from app.mcp.shapes import JSON, Accepted, Outcome
from app.mcp.tasks import LONGEST_WAIT_SECONDS, Priority, create_task, get_task_result, job, wait_for_task

T = TypeVar("T")

IDENTIFIER = "io.modelcontextprotocol/tasks"
KEY = "approval-"
DECISIONS = {
    "approve": "Approve",
    "reject": "Reject",
    "edit": "Edit and approve",
    "ask_back": "Ask for changes",
}
PLAIN_TYPES = ("string", "number", "integer", "boolean")


class RunIn(BaseModel):
    """The arguments of run_agent."""

    model_config = ConfigDict(extra="ignore")

    agent_id: str
    parameters: JSON = Field(default_factory=dict)
    priority: Priority = "normal"
    task_name: str | None = None
    idempotency_key: str | None = None


class TaskParams(RequestParams):
    """Which task."""

    task_id: str = Field(alias="taskId")


class UpdateParams(TaskParams):
    """Answers to what a task asks, by the keys it asked with."""

    input_responses: dict[str, JSON] = Field(alias="inputResponses")


async def run_agent(
    agent_id: Annotated[str, Field(description="Which agent; list_agents shows them.")],
    parameters: Annotated[JSON | None, Field(description="What the agent takes; get_agent shows it.")] = None,
    priority: Priority = "normal",
    task_name: Annotated[str | None, Field(description="A name for people.")] = None,
    idempotency_key: Annotated[str | None, Field(description="The same key, the same task.")] = None,
    seconds: Annotated[float, Field(ge=0, le=LONGEST_WAIT_SECONDS, description="How long to wait.")] = 20,
) -> Outcome:
    """Have an agent do something and wait for the result, at most 25 seconds.

    If it is not `done` by then, the work goes on: wait_for_task and get_task_result follow it. Clients that know the
    extension io.modelcontextprotocol/tasks get a task at once instead.
    """
    wish = RunIn(
        agent_id=agent_id,
        parameters=parameters or {},
        priority=priority,
        task_name=task_name,
        idempotency_key=idempotency_key,
    )
    made = await _aside(lambda: _submit(wish))
    await wait_for_task(made.task_id, seconds, log_lines=0)
    return await _aside(lambda: get_task_result(made.task_id))


class DurableTasks(Extension):
    """run_agent as a task, and the three methods to follow one."""

    identifier = IDENTIFIER

    def methods(self) -> Sequence[MethodBinding]:
        """tasks/get, tasks/update, tasks/cancel; they are words of the stateless protocol only."""
        modern = frozenset(MODERN_PROTOCOL_VERSIONS)
        return [
            MethodBinding("tasks/get", TaskParams, _get, modern),
            MethodBinding("tasks/update", UpdateParams, _update, modern),
            MethodBinding("tasks/cancel", TaskParams, _cancel, modern),
        ]

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """Answer run_agent with a task, if the client can follow one; everything else goes its usual way."""
        if params.name != "run_agent" or not _declared(ctx):
            return await call_next(ctx)
        try:
            wish = RunIn.model_validate(params.arguments or {})
        except ValidationError:
            return await call_next(ctx)  # which says what is wrong
        try:
            made = await _aside(lambda: _submit(wish))
            return {**await _aside(lambda: _shown(made.task_id)), "resultType": "task"}
        except ToolError as refused:
            return _wrong(str(refused))


def _declared(ctx: ServerRequestContext[Any, Any]) -> bool:
    capabilities = ctx.session.client_capabilities
    extensions = (capabilities.extensions if capabilities else None) or {}
    return IDENTIFIER in extensions and ctx.protocol_version in MODERN_PROTOCOL_VERSIONS


def _submit(wish: RunIn) -> Accepted:
    return create_task(**wish.model_dump())


async def _get(ctx: ServerRequestContext[Any, Any], params: TaskParams) -> HandlerResult:
    return await _of_client(ctx, lambda: _detailed(params.task_id))


async def _update(ctx: ServerRequestContext[Any, Any], params: UpdateParams) -> HandlerResult:
    return await _of_client(ctx, lambda: _answered(params.task_id, params.input_responses))


async def _cancel(ctx: ServerRequestContext[Any, Any], params: TaskParams) -> HandlerResult:
    return await _of_client(ctx, lambda: _cancelled(params.task_id))


async def _of_client(ctx: ServerRequestContext[Any, Any], act: Callable[[], JSON]) -> JSON:
    """Do it for a client that declared the extension; what it may not see is an unknown id."""
    require_client_extension(ctx, IDENTIFIER)
    try:
        return await _aside(act)
    except ToolError as refused:
        raise MCPError(code=INVALID_PARAMS, message=str(refused)) from refused


async def _aside(act: Callable[[], T]) -> T:
    return await anyio.to_thread.run_sync(act)


def _shown(task_id: str) -> JSON:
    """A Task of the protocol, without what its status adds."""
    return _task(ask("GET", job(task_id, "status")))


def _task(found: JSON) -> JSON:
    return {
        "taskId": found["task_id"],
        "status": _status(found["status"]),
        "statusMessage": _told(found),
        "createdAt": found["submitted_at"],
        "lastUpdatedAt": found["updated_at"],
        "ttlMs": None,
        "pollIntervalMs": found["poll"]["next_after_ms"] or 1000,
    }


def _status(ours: str) -> str:
    """The protocol's word; a job that failed is a *completed* task whose result is an error."""
    return {
        "awaiting_input": "input_required",
        "completed": "completed",
        "failed": "completed",
        "cancelled": "cancelled",
    }.get(ours, "working")


def _told(found: JSON) -> str:
    """Where it is, in a few words."""
    status, position = str(found["status"]), found.get("queue_position")
    if status == "running":
        step = found.get("current_step") or found.get("stage")
        return f"{found['progress']} %" + (f": {step}" if step else "")
    if position:
        wait = found.get("estimated_wait_time_seconds")
        return f"{status} #{position}" + (f", about {wait} s" if wait else "")
    return status + (f" ({found['status_reason']})" if found.get("status_reason") else "")


def _detailed(task_id: str) -> JSON:
    found = ask("GET", job(task_id, "status"))
    shown = _task(found)
    if shown["status"] == "completed":
        shown["result"] = _result(task_id)
    elif shown["status"] == "input_required":
        shown["inputRequests"] = {KEY + each["approval_id"]: _question(each) for each in _open(task_id)}
    return shown


def _result(task_id: str) -> JSON:
    """What the tool would have answered, had it waited."""
    outcome = get_task_result(task_id)
    content = outcome.model_dump(mode="json")
    bad = outcome.status == "failed" or outcome.verdict == "rejected"
    result = CallToolResult(
        content=[TextContent(type="text", text=outcome.model_dump_json(indent=2))],
        structured_content=content,
        is_error=bad,
    )
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


def _open(task_id: str) -> list[JSON]:
    told = ask("GET", "/api/v1/approvals", query={"status": "open", "job_id": task_id})
    return list(told["approvals"])


def _question(approval: JSON) -> JSON:
    """A question as an elicitation: a form where one is flat enough, else the address of its page."""
    fields = _fields(approval["form"])
    if fields is None:
        where = page(f"/approvals/{approval['approval_id']}")
        asked = {
            "mode": "url",
            "message": approval["question"],
            "url": where,
            "elicitationId": approval["approval_id"],
        }
    else:
        asked = {
            "mode": "form",
            "message": approval["question"],
            "requestedSchema": _form(approval["options"], fields),
        }
    return {"method": "elicitation/create", "params": asked}


def _form(options: Sequence[str], fields: Mapping[str, JSON]) -> JSON:
    decisions = [{"const": each, "title": DECISIONS.get(each, each)} for each in options if each != "edit"]
    return {
        "type": "object",
        "properties": {
            "decision": {"type": "string", "title": "Decision", "oneOf": decisions},
            "comment": {"type": "string", "title": "Comment"},
            **fields,
        },
        "required": ["decision"],
    }


def _fields(form: JSON | None) -> JSON | None:
    """The fields of a form that elicitation can show; None if some cannot be shown."""
    fields: JSON = (form or {}).get("properties", {})
    clash = {"decision", "comment"} & set(fields)
    if clash or any(field.get("type") not in PLAIN_TYPES for field in fields.values()):
        return None
    return dict(fields)


def _answered(task_id: str, responses: Mapping[str, JSON]) -> JSON:
    """Answer what is still open; a declined form decides nothing."""
    for approval in _open(task_id):
        said = responses.get(KEY + approval["approval_id"])
        if said and said.get("action") == "accept":
            content = dict(said.get("content") or {})
            decision, comment = content.pop("decision", None), content.pop("comment", None)
            body = given(decision=decision, comment=comment or None, answer=content or None)
            ask("POST", f"/api/v1/approvals/{approval['approval_id']}/answer", body=body)
    return {}


def _cancelled(task_id: str) -> JSON:
    """Acknowledge; also what is over already."""
    try:
        ask("POST", job(task_id, "cancel"))
    except Refused as refused:
        if refused.status != 409:
            raise
    return {}


def _wrong(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)
