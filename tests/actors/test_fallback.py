"""From the claim to the settle with real model servers on this machine: one provider fails, the next takes over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import Engine

from actors import execute, sweeps
from actors.post import Post
from app.agents import registry
from app.db import Row, db
from app.jobs import timeline
from app.providers import catalogue, queries
from tests import acting
from tests.model_server import Model, Refuse, Reply, Say
from tests.openai_server import chat_model

BROKEN = Refuse(503, "server_error", "The server is overloaded.")
BROKE = Refuse(429, "insufficient_quota", "You exceeded your current quota.", {"Retry-After": "7200"})


@pytest.fixture
def servers(quick: Engine) -> Iterator[ExitStack]:
    """Model servers of one test; stopped at its end."""
    with ExitStack() as opened:
        yield opened


def provider(servers: ExitStack, provider_id: str, *script: Reply) -> Model:
    """A provider with a model server of its own that gives these replies."""
    model = servers.enter_context(chat_model(*script))
    with db.transaction():
        catalogue.add(
            provider_id,
            {
                "base_url": f"{model.url}/v1",
                "model": "llama9",
                "billing": "local",
                "title": provider_id.title(),
            },
        )
    return model


def submitted() -> str:
    """A job of an agent that asks `alpha`, else `beta`."""
    with db.quick():
        acting.agent("asker", runner="llm", llm={}, providers=["alpha", "beta"])
        return acting.submitted("asker")


def run(post: Post) -> Row:
    """Submit a job and let a worker see to it."""
    job_id = submitted()
    assert execute.run_next(post)
    return job(job_id)


def job(job_id: str) -> Row:
    with db.quick():
        return acting.job(job_id)


def state(provider_id: str) -> str:
    with db.quick():
        return str(queries.get(provider_id)["state"])


def story(job_id: str) -> list[str]:
    with db.quick():
        return [line["message"] for line in timeline.story(job_id) if line["kind"] == "provider"]


def test_when_the_first_provider_is_killed_jobs_finish_on_the_second_and_soon_without_asking_the_first(
    post: Post, servers: ExitStack
) -> None:
    alpha = provider(servers, "alpha", BROKEN, BROKEN, BROKEN, BROKEN, BROKEN, Say("I am back."))
    beta = provider(servers, "beta", Say("Hello from beta."))

    done = [run(post) for _ in range(6)]
    assert {row["status"] for row in done} == {"completed"}
    assert {row["result"]["provider"] for row in done} == {"beta"}
    assert (len(alpha.asked), len(beta.asked)) == (5, 6), "the sixth did not ask it any more"
    assert state("alpha") == "open"
    assert any("Switched from Alpha to Beta" in line for line in story(done[0]["job_id"]))
    with db.quick():
        assert queries.get("alpha")["error_class"] == "overload"
        db.run("UPDATE providers SET open_until = now() WHERE provider_id = 'alpha'")

    back = run(post)
    assert back["result"]["provider"] == "alpha", "the probe was answered"
    assert state("alpha") == "closed"
    with db.quick():
        assert db.value("SELECT count(*) FROM provider_passes") == 0


def test_with_every_quota_used_up_jobs_wait_without_burning_a_try_and_go_on_after_a_reset(
    post: Post, servers: ExitStack
) -> None:
    alpha = provider(servers, "alpha", BROKE, Say("Thank you for the money."))
    provider(servers, "beta", BROKE)
    first, second = submitted(), submitted()
    assert execute.run_next(post)

    kept = job(first)
    assert (kept["status"], kept["status_reason"], kept["retry_count"]) == ("retry", "provider_open", 0)
    assert {state("alpha"), state("beta")} == {"open"}
    assert not execute.run_next(post), "the agent's other jobs are not even tried"
    assert job(second)["status"] == "queued"
    with db.quick():
        (hold,) = registry.holds("asker")
        until = queries.get("alpha")["open_until"]
    assert hold["code"] == "provider_open"
    assert abs((kept["run_at"] - until).total_seconds()) < 5

    with db.transaction():
        catalogue.reset("alpha")
    sweeps.sweep(post.settings)
    assert execute.run_next(post)
    assert execute.run_next(post)
    assert [job(job_id)["status"] for job_id in (first, second)] == ["completed", "completed"]
    assert len(alpha.asked) == 3


def test_a_dead_end_that_nobody_answers_at_counts_as_a_failure_of_the_provider(
    post: Post, servers: ExitStack
) -> None:
    provider(servers, "beta", Say("Hello."))
    with db.transaction():
        catalogue.add("alpha", {"base_url": "http://127.0.0.1:1/v1", "model": "m", "title": "Alpha"})
    row = run(post)

    assert row["result"]["provider"] == "beta"
    with db.quick():
        alpha = queries.get("alpha")
    assert (alpha["error_class"], alpha["failures"]) == ("transport", 1)
