"""Two jobs side by side."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from app.accounts.permissions import may
from app.api.auth import current_principal
from app.api.glue import op
from app.api.job_shapes import Status
from app.api.ownership import demand_job
from app.api.reading import Input
from app.api.shapes import When
from app.jobs import compare


class CompareQuery(Input):
    """Which two."""

    a: UUID
    b: UUID


class ComparedJob(BaseModel):
    """What is told of each of the two."""

    job_id: str
    agent_id: str
    task_name: str | None
    agent_version: str | None
    agent_version_number: int | None
    status: Status
    submitted_at: When
    duration_seconds: float | None
    attempts: int
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    provider: str | None = Field(description="Of the last attempt that asked a model.")
    model: str | None
    tools: list[str] = Field(description="The tools it called, in order.")
    replay_of_job_id: str | None


class ComparedText(BaseModel):
    """One thing of both, by lines."""

    same: bool
    added: int
    removed: int
    diff: str = Field(description="Unified, from a to b.")


class CompareOut(BaseModel):
    """What two jobs have in common and what not."""

    a: ComparedJob
    b: ComparedJob
    input: ComparedText
    definition: ComparedText
    output: ComparedText
    tools: ComparedText


@op("GET", "/api/v1/jobs/compare", verb="view_task_content", out=CompareOut, errors=(404,))
def compare_jobs(query: CompareQuery) -> dict[str, Any]:
    """Compare two jobs: input, definition, output, tools, tokens, cost and time."""
    first, second = (demand_job(job_id, "view_task_content") for job_id in (query.a, query.b))
    return compare.compare(first, second, whole_definitions=may(current_principal(), "configure_agent"))
