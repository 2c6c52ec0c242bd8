"""The tools by which a model hands jobs to other agents, and waits for them (imports pydantic_ai).

A call that waits stays open in the conversation that is kept; if the attempt gives its place back meanwhile, the one
that goes on makes the same call again, finds the same job by it, and gives its result to the model.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.tools import ToolDefinition

from actors.models.conversation import KEPT_AS
from actors.runners.base import JSON, Context
from app.db import storable
from app.errors import PermanentError

NAME, WAIT = "delegate", "wait_for_jobs"
SUMMARY_CHARS = 200
MOST_RESULT_CHARS = 20_000


class Handing(BaseModel):
    """What the model says when it hands something out."""

    model_config = ConfigDict(extra="ignore")

    agent_id: str = Field(min_length=1, max_length=100)
    parameters: dict[str, Any]
    wait: bool = True
    budget_usd: float | None = Field(None, gt=0)


class Waiting(BaseModel):
    """Which jobs it wants to hear of."""

    model_config = ConfigDict(extra="ignore")

    job_ids: list[str] = Field(min_length=1, max_length=100)


def definitions(allowed: dict[str, str]) -> list[ToolDefinition]:
    """The tools as the model sees them; `allowed` are the agents it may hand jobs to, with what they do."""
    agents = "; ".join(f"{agent_id}: {what[:SUMMARY_CHARS]}" for agent_id, what in allowed.items())
    return [
        ToolDefinition(
            name=NAME,
            description="Hand a job to another agent, and get its result. Several at once: hand them out without"
            f" waiting, then wait for all. What they use is taken from your own budget. The agents: {agents}",
            parameters_json_schema={
                "type": "object",
                "properties": {
                    "agent_id": {"type": "string", "enum": [*allowed]},
                    "parameters": {"type": "object", "description": "What the agent takes."},
                    "wait": {
                        "type": "boolean",
                        "description": "Wait for the result (the default), or go on at once.",
                    },
                    "budget_usd": {"type": "number", "description": "Dollars it may use at most."},
                },
                "required": ["agent_id", "parameters"],
                "additionalProperties": False,
            },
            strict=False,  # as it is: otherwise a free object would have to stay empty
        ),
        ToolDefinition(
            name=WAIT,
            description="Wait for jobs that you handed out, and get their results.",
            parameters_json_schema={
                "type": "object",
                "properties": {"job_ids": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
                "required": ["job_ids"],
                "additionalProperties": False,
            },
            strict=False,
        ),
    ]


def use(call: ToolCallPart, context: Context) -> tuple[bool, str]:
    """Do what the model asks for: whether it went well, and what to tell it. Raises WaitsForJobs like the context."""
    try:
        given = call.args_as_dict(raise_if_invalid=True)
        asked = (Handing if call.tool_name == NAME else Waiting).model_validate(given)
    except ValidationError as wrong:
        first = wrong.errors()[0]
        return False, f"This cannot be done: {'.'.join(map(str, first['loc']))}: {first['msg']}"
    except ValueError as wrong:
        return False, f"The arguments are no JSON object: {wrong}"
    context.tool_started(call.tool_call_id, call.tool_name, given, summary_of(asked))
    ok, told = False, "stopped"
    try:
        ok, told = _done(asked, call, context)
    except PermanentError as refused:
        told = refused.message
    finally:
        context.tool_ended(call.tool_call_id, ok=ok, summary=told[:SUMMARY_CHARS])
    return ok, told


def summary_of(asked: Handing | Waiting) -> str:
    """A call on one short line."""
    return asked.agent_id if isinstance(asked, Handing) else f"{len(asked.job_ids)} jobs"


def _done(asked: Handing | Waiting, call: ToolCallPart, context: Context) -> tuple[bool, str]:
    if isinstance(asked, Waiting):
        return _results(asked.job_ids, context)
    budget = {"usd": asked.budget_usd} if asked.budget_usd else None
    job_id = context.delegate(
        asked.agent_id, asked.parameters, key=f"tool {call.tool_call_id}", budget=budget
    )
    return _results([job_id], context) if asked.wait else (True, f"Handed out as job {job_id}.")


def _results(job_ids: list[str], context: Context) -> tuple[bool, str]:
    if KEPT_AS not in context.checkpoint():
        return False, f"This conversation has grown too long to wait; go on without {', '.join(job_ids)}."
    found = context.await_children(job_ids)
    return all(child["status"] == "completed" for child in found), "\n\n".join(map(worded, found))


def worded(child: JSON) -> str:
    """What became of a job, as the model is told it."""
    head = f"Job {child['job_id']} of {child['agent_id']} is {child['status']}"
    if child["status"] != "completed":
        why = (child["error"] or {}).get("message")
        return f"{head}: {why}" if why else f"{head}."
    text = storable(json.dumps(child["result"], ensure_ascii=False))
    cut = "\n[cut: the result was longer]" if len(text) > MOST_RESULT_CHARS else ""
    judged = f" (its quality gate says: {child['verdict']})" if child["verdict"] else ""
    return f"{head}{judged}. Its result:\n{text[:MOST_RESULT_CHARS]}{cut}"
