"""The drafts of a job with what gates said of them, what changed between two, and how drafts turn out in general."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import BaseModel, Field

from app import clock
from app.accounts.permissions import may, own_only
from app.agents import registry
from app.agents.versions import difference
from app.api.auth import current_principal
from app.api.glue import op
from app.api.ownership import demand_job
from app.api.reading import Input
from app.api.shapes import JSON, When
from app.db import Row
from app.errors import NotFound
from app.jobs import queries
from app.quality import analytics, drafts
from app.quality.subject import text_of

Number = Annotated[int, Field(ge=1, le=1_000_000)]
LONGEST_TEXT = 400_000
WINDOWS = {"24h": 1, "7d": 7, "30d": 30}


class DraftOut(BaseModel):
    """One draft, and what its gate said of it."""

    number: int = Field(description="1 is the first.")
    source: Literal["agent", "person"] = Field(description="Who wrote it.")
    model: str | None
    seconds: float | None = Field(description="That making it took.")
    attempt: int = Field(description="The attempt of the job that made it.")
    made_at: When
    score: float | None = Field(description="0 to 10; null: not judged yet.")
    threshold: float | None
    verdict: Literal["passed", "revise", "needs_review", "rejected"] | None
    report: JSON | None = Field(
        description="`{score, threshold, passed, verdict, issues, feedback, checks, gate}`; a check that did not run "
        "has no score, and `error` says why."
    )
    judged_at: When | None


class DraftsOut(BaseModel):
    """All drafts of a job, oldest first."""

    job_id: str
    task_id: str
    verdict: Literal["passed", "needs_review", "rejected"] | None = Field(
        description="What was said of the job; null while drafts are made."
    )
    quality_score: float | None
    drafts: list[DraftOut]


class DraftWhole(DraftOut):
    """One draft with what is in it."""

    job_id: str
    content: JSON = Field(description="The agent's result as it was then.")


class DraftDiff(BaseModel):
    """What changed from one draft to another, by lines."""

    job_id: str
    before: int
    after: int
    gain: float | None = Field(description="Of the score; null while one of them is not judged.")
    added: int
    removed: int
    diff: str = Field(description="Unified; of the text, or of the JSON of results without one.")


class QualityQuery(Input):
    """Of which time, and whose."""

    window: Literal["24h", "7d", "30d"] = "7d"
    agent_id: str | None = Field(None, max_length=100)


class Attempts(BaseModel):
    """Drafts with the same number."""

    number: int
    drafts: int
    score: float = Field(description="On average.")
    passed: float | None = Field(description="Share that reached the threshold.")


class Refinement(BaseModel):
    """Drafts that were made because the one before was not good enough."""

    number: int = Field(description="1 is the first refinement, which makes the second draft.")
    drafts: int
    gain: float = Field(description="Of the score, on average.")
    improved: float = Field(description="Share that scored more than the draft before.")


class PassedAfter(BaseModel):
    """Jobs that passed without a person's help."""

    refinements: int
    jobs: int


class CheckFigures(BaseModel):
    """How often one check failed."""

    name: str
    judged: int
    failed: int
    followed: int = Field(description="How many of the failures had a next draft with that check;")
    mended: int = Field(description="and how many of those passed it.")
    not_run: int
    score: float | None


class TopicFigures(BaseModel):
    """Jobs about the same: their parameter `topic`, or their name."""

    topic: str
    jobs: int
    refinements: float = Field(description="On average.")
    first_score: float | None
    final_score: float | None
    first_pass_rate: float | None


class AgentFigures(BaseModel):
    """Jobs of one agent."""

    agent_id: str
    jobs: int
    refinements: float
    first_score: float | None
    final_score: float | None
    first_pass_rate: float | None
    success_rate: float | None
    draft_seconds: float | None
    job_seconds: float | None


class ModelFigures(BaseModel):
    """Drafts of one model."""

    model: str | None
    drafts: int
    score: float | None
    passed: float | None
    seconds: float | None


