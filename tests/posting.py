"""A content pipeline of one test: model servers, a CMS, a gate whose scores a test chooses, and its jobs.

A draft's score is what its markers are worth: `[6.5]` passes checks that weigh so much, and `write(8.2)` writes it.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from actors.execute import AttemptFailed, run_next
from actors.middleware import dead_letter, retry
from actors.post import Post
from app.db import Row, db
from app.jobs import timeline
from app.providers import catalogue
from tests import acting
from tests.model_server import Model, Say
from tests.openai_server import ChatReply, chat_model

AGENT = "content-pipeline"
TOPIC = "Night queues for agents"
# Tenths of a point, each a check of its own; a draft says which of them it passes.
PARTS = (64, 16, 8, 4, 4, 2, 1, 1)


def gate(**changes: Any) -> dict[str, Any]:
    """A gate that gives a draft the score that `write` put into it; passes from 7.0."""
    checks = [
        {"check": "regex", "name": f"part-{n}", "weight": weight, "must": [f"<!-- {n} -->"]}
        for n, weight in enumerate(PARTS)
    ]
    return {"title": "Chosen scores", "otherwise": "rejected", "checks": checks} | changes


def write(
    score: float,
    title: str = "The night queue",
    body: str = "A queue works while you sleep, and so do its agents.",
) -> str:
    """A draft that the gate gives this score."""
    left, marks = round(score * 10), []
    for n, weight in enumerate(PARTS):
        if weight <= left:
            left -= weight
            marks.append(f"<!-- {n} -->")
    assert left == 0, f"{score} cannot be put together"
    return "\n\n".join([f"# {title}", body, "## Conclusion", "Try it tonight.", *marks])


def drafts(*scores: float) -> list[Say]:
    """Answers of a model with these scores, one after the other."""
    return [Say(write(score)) for score in scores]


def provide(servers: ExitStack, provider_id: str, *script: ChatReply) -> Model:
    """A provider with a model server of its own that gives these replies."""
    model = servers.enter_context(chat_model(*script))
    with db.transaction():
        catalogue.add(
            provider_id,
            {
                "base_url": f"{model.url}/v1",
                "model": "mistral:latest",
                "billing": "local",
                "title": provider_id.title(),
            },
        )
    return model


def pipeline(*providers: str, **ours: Any) -> None:
    """The pipeline as an agent of one test, which asks these providers."""
    usual = {"runner": "pipeline", "pipeline": {}, "gate": gate(), "effects": ["publish"]}
    with db.quick():
        acting.agent(AGENT, **usual | {"providers": list(providers)} | ours)


def submit(**parameters: Any) -> str:
    """A job for a post."""
    with db.quick():
        return acting.submitted(AGENT, parameters={"topic": TOPIC} | parameters)


def attempt(post: Post) -> AttemptFailed | None:
    """One attempt of the next job, settled as workers settle it; answers how it failed, if it did."""
    try:
        assert run_next(post), "there was nothing to run"
    except AttemptFailed as failed:
        retry.decide(failed)
        if not failed.settled:
            dead_letter.bury(failed)
        return failed
    return None


def attempts(post: Post, job_id: str, most: int = 6) -> Row:
    """Attempts until the job is finished; its waits are cut short."""
    for _ in range(most):
        with db.quick():
            acting.make_due(job_id)
        attempt(post)
        if (row := job(job_id))["finished_at"]:
            return row
    raise AssertionError(f"not finished after {most} attempts: {row['status']}")


def job(job_id: str) -> Row:
    """The job's row."""
    with db.quick():
        return acting.job(job_id)


def said(job_id: str) -> list[str]:
    """The log, in order."""
    with db.quick():
        return [line["message"] for line in timeline.log(job_id, limit=1000)]


def entries(job_id: str) -> dict[str, dict[str, Any]]:
    """The log's entries that have a type (CONT-15): the last of each, with its data."""
    with db.quick():
        lines = timeline.log(job_id, limit=1000)
    return {line["data"]["type"]: line["data"] for line in lines if "type" in (line["data"] or {})}
