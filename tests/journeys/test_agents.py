"""Every agent that ships does its example on a fresh install, and what it leaves can be downloaded."""

from __future__ import annotations

import hashlib

import pytest

from app.ops.seed import CATALOG
from tests.journeys.person import Person

BUILT_IN = sorted(path.stem for path in CATALOG.glob("*.md"))


@pytest.fixture(scope="module")
def begun(admin: Person) -> dict[str, str]:
    """A job of each built-in agent with its own example, all sent in at once."""
    agents = {agent["agent_id"]: agent for agent in admin.get("/api/v1/agents")["agents"]}
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
    files = admin.story(job, "artifacts")
    for file in files:
        content = admin.call("GET", file["links"]["download"]).content
        assert len(content) == file["size_bytes"] > 0
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
    assert files, "it left no file"


@pytest.mark.parametrize("agent_id", BUILT_IN)
def test_a_built_in_agent_says_that_it_is_ready(admin: Person, agent_id: str) -> None:
    agent = admin.get(f"/api/v1/agents/{agent_id}")

    assert agent["health"] == {"status": "ready", "reason": None}
    assert admin.get(f"/api/v1/agents/{agent_id}/schema")["schema"] == agent["schema"]


def test_there_are_at_least_eight_agents_that_need_no_key() -> None:
    assert len(BUILT_IN) >= 8
