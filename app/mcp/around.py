"""Tools for what is around tasks: agents, questions to people, queues, search."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import quote

from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from app.mcp.caller import ask, given
from app.mcp.shapes import JSON, Agent, AgentLine, Agents, Approval, Approvals, Found, QueueStats, Value

DESCRIPTION_CHARS = 300


def list_agents(
    team: Annotated[str | None, Field(description="Only one team's, like marketing.")] = None,
    words: Annotated[str | None, Field(description="All of them must stand in id or description.")] = None,
) -> Agents:
    """List the agents that can be given work, with what each does and the names of its parameters."""
    wanted = (words or "").lower().split()
    told = ask("GET", "/api/v1/agents", query=given(team=team))
    lines = [
        _line(each)
        for each in told["agents"]
        if all(word in f"{each['agent_id']} {each['description']}".lower() for word in wanted)
    ]
    return Agents(agents=lines, total=len(lines))


def get_agent(agent_id: str) -> Agent:
    """Show an agent: the JSON Schema of its parameters, an example that works, its limits and its health."""
    found = ask("GET", f"/api/v1/agents/{quote(agent_id, safe='')}")
    return Agent.model_validate(found | {"parameters": found["schema"], "output": found["output_schema"]})


def list_approvals(
    status: Annotated[
        Literal["open", "approved", "rejected", "sent_back", "expired", "cancelled", "any"] | None,
        Field(description="Left out: open ones that you may answer. Else also those that your work asked."),
    ] = None,
    task_id: Annotated[str | None, Field(description="What one task asked.")] = None,
    limit: Annotated[int, Field(ge=1, le=100)] = 20,
) -> Approvals:
    """List questions that agents, quality gates, policies and workflows put to people."""
    told = ask("GET", "/api/v1/approvals", query=given(status=status, job_id=task_id, limit=limit))
    return Approvals(approvals=[_approval(each) for each in told["approvals"]], total=told["total"])


def answer_input(
    decision: Annotated[
        Literal["approve", "reject", "edit", "ask_back"], Field(description="One of the question's options.")
    ],
    approval_id: Annotated[str | None, Field(description="Which question; or say task_id.")] = None,
    task_id: Annotated[str | None, Field(description="The task whose open question is answered.")] = None,
    answer: Annotated[JSON | None, Field(description="What the question's form asks for.")] = None,
    edited: Annotated[
        Value | None,
        Field(description="With edit: the changed text, or a value of the same type as the one shown."),
    ] = None,
    comment: Annotated[
        str | None, Field(description="Required with ask_back: what should be different.")
    ] = None,
) -> Approval:
    """Answer a question that a task waits with; what waits goes on at once. An answer is final.

    Decide only what the person you work for has decided.
    """
    which = approval_id or _open_question(task_id)
    body = given(decision=decision, answer=answer, edited=edited, comment=comment)
    return _approval(ask("POST", f"/api/v1/approvals/{quote(which, safe='')}/answer", body=body))


def get_queue_stats() -> QueueStats:
    """How much waits, how fast it goes, which pools are paused, and how busy the workers are."""
    return QueueStats.model_validate(ask("GET", "/api/v1/queues/stats"))


def search(
    words: Annotated[str, Field(min_length=1, description="Words, or the beginning of an id.")],
    kinds: Annotated[
        list[str] | None,
        Field(
            description="jobs, workflows, schedules, agents, templates, sessions, messages, memories or artifacts."
        ),
    ] = None,
    limit: Annotated[int, Field(ge=1, le=20, description="Entries of each kind.")] = 10,
    session_id: Annotated[str | None, Field(description="Find only this session and what is in it.")] = None,
    semantic: Annotated[
        bool, Field(description="What sessions hold also by its meaning; where that is off, `note` says so.")
    ] = False,
) -> Found:
    """Find whatever you may see by words: tasks, workflows, schedules, agents, and what sessions hold."""
    query = given(q=words, type=kinds or None, limit=limit, session_id=session_id)
    if semantic:
        query["semantic"] = True
    return Found.model_validate(ask("GET", "/api/v1/search", query=query))


def _line(agent: JSON) -> AgentLine:
    schema = agent["schema"]
    required = list(schema.get("required", []))
    description = agent["description"]
    return AgentLine(
        agent_id=agent["agent_id"],
        team=agent["team"],
        description=description
        if len(description) <= DESCRIPTION_CHARS
        else description[:DESCRIPTION_CHARS] + "…",
        required=required,
        optional=[name for name in schema.get("properties", {}) if name not in required],
        enabled=agent["enabled"],
        health=agent["health"]["status"],
    )


def _approval(told: JSON) -> Approval:
    return Approval.model_validate(
        told | {"task_id": told["job_id"], "may_answer": "answer" in told["actions"]}
    )


def _open_question(task_id: str | None) -> str:
    if task_id is None:
        raise ToolError("Say which question: approval_id, or task_id of the task that asks.")
    told = ask("GET", "/api/v1/approvals", query={"status": "open", "job_id": task_id})
    if not told["approvals"]:
        raise ToolError(f"{task_id} has no open question that you may see; get_task_status says where it is.")
    return str(told["approvals"][0]["approval_id"])
