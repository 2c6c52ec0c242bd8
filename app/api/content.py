"""Blog posts: one call that starts the content pipeline."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from pydantic import Field, StringConstraints

from app.accounts.permissions import may
from app.api.answers import Answer
from app.api.auth import current_principal
from app.api.glue import op
from app.api.job_shapes import CONTENT_AGENT, AllowanceIn, JobAccepted, Priority
from app.api.jobs import accepted
from app.api.reading import Input
from app.api.request_id import current as current_request_id
from app.api.shapes import Moment
from app.jobs import intake, lifecycle
from app.jobs.intake import Wish

OF_THE_JOB = {"task_name", "priority", "run_at", "budget"}


Topic = Annotated[str, StringConstraints(min_length=3, max_length=300, pattern=r"\S")]
Line = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"\S")]
TaskName = Annotated[str, StringConstraints(min_length=1, max_length=255)]


class BlogPostIn(Input):
    """What the post is to be like (CONT-02), and how its job is to run."""

    topic: Topic = Field(description="What the post is about.")
    style: Word = "professional"
    tone: Literal["professional", "casual", "technical"] = "professional"
    target_length: int = Field(1000, ge=200, le=5000, description="Words wished for.")
    tags: list[Tag] = Field(
        default_factory=list, max_length=20, description="Of the post. Left out: found in its text."
    )
    primary_keyword: Word | None = None
    target_audience: Line | None = Field(None, description="Who reads it.")
    category: Word | None = None
    publish_below_threshold: bool = Field(
        False, description="Publish the best draft also if none is good enough."
    )
    keep_rejected_as_draft: bool = Field(
        False, description="If none is good enough, leave the best in the CMS, unpublished."
    )
    task_name: TaskName | None = Field(None, description="A name for people. Left out: the topic.")
    priority: Priority = "normal"
    run_at: Moment | None = Field(None, description="Not before; at most a year ahead. Left out: now.")
    budget: AllowanceIn | None = Field(None, description="Left out: the agent's.")


class BlogPostAccepted(JobAccepted):
    """The job that makes the post."""

    status_url: str = Field(description="Where to ask how far it is.")


@op(
    "POST",
    "/api/v1/content/blog-posts",
    verb="submit_task",
    out=BlogPostAccepted,
    status=202,
    errors=(404,),
    idempotent=True,
)
def create_blog_post(body: BlogPostIn) -> Answer:
    """Write, judge, illustrate and publish a post: submits a job of the content pipeline."""
    who = current_principal()
    wish = Wish(
        agent_id=CONTENT_AGENT,
        parameters=body.model_dump(exclude=OF_THE_JOB, exclude_none=True),
        submitted_by=who.user_id,
        priority=body.priority,
        task_name=body.task_name or body.topic[:255],
        run_at=body.run_at,
        budget=body.budget.model_dump() if body.budget else None,
        may_exceed_budget=may(who, "exceed_budget"),
        correlation_id=current_request_id(),
    )
    answer = accepted(lifecycle.submit(intake.order(wish)))
    said = cast("dict[str, Any]", answer.body)
    return Answer(said | {"status_url": said["links"]["status"]}, headers=answer.headers)