class Ends(BaseModel):
    """How jobs with drafts ended."""

    first: int = Field(description="Passed at the first draft.")
    refined: int = Field(description="Passed after a refinement.")
    person: int = Field(description="Passed because a person said so.")
    rejected: int
    needs_review: int
    failed: int
    cancelled: int
    open: int = Field(description="Still under way.")


class QualityOut(BaseModel):
    """How drafts turned out; rates are 0 to 1, scores 0 to 10, and null is unknown."""

    window: Literal["24h", "7d", "30d"]
    jobs: int
    drafts: int
    most_jobs: int = Field(description="The figures are of the newest so many jobs at most.")
    first_score: float | None
    final_score: float | None
    first_pass_rate: float | None
    success_rate: float | None
    reviewed: int = Field(description="Jobs that a person looked at.")
    draft_seconds: float | None
    job_seconds: float | None = Field(description="Without the time it waited for people.")
    outcomes: Ends
    passed_after: list[PassedAfter]
    attempts: list[Attempts]
    refinements: list[Refinement]
    checks: list[CheckFigures]
    topics: list[TopicFigures] = Field(
        description="At least two jobs each; those that need most refinement first."
    )
    agents: list[AgentFigures]
    models: list[ModelFigures]


@op("GET", "/api/v1/jobs/<job_id>/drafts", verb="view_task_content", out=DraftsOut, errors=(404,))
def list_drafts(job_id: UUID) -> dict[str, Any]:
    """List the drafts of a job with their scores and reports, while it runs too."""
    key = demand_job(job_id, "view_task_content")
    row = queries.get(key)
    return {
        "job_id": key,
        "task_id": key,
        "verdict": row["verdict"],
        "quality_score": row["quality_score"],
        "drafts": [_shown(draft) for draft in drafts.outline(key)],
    }


@op("GET", "/api/v1/jobs/<job_id>/drafts/<number>", verb="view_task_content", out=DraftWhole, errors=(404,))
def get_draft(job_id: UUID, number: Number) -> dict[str, Any]:
    """Show a draft with its content."""
    key = demand_job(job_id, "view_task_content")
    found = _one(key, number)
    return _shown(found) | {"job_id": key, "content": found["content"]}


@op(
    "GET",
    "/api/v1/jobs/<job_id>/drafts/<before>/diff/<after>",
    verb="view_task_content",
    out=DraftDiff,
    errors=(404,),
)
def compare_drafts(job_id: UUID, before: Number, after: Number) -> dict[str, Any]:
    """Show what changed from one draft to another."""
    key = demand_job(job_id, "view_task_content")
    old, new = (_one(key, number) for number in (before, after))
    change = difference(_text(old), _text(new), (f"draft {before}", f"draft {after}"))
    scored = old["score"] is not None and new["score"] is not None
    return {
        "job_id": key,
        "before": before,
        "after": after,
        "gain": round(new["score"] - old["score"], 3) if scored else None,
        "added": change.added,
        "removed": change.removed,
        "diff": change.diff,
    }


@op("GET", "/api/v1/quality/analytics", verb="view_task", out=QualityOut)
def get_quality_analytics(query: QualityQuery) -> dict[str, Any]:
    """Sum how drafts turned out: scores, what refining helped, which checks fail, which topics need more.

    Of your own jobs, or of all for those who may see all; up to ten seconds old. Topics that are parameters are told
    only to those who may see what jobs are about.
    """
    who = current_principal()
    found = analytics.figures(
        clock.now() - timedelta(days=WINDOWS[query.window]),
        window=query.window,
        owner=own_only(who, "view_task"),
        agent_id=registry.canonical(query.agent_id) if query.agent_id else None,
        with_topics=may(who, "view_task_content"),
    )
    return found | {"window": query.window}


def _one(job_id: str, number: int) -> Row:
    found = drafts.one(job_id, number)
    if found is None:
        raise NotFound(f"job {job_id} has no draft {number}")
    return found


def _shown(row: Row) -> Row:
    return {name: row[name] for name in DraftOut.model_fields if name != "attempt"} | {
        "attempt": row["fence"]
    }


def _text(row: Row) -> str:
    text = text_of(row["content"]) or orjson.dumps(row["content"], option=orjson.OPT_INDENT_2).decode()
    return text[:LONGEST_TEXT]
