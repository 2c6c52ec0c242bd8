"""Agents that ask models: providers that die, refuse and come back, agents from plain files, and no provider at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.journeys.asking import (
    JOURNEYS_KEY,
    admin_of,
    expendable_server,
    health,
    imported,
    ledger,
    messages,
    provided,
)
from tests.journeys.person import Person
from tests.journeys.product import running
from tests.model_server import Model, Refuse, Say
from tests.openai_server import chat_model
from tests.waiting import until

TASK = {"task": "Say hello."}
PLAIN = """---
name: harbour-pilot
description: Use this agent to bring ships in. Examples: <example>user: "A ship!"</example>
tools: Read, Grep, Bash
model: sonnet
color: blue
---

You are the pilot of a harbour. Say what you see, then what to do.
"""


def test_a_job_goes_on_with_the_next_provider_when_its_model_server_is_killed(admin: Person) -> None:
    with (
        expendable_server() as (url, server),
        chat_model(Say("Hello.")) as heir,
        provided(admin, "mortal", url),
        provided(admin, "heir", heir.url),
    ):
        agent = imported(admin, "journey-switch", providers=["mortal", "heir"])
        job = admin.submit(agent, TASK)
        until(lambda: "words" in (admin.status(job)["current_step"] or ""), 30)
        until(lambda: ledger(admin, job), 10)
        server.kill()
        ended = admin.reaches(job, "completed")

    assert (ended["result"]["result"], ended["result"]["provider"]) == ("Hello.", "heir")
    assert (ended["attempt"], ended["retry_count"]) == (1, 0)
    switched = messages(admin, job, "provider")[0]
    assert switched.startswith("Switched from Mortal to Heir: ")
    spent = {row["provider"]: row for row in ledger(admin, job)}
    assert {"mortal", "heir"} == set(spent)
    assert all(row["output_tokens"] > 0 for row in spent.values())
    assert len({row["call_id"] for row in spent.values()}) == 2


def test_a_spent_quota_holds_the_jobs_until_an_admin_resets_the_provider(admin: Person) -> None:
    quota = Refuse(429, "insufficient_quota", "You exceeded your quota", {"Retry-After": "3600"})
    with (
        chat_model(quota, Say("Hello.")) as model,
        provided(admin, "frugal", model.url, key_name="JOURNEYS_KEY"),
    ):
        agent = imported(admin, "journey-quota", providers=["frugal"])
        job = admin.submit(agent, TASK)
        held = admin.reaches(job, "retry")
        later = admin.submit(agent, TASK)
        said, said_later = (admin.get(f"/api/v1/jobs/{each}/explain")["blockers"][0] for each in (job, later))
        provider = admin.get("/api/v1/providers/frugal")
        asked = len(model.asked)
        admin.post("/api/v1/providers/frugal/reset")
        ended = [admin.reaches(each, "completed") for each in (job, later)]

    assert (held["status_reason"], held["retry_count"], held["released_count"]) == ("provider_open", 0, 1)
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    for blocker in (said, said_later):
        assert blocker["code"] == "provider_open"
        assert abs(datetime.fromisoformat(blocker["until"]) - in_an_hour) < timedelta(minutes=2)
        assert "quota" in blocker["message"]
    assert (provider["status"], provider["breaker"]["error_class"]) == ("open", "quota")
    assert asked == 1, "a job that is held asks nobody"
    assert model.asked[0]["authorization"] == f"Bearer {JOURNEYS_KEY}"
    assert [(each["retry_count"], each["result"]["result"]) for each in ended] == [(0, "Hello.")] * 2
    assert ended[0]["attempt"] == 2
    assert ended[1]["attempt"] == 1


def test_a_file_of_another_tool_becomes_an_agent_that_runs_on_the_model(admin: Person, model: Model) -> None:
    files = {"files": [{"path": ".claude/agents/harbour-pilot.md", "content": PLAIN}]}
    before = admin.post("/api/v1/agents/import", {**files, "dry_run": True})
    admin.get("/api/v1/agents/harbour-pilot", 404)
    (item,) = admin.post("/api/v1/agents/import", files)["items"]
    again = admin.post("/api/v1/agents/import", files)
    told = health(admin, "harbour-pilot")
    job = admin.submit("harbour-pilot", {"task": "A ship at 0400.", "context": "Fog."})
    ended = admin.reaches(job, "completed")

    assert before["counts"]["new"] == 1
    assert (item["action"], item["runner"], item["errors"]) == ("new", "llm", [])
    assert again["counts"]["unchanged"] == 1
    assert (told["status"], told["reason"]) == ("ready", None)
    assert ended["result"]["result"] == "All is well."
    assert ended["result"]["provider"] == "openai"
    sent = [str(request) for request in model.asked if "You are the pilot of a harbour." in str(request)]
    assert len(sent) == 1
    assert all(words in sent[0] for words in ("A ship at 0400.", "Fog."))


@pytest.fixture(scope="module")
def poor() -> Iterator[Person]:
    """The admin of a product for which nobody has configured a model."""
    keys = dict.fromkeys(("HF_TOKEN", "GEMINI_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_API_KEY"), "")
    with running(**keys, OLLAMA_BASE_URL="http://127.0.0.1:9/v1") as product, admin_of(product) as person:
        yield person


def test_without_a_provider_an_agent_says_what_to_configure_and_so_does_its_job(poor: Person) -> None:
    agent = poor.get("/api/v1/agents/copywriter")
    told = health(poor, "copywriter")
    job = poor.submit("copywriter", agent["example"])
    ended = poor.reaches(job, "failed")

    assert told["status"] == "unavailable"
    assert "ANTHROPIC_API_KEY" in told["reason"]
    assert "Ollama: nothing answers at" in told["reason"]
    assert ended["error"]["message"] == told["reason"]
    assert (ended["error"]["class"], ended["status_reason"], ended["attempt"]) == (
        "permanent",
        "permanent",
        1,
    )
    (letter,) = poor.get("/api/v1/dlq/tasks")["tasks"]
    assert letter["reason"] == "permanent"


def test_without_a_provider_offline_tools_do_what_they_can_and_say_so(poor: Person) -> None:
    told = health(poor, "journey-offline")
    job = poor.submit("journey-offline", {"task": "Count these four words"})
    ended = poor.reaches(job, "completed")

    assert ended["result"] == {"words": 4, "produced_by": "offline tools, no model"}
    assert "Produced by offline tools, no model: no provider is configured" in messages(poor, job, "provider")
    assert told["status"] == "degraded"
    assert told["reason"].startswith("Only its offline tools can run.")
    assert ledger(poor, job) == []
