"""Every agent that ships does its example on a fresh install, and what it leaves can be downloaded."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest

from app.ops.seed import CATALOG
from tests.journeys.asking import health
from tests.journeys.person import Person

# What these run is installed by their users; the slow suite runs the real ones.
FOREIGN = {"claude-code", "codex", "gemini-cli"}
# What says on a fresh install that it can do only a part.
UNCONFIGURED = {
    "gmail-agent": {"status": "degraded", "reason": "drafts only: SMTP_HOST is not set"},
    "content-pipeline": {
        "status": "degraded",
        "reason": "Nothing is published: STRAPI_URL is not set for the workers.",
    },
}
SHIPPED = {path.stem for path in CATALOG.glob("*.md")}
BUILT_IN = sorted(SHIPPED - FOREIGN)
TEAMS = {"MARKETING_TEAM": 18, "TEST_AGENT": 5, "USER_STORY_AGENT": 1, "ENGINEERING_TEAM": 12}


@pytest.fixture(scope="module")
def begun(admin: Person) -> dict[str, str]:
    """A job of each built-in agent with its own example, all sent in at once."""
    agents = {agent["agent_id"]: agent for agent in admin.get("/api/v1/agents")["agents"]}
    meeting = agents["memory-keeper"]["example"]["session_id"]
    admin.post("/api/v1/sessions", {"id": meeting}, 201)
    said = [
        {"speaker": "Ada", "text": "We decided to print on Monday. Ben, can you call the printer by Friday?"}
    ]
    admin.post(f"/api/v1/sessions/{meeting}/messages", {"chunks": said}, 201)
    return {name: admin.submit(name, agents[name]["example"]) for name in BUILT_IN}


@pytest.mark.parametrize("agent_id", BUILT_IN)
def test_the_example_of_a_built_in_agent_completes_and_its_files_are_whole(
    admin: Person, begun: dict[str, str], agent_id: str
) -> None:
    job = begun[agent_id]
    admin.reaches(job, "completed", 120)
    document = admin.get(f"/api/v1/jobs/{job}")

    assert document["progress"] == 100
    assert document["result"]
    if document["result"].get("provider"):  # a model's answer is its result
        assert document["result"]["model_used"].startswith("OpenAI")
        return
    files = admin.story(job, "artifacts")
    for file in files:
        content = admin.call("GET", file["links"]["download"]).content
        assert len(content) == file["size_bytes"] > 0
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
    assert files, "it left no file"


@pytest.mark.parametrize("agent_id", BUILT_IN)
def test_a_built_in_agent_says_that_it_is_ready(admin: Person, agent_id: str) -> None:
    told = health(admin, agent_id)
    agent = admin.get(f"/api/v1/agents/{agent_id}")

    assert {name: told[name] for name in ("status", "reason")} == agent["health"]
    assert agent["health"] == UNCONFIGURED.get(agent_id, {"status": "ready", "reason": None})
    assert admin.get(f"/api/v1/agents/{agent_id}/schema")["schema"] == agent["schema"]


def test_all_agents_are_there_by_team(admin: Person) -> None:
    agents = admin.get("/api/v1/agents")["agents"]
    teams = Counter(agent["team"] for agent in agents if agent["agent_id"] in SHIPPED)
    assert {team: teams[team] for team in TEAMS} == TEAMS
    assert all(agent["schema"].get("required") or agent["schema"].get("anyOf") or agent["schema"].get("then")
               for agent in agents if agent["agent_id"] in SHIPPED)  # fmt: skip


@pytest.mark.parametrize("agent_id", sorted(FOREIGN))
def test_an_agent_whose_program_is_not_here_says_how_to_get_it(admin: Person, agent_id: str) -> None:
    told = health(admin, agent_id)
    assert told["status"] in ("ready", "degraded", "unavailable")
    if told["status"] == "unavailable":
        assert "npm install" in told["reason"] or "log" in told["reason"].lower()
