"""The jobs that a job delegated, and those below them: seen and cancelled as one tree."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from app.api.auth import current_principal
from app.api.glue import op
from app.api.job_shapes import JobBrief
from app.api.noted import noted
from app.api.ownership import demand_job
from app.jobs import delegation, family


class CostOut(BaseModel):
    """What a job used."""

    usd: float | None = Field(description="null: nothing of it has a price, which is not nothing.")
    tokens: int
    unpriced_tokens: int = Field(description="Tokens that have no price: counted, and not in the dollars.")
    seconds: float = Field(description="How long it ran until now, without waiting for people.")


class SumsOut(CostOut):
    """What several jobs come to."""

    jobs: int
    by_status: dict[str, int]


class FamilyJob(JobBrief):
    """A job of a tree."""

    parent_job_id: str | None
    depth: int
    cost: CostOut = Field(description="Its own.")
    subtotal: SumsOut = Field(description="With all below it.")


class FamilyChild(FamilyJob):
    """A delegated job with those that it delegated."""

    children: list[FamilyChild]


class TreeOut(BaseModel):
    """A job and all below it."""

    job: FamilyJob
    children: list[FamilyChild]
    totals: SumsOut
    truncated: bool = Field(
        description="There are more than 500 below it; the others are neither shown nor summed."
    )


@op("GET", "/api/v1/jobs/<job_id>/tree", verb="view_task", out=TreeOut, errors=(404,))
def get_job_tree(job_id: UUID) -> dict[str, Any]:
    """Show the jobs that a job delegated, and those below them, with what each and all of them cost."""
    return family.tree(demand_job(job_id, "view_task"), current_principal())


@op("POST", "/api/v1/jobs/<job_id>/tree/cancel", verb="cancel_task", out=TreeOut, errors=(404,))
def cancel_job_tree(job_id: UUID) -> dict[str, Any]:
    """Cancel what lives of a job and of all below it; also of a job that is finished itself."""
    delegation.cancel_tree(demand_job(job_id, "cancel_task"))
    noted("job.cancelled", job_id, {"tree": True})
    return family.tree(str(job_id), current_principal())
