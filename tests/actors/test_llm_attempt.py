"""Language agents in a whole attempt: real claim, desk, purse and Postgres, and a model server on this machine."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from actors.execute import AttemptFailed, run_next
from actors.post import Post
from app.db import db
from app.jobs import timeline
from app.providers import catalogue
from tests import acting
from tests.model_server import Model, Refuse, Say
from tests.openai_server import Slow, chat_model
from tests.waiting import until


def provide(model: Model, provider_id: str) -> None:
    catalogue.add(
        provider_id, {"title": provider_id.title(), "base_url": f"{model.url}/v1", "model": "test-model"}
    )


def submitted(agent_id: str, *providers: str, **ours: Any) -> str:
    with db.transaction():
        acting.agent(agent_id, runner="llm", llm=ours.pop("llm", {}), providers=list(providers), **ours)
        return acting.submitted(agent_id, parameters={"task": "Say hello."})


def job(job_id: str) -> dict[str, Any]:
    with db.quick():
        return acting.job(job_id)


def test_a_job_is_answered_by_the_second_provider_and_says_so(post: Post) -> None:
    with chat_model(Refuse(503, "busy", "busy")) as bad, chat_model(Say("Hello.")) as good:
        with db.transaction():
            provide(bad, "llm-one")
            provide(good, "llm-two")
        job_id = submitted("test-llm-second", "llm-one", "llm-two")
        assert run_next(post) is True

    row = job(job_id)
    assert (row["status"], row["result"]["result"], row["result"]["provider"]) == (
        "completed",
        "Hello.",
        "llm-two",
    )
    with db.quick():
        told = [event["message"] for event in timeline.events(job_id) if event["kind"] == "provider"]
        spent = db.rows("SELECT * FROM usage_events WHERE job_id = %(id)s", id=job_id)
        passes = db.rows("SELECT * FROM provider_passes WHERE job_id = %(id)s", id=job_id)
    assert told[0].startswith("Switched from Llm-One to Llm-Two: 503 busy")
    assert told[1].startswith("llm-two, test-model: 1,000 prompt tokens, 40 response tokens")
    assert sum(event["input_tokens"] + event["cache_read_tokens"] for event in spent) == 1000
    assert sum(event["output_tokens"] for event in spent) == 40
    assert passes == []


def test_a_throttled_job_is_handed_back_and_burns_nothing(post: Post) -> None:
    with chat_model(Refuse(429, "rate_limit_exceeded", "slow", {"Retry-After": "60"})) as model:
        with db.transaction():
            provide(model, "llm-busy")
        job_id = submitted("test-llm-held", "llm-busy")
        run_next(post)
        assert run_next(post) is False

    row = job(job_id)
    assert (row["status"], row["status_reason"], row["retry_count"]) == ("retry", "provider_open", 0)


def test_tools_false_in_the_definition_is_heard(post: Post) -> None:
    """Front matter of other programs has a key of the same name, which must not win."""
    with chat_model(Say("Hello.")) as model:
        with db.transaction():
            provide(model, "llm-plain")
        servers = {"parcels": {"command": ["no-such-program"]}}
        job_id = submitted("test-llm-plain", "llm-plain", llm={"tools": False, "mcp": servers})
        run_next(post)

    assert job(job_id)["status"] == "completed"


def test_a_budget_stops_the_stream_and_what_was_said_is_kept(post: Post) -> None:
    with chat_model(Slow("word " * 3000, 0.02)) as model:
        with db.transaction():
            provide(model, "llm-long")
        job_id = submitted("test-llm-budget", "llm-long", budget={"tokens": 60}, retry={"max_retries": 0})
        failed: list[AttemptFailed] = []

        def run() -> None:
            try:
                run_next(post)
            except AttemptFailed as error:
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()

        def over() -> bool:
            for attempt in post.in_hand():
                attempt.look()  # as the heartbeat does
            return not thread.is_alive()

        until(over, 20)

    assert failed[0].error.code == "stopped_budget"
    assert failed[0].partial["result"].startswith("word word")
    with db.quick():
        spent = db.rows("SELECT * FROM usage_events WHERE job_id = %(id)s", id=job_id)
    assert 60 <= sum(event["input_tokens"] + event["output_tokens"] for event in spent) < 1000


def test_nobody_to_ask_is_permanent_and_says_what_to_do(post: Post) -> None:
    submitted("test-llm-nobody", "llm-nobody")

    with pytest.raises(AttemptFailed) as failed:
        run_next(post)

    assert failed.value.error.error_class == "permanent"
    assert "llm-nobody" in failed.value.error.message
