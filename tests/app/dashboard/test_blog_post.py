"""The form for blog posts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask

from app.agents import registry as _registry
from app.agents.definition import parse
from app.dashboard.blog_post import AGENT
from tests.app.dashboard.aside import Aside, db, job
from tests.app.dashboard.visiting import Visitor, words

registry = Aside(_registry)
FILE = Path(_registry.__file__).parent / "catalog" / f"{AGENT}.md"


@pytest.fixture(autouse=True)
def pipeline() -> None:
    """The agent that comes with Callboard, and no provider."""
    db.run("DELETE FROM providers")
    registry.install(parse(AGENT, FILE.read_text()), "here")
    db.run("UPDATE agents SET health_status = 'ready', health_at = now() WHERE agent_id = %(id)s", id=AGENT)
    registry.forget()


def provider(provider_id: str, **more: Any) -> None:
    row = {
        "title": provider_id.title(),
        "kind": "openai",
        "base_url": "http://x/v1",
        "model": "small-1",
        "position": 1,
        "demo": False,
    }
    db.run(
        """INSERT INTO providers (provider_id, title, kind, base_url, model, position, demo, enabled, source, health_status)
           VALUES (%(id)s, %(title)s, %(kind)s, %(base_url)s, %(model)s, %(position)s, %(demo)s, true, 'settings', 'ready')""",
        id=provider_id,
        **row | more,
    )


@pytest.mark.parametrize("path", ["/", "/jobs", "/submit"])
def test_it_stands_where_one_looks_for_it(user: Visitor, viewer: Visitor, path: str) -> None:
    assert words(user.soup(path).select_one("main a[href='/blog-post']")) == "Generate blog post"
    if path != "/submit":
        assert viewer.soup(path).select("a[href='/blog-post']") == []


def test_what_was_typed_becomes_the_job(user: Visitor) -> None:
    answer = user.post(
        "/blog-post",
        {
            "p.topic": "Bees in winter",
            "p.style": "narrative",
            "p.tone": "casual",
            "p.target_length": "800",
            "p.tags": "bees\r\nwinter",
            "p.primary_keyword": "bees",
            "p.target_audience": "gardeners",
            "p.category": "Garden",
            "priority": "high",
        },
    )

    assert answer.status_code == 303, answer.text
    made = job(answer.headers["Location"].rsplit("/", 1)[1])
    assert (made["agent_id"], made["task_name"], made["priority_rank"]) == (AGENT, "Bees in winter", 1)
    assert made["parameters"] == {
        "topic": "Bees in winter",
        "style": "narrative",
        "tone": "casual",
        "target_length": 800,
        "tags": ["bees", "winter"],
        "primary_keyword": "bees",
        "target_audience": "gardeners",
        "category": "Garden",
        "publish_below_threshold": False,
        "keep_rejected_as_draft": False,
    }


def test_only_the_topic_is_needed(user: Visitor) -> None:
    required = user.soup("/blog-post").select("main form [required]")
    assert [field["name"] for field in required] == ["p.topic"]

    answer = user.post("/blog-post", {"p.topic": "Bees", "task_name": "For Ada"})

    made = job(answer.headers["Location"].rsplit("/", 1)[1])
    assert made["task_name"] == "For Ada"
    assert {n: made["parameters"][n] for n in ("style", "tone", "target_length", "tags")} == {
        "style": "professional",
        "tone": "professional",
        "target_length": 1000,
        "tags": [],
    }


@pytest.mark.parametrize(
    ("typed", "field", "said"),
    [
        ({}, "topic", "required"),
        ({"p.topic": "Bees", "p.target_length": "many"}, "target_length", "whole number"),
        ({"p.topic": "Bees", "p.target_length": "9"}, "target_length", "minimum"),
    ],
)
def test_what_is_wrong_stands_at_its_field(
    user: Visitor, typed: dict[str, str], field: str, said: str
) -> None:
    answer = user.post("/blog-post", {"task_name": "Keep <me>", **typed})
    page = BeautifulSoup(answer.text, "html.parser")

    assert answer.status_code == 422
    assert said in words(page.select_one(f"#f-{field}-wrong"))
    assert page.select_one("#task_name")["value"] == "Keep <me>"  # type: ignore[index]
    assert db.value("SELECT count(*) FROM jobs") == 0


def test_it_says_beforehand_what_will_come_of_it(
    app: Flask, user: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = user.soup("/blog-post")
    assert "Dry run Strapi is not configured" in words(page.select_one("#publishes"))
    assert "No model" in words(page.select_one("#writer"))

    provider("demo", demo=True, position=None)
    provider("house")
    page = user.soup("/blog-post")
    assert "House with small-1 writes first" in words(page.select_one("#writer"))
    assert "Dry run" in words(page.select_one("#publishes"))

    with_strapi = app.config["CALLBOARD"].model_copy(update={"strapi_url": "http://cms"})
    monkeypatch.setitem(app.config, "CALLBOARD", with_strapi)
    assert "goes to Strapi" in words(user.soup("/blog-post").select_one("#publishes"))
    db.run("UPDATE providers SET enabled = false")
    assert "Dry run No model is there" in words(user.soup("/blog-post").select_one("#publishes"))


def test_without_the_agent_it_says_so(user: Visitor) -> None:
    db.run("DELETE FROM agents WHERE agent_id = %(id)s", id=AGENT)
    registry.forget()

    page = user.soup("/blog-post")

    assert "The content pipeline is not here" in words(page)
    assert page.select("main form") == []
    assert user.post("/blog-post", {"p.topic": "Bees"}).status_code == 409


def test_an_agent_that_is_switched_off_says_so(user: Visitor, admin: Visitor) -> None:
    db.run("UPDATE agents SET enabled = false WHERE agent_id = %(id)s", id=AGENT)
    registry.forget()

    assert "The agent is switched off." in words(user.soup("/blog-post"))
    assert admin.soup("/blog-post").select_one(f".notice a[href='/agents/{AGENT}']") is not None


def test_viewers_cannot_send_one_in(viewer: Visitor) -> None:
    assert viewer.get("/blog-post").status_code == 403
    assert viewer.post("/blog-post", {"p.topic": "Bees"}).status_code == 403


def test_a_topic_can_stand_in_the_address(user: Visitor) -> None:
    topic = user.soup("/blog-post?topic=Bees+%3Cb%3E").select_one("[name='p.topic']")

    assert topic is not None
    assert topic["value"] == "Bees <b>"
