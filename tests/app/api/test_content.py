"""POST /api/content/blog-posts, as programs before this one called it, and what it submits."""

from __future__ import annotations

from typing import Any

import pytest

from app.agents import registry
from app.agents.definition import parse
from app.db import db
from app.jobs import queries
from app.settings import ROOT
from tests.app.api.calling import Caller

PATH = "/api/v1/content/blog-posts"
POST = {"topic": "Night queues for agents"}


@pytest.fixture(autouse=True)
def agent() -> None:
    """The pipeline as it comes with Callboard."""
    text = (ROOT / "app/agents/catalog/content-pipeline.md").read_text()
    with db.transaction():
        registry.install(parse("content-pipeline", text), "catalog")
    registry.forget()


def stored(job_id: str) -> dict[str, Any]:
    with db.quick():
        return queries.get(job_id, full=True)


@pytest.mark.parametrize("path", [PATH, "/api/content/blog-posts"])
def test_a_post_is_accepted_as_a_job_and_says_where_to_look(owner: Caller, path: str) -> None:
    answer = owner.post(path, json=POST)
    assert answer.status_code == 202
    accepted = answer.json
    assert accepted is not None
    assert accepted["job_id"] == accepted["task_id"]
    assert accepted["status"] == "queued"
    assert answer.headers["Location"] == f"/api/v1/jobs/{accepted['job_id']}"
    assert owner.get(accepted["status_url"]).status_code == 200

    job = stored(accepted["job_id"])
    assert (job["agent_id"], job["task_name"], job["submitted_by"]) == (
        "content-pipeline",
        POST["topic"],
        owner.id,
    )
    assert job["parameters"] == POST | {
        "style": "professional", "tone": "professional", "target_length": 1000, "tags": [],
        "publish_below_threshold": False, "keep_rejected_as_draft": False,
    }  # fmt: skip


def test_every_wish_reaches_the_agent(owner: Caller) -> None:
    wishes = {
        "topic": "Queues", "style": "tutorial", "tone": "casual", "target_length": 600, "tags": ["a", "b"],
        "primary_keyword": "queue", "target_audience": "small teams", "category": "Operations",
        "publish_below_threshold": True, "keep_rejected_as_draft": True,
    }  # fmt: skip
    options = {"task_name": "Tuesday's post", "priority": "high", "budget": {"usd": 0.5}}
    accepted = owner.post(PATH, json=wishes | options).json
    assert accepted is not None
    job = stored(accepted["job_id"])
    assert job["parameters"] == wishes
    assert (job["task_name"], accepted["priority"], job["options"]["budget"]) == (
        "Tuesday's post",
        "high",
        {"usd": 0.5},
    )


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({}, "/topic"),
        ({"topic": "ab"}, "/topic"),
        ({"topic": " \n  "}, "/topic"),
        (POST | {"tags": ["queues", " "]}, "/tags/1"),
        (POST | {"target_length": "long"}, "/target_length"),
        (POST | {"target_length": 100}, "/target_length"),
        (POST | {"tone": "angry"}, "/tone"),
        (POST | {"tags": [""]}, "/tags/0"),
        (POST | {"colour": "red"}, "/colour"),
        (POST | {"budget": {"usd": 100}}, "/budget/usd"),
    ],
)
def test_what_does_not_fit_is_named(owner: Caller, wrong: dict[str, Any], pointer: str) -> None:
    answer = owner.post(PATH, json=wrong)
    assert answer.status_code == 422
    assert answer.json is not None
    assert answer.json["errors"][0]["pointer"] == pointer


def test_the_same_request_said_twice_is_one_post(owner: Caller) -> None:
    first, second = (owner.post(PATH, json=POST, headers={"Idempotency-Key": "one"}) for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json == second.json
    assert second.headers["Idempotency-Replayed"] == "true"
    assert owner.post(PATH, json={"topic": "Days"}, headers={"Idempotency-Key": "one"}).status_code == 422


def test_viewers_read_and_write_nothing(viewer: Caller) -> None:
    assert viewer.post(PATH, json=POST).status_code == 403


def test_the_models_have_their_old_address(viewer: Caller) -> None:
    """E16: who answers, with which model, and how it is."""
    old, new = viewer.get("/api/models").json, viewer.get("/api/v1/models").json
    assert old == new
    assert new is not None
    assert new["total"] == len(new["models"])


@pytest.mark.parametrize("path", ["/api/tasks", "/api/v1/jobs"])
def test_wishes_for_a_post_without_an_agent_are_a_job_of_the_pipeline(owner: Caller, path: str) -> None:
    answer = owner.post(path, json=POST | {"tone": "casual", "tags": ["queues"], "priority": "high"})
    assert answer.status_code == 201, answer.json

    job = stored(answer.json["task_id"])  # type: ignore[index]
    assert (job["agent_id"], job["task_name"], job["tags"]) == ("content-pipeline", POST["topic"], ["queues"])
    assert job["parameters"]["tags"] == ["queues"]
    assert (job["parameters"]["tone"], job["priority_rank"]) == ("casual", 1)
    assert owner.post(path, json=POST | {"tone": "shrill"}).status_code == 422
    assert owner.post(path, json={"style": "professional"}).status_code == 422
