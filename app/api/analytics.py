"""How jobs went, over a time: by outcome, by time, by hour of the day, by agent."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from app.accounts.permissions import own_only
from app.agents import registry
from app.api.auth import current_principal
from app.api.glue import op
from app.api.reading import Input
from app.api.shapes import When
from app.jobs import figures


class JobAnalyticsQuery(Input):
    """Of which time, and of which agent."""

    window: Literal["1h", "6h", "24h", "7d", "30d"] = "7d"
    agent_id: str | None = Field(None, max_length=100)


class JobOutcomes(BaseModel):
    """How jobs ended."""

    completed: int
    failed: int
    cancelled: int


class Spread(BaseModel):
    """Seconds: on average, and within which half and 95 % of the jobs lay."""

    mean: float | None
    p50: float | None
    p95: float | None


class SpeedPart(BaseModel):
    """What was done in one part of the time."""

    at: When
    until: When
    completed: int
    failed: int
    jobs_per_hour: float


class HourFigures(BaseModel):
    """The jobs that ended in one hour of the day, on any day of the time."""

    hour: int = Field(description="0 to 23, UTC.")
    jobs: int
    completed: int
    failed: int
    wait_seconds: float | None = Field(description="On average, from the submission to the start.")


class AgentJobs(BaseModel):
    """The jobs of one agent."""

    agent_id: str
    jobs: int
    completed: int
    failed: int
    cancelled: int
    success_rate: float | None
    mean_seconds: float | None
    p50_seconds: float | None
    p95_seconds: float | None
    wait_seconds: float | None
    quality_score: float | None = Field(description="0 to 10, of those that a quality gate judged.")
    cost_usd_per_run: float | None = Field(
        description="Of jobs that used a model; null: nothing has a price."
    )
    tokens_per_run: int | None = Field(description="Of jobs that used a model; null: none did.")


class JobAnalyticsOut(BaseModel):
    """How jobs went; times are seconds, rates 0 to 1, and null is unknown."""

    window: Literal["1h", "6h", "24h", "7d", "30d"]
    since: When
    jobs: int
    most_jobs: int = Field(description="The figures are of the newest so many jobs at most.")
    outcomes: JobOutcomes
    success_rate: float | None = Field(description="Of the jobs that were not cancelled.")
    failure_rate: float | None = Field(description="Of the jobs that were not cancelled.")
    duration: Spread = Field(description="Of completed jobs, without the time they waited for people.")
    wait: Spread = Field(description="From the submission to the start.")
    jobs_per_hour: float | None = Field(description="Completed or failed.")
    speed: list[SpeedPart] = Field(
        description="By 5 or 15 minutes, by one hour or six, or by day; oldest first."
    )
    peak_hours: list[int] = Field(description="The three busiest hours of the day, UTC; the busiest first.")
    hours: list[HourFigures] = Field(description="All 24.")
    agents: list[AgentJobs] = Field(description="At most fifty; those with most jobs first.")


@op("GET", "/api/v1/analytics", verb="view_task", out=JobAnalyticsOut)
def get_analytics(query: JobAnalyticsQuery) -> dict[str, Any]:
    """Sum how jobs went: success, durations, waits, jobs per hour, peak hours, and the same by agent.

    Of your own jobs, or of all for those who may see all, that ended in the time; up to ten seconds old.
    """
    found = figures.figures(
        query.window,
        owner=own_only(current_principal(), "view_task"),
        agent_id=registry.canonical(query.agent_id) if query.agent_id else None,
    )
    return found | {"window": query.window}
