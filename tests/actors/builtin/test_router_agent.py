from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from actors.builtin import router_agent
from app.errors import PermanentError
from tests.actors.builtin.desk import CATALOG, Desk, definition

AGENT = "router-agent"
read_once = cache(router_agent.parse)


@pytest.fixture(autouse=True)
def no_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogue alone, of which each file is read once and not for every test: reading all of it takes half a second."""
    monkeypatch.delenv("AGENT_FOLDERS", raising=False)
    monkeypatch.setattr(router_agent, "parse", read_once)


def test_the_example_becomes_a_plan_of_steps_in_order(desk: Desk) -> None:
    result = desk.run(AGENT, **definition(AGENT).ours.example or {})

    assert [step["text"] for step in result["plan"]] == [
        "Research what our articles say about work queues",
        "check the draft for style",
        "post it on LinkedIn",
    ]
    assert [step["agent_id"] for step in result["plan"]] == [
        "research-agent",
        "editor",
        "social-media-manager",
    ]
    assert [step["depends_on"] for step in result["plan"]] == [[], ["step_1"], ["step_2"]]
    assert result["plan"][2]["required"] == ["platform", "content"]
    assert desk.context.artifacts["routing.md"].decode() == result["report"]


@pytest.mark.parametrize(
    ("request_", "agent_id"),
    [
        ("find security holes in our repository", "security-auditor"),
        ("profile this csv of sales", "analyst"),
        ("write unit tests for my module", "unit-test-agent"),
        ("turn the notes of the meeting into a backlog of user stories", "user-story-agent"),
        ("boundary values for my validators", "edge-case-agent"),
        ("audit the titles and broken links of our web pages for search", "seo-specialist"),
        ("write the changelog from git", "technical-writer"),
        ("I need a conftest with pytest fixtures", "fixture-agent"),
        ("post a thread on mastodon", "social-media-manager"),
    ],
)
def test_a_plain_request_finds_its_agent(desk: Desk, request_: str, agent_id: str) -> None:
    best = desk.run(AGENT, request=request_)["agents"][0]
    assert best["agent_id"] == agent_id
    assert best["why"]


def test_a_reason_names_words_that_stand_in_the_definition(desk: Desk) -> None:
    best = desk.run(AGENT, request="find leaked passwords")["agents"][0]
    text = (CATALOG / f"{best['agent_id']}.md").read_text().lower()
    named = [
        word for part in best["why"].split("; ") for word in part.split(" say", 1)[1].lstrip("s ").split(", ")
    ]
    assert named
    assert all(word in text for word in named)


def test_scores_fall_and_the_wish_for_few_is_kept(desk: Desk) -> None:
    result = desk.run(AGENT, request="test coverage of a python module", most=2)
    scores = [each["score"] for each in result["agents"]]
    assert len(scores) == 2
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)


def test_what_nobody_can_do_gets_no_agent(desk: Desk) -> None:
    result = desk.run(AGENT, request="Fly me to the moon")
    assert result["agents"] == []
    assert result["plan"][0]["agent_id"] is None
    assert result["summary"] == "No agent fits this request."

    with pytest.raises(PermanentError, match="Say in a sentence"):
        desk.run(AGENT, request="and the ...")


def test_agents_of_configured_folders_are_proposed_and_broken_files_are_said(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "moon-pilot.md").write_text(
        "---\ndescription: Flies people to the moon.\nx-callboard: {runner: command, command: {argv: [fly]}}\n---\n"
    )
    monkeypatch.setenv("AGENT_FOLDERS", str(folder))
    assert router_agent.health().status == "ready"
    assert desk.run(AGENT, request="Fly me to the moon")["agents"][0]["agent_id"] == "moon-pilot"

    (folder / "broken.md").write_text("no front matter")
    assert router_agent.health().reason == "cannot be read: broken.md"
    desk.run(AGENT, request="Fly me to the moon")
    assert "broken.md cannot be read" in desk.context.said


def test_it_never_proposes_itself(desk: Desk) -> None:
    found = desk.run(AGENT, request="which agent should I run for my request", most=20)["agents"]
    assert AGENT not in [each["agent_id"] for each in found]
