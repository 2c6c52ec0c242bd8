"""Blog posts by the API: written, judged, improved and published; and what people are asked on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from app.approvals.policies import CACHE_SECONDS
from tests.journeys.person import JSON
from tests.journeys.writing import BLOG, GOOD, POOR, STUBBORN, Desk, desk
from tests.waiting import until

REVIEWED = {"gate": "blog-post-reviewed"}
OTHER = GOOD.replace("A night queue is wrong", "I think a night queue is wrong")


@pytest.fixture(scope="module")
def office() -> Iterator[Desk]:
    with desk() as made:
        yield made


def test_a_post_is_ordered_watched_and_published(office: Desk) -> None:
    accepted = office.post("How a night queue cuts the cost of AI agents", tags=["queues"])
    job_id = accepted["job_id"]
    seen = [document for document in office.admin.watch(job_id) if document]

    assert accepted["status_url"] == f"/api/v1/jobs/{job_id}/status"
    last, progress = seen[-1], [document["progress"] for document in seen]
    assert (last["status"], last["progress"], last["verdict"]) == ("completed", 100, "passed")
    assert progress == sorted(progress)
    (post,) = office.in_cms(job_id)
    result = last["result"]
    url = f"{BLOG}/{post['slug']}"
    assert result["headline"] == last["headline"] == {"text": "✓ Published", "url": url}
    assert (result["published"], result["dry_run"], result["strapi_post_id"]) == (
        True,
        False,
        post["documentId"],
    )
    assert (post["title"], post["tags"]) == ("How a night queue cuts the cost of AI agents", ["queues"])
    assert post["content"] == GOOD.partition("\n\n")[2].strip()
    scores = [each["score"] for each in result["validation"]["attempts"]]
    assert len(scores) == 2
    assert scores[0] < 7 <= scores[1] == last["quality_score"]
    said = [line["message"] for line in office.admin.story(job_id, "logs")]
    assert [line for line in said if line in ("Content generated ✓", "Published to Strapi ✓")] == [
        "Content generated ✓",
        "Published to Strapi ✓",
    ]


def test_the_template_of_a_blog_post_publishes_it_and_cuts_it_into_posts(office: Desk) -> None:
    inputs = {
        "topic": "How a night queue cuts the cost of AI agents",
        "target_length": 260,
        "platform": "mastodon",
    }
    run = office.admin.post("/api/v1/workflow-templates/blog-publish/run", {"inputs": inputs}, 201)

    def ended() -> JSON | None:
        shown = office.admin.get(f"/api/v1/workflows/{run['workflow_id']}")
        assert shown["status"] in ("running", "completed"), shown["error"]
        return shown if shown["status"] == "completed" else None

    done = until(ended, 60)

    output = done["output"]
    (post,) = office.in_cms(next(step["job_id"] for step in done["steps"] if step["step_id"] == "post"))
    assert (output["published"], output["dry_run"]) == (True, False)
    assert output["url"] == f"{BLOG}/{post['slug']}"
    assert output["score"] >= 7
    assert output["url"] in str(output["posts"])


def test_an_editor_asks_back_and_approves_the_next_draft_which_is_published(office: Desk) -> None:
    job_id = office.admin.submit("blog-post", wishes(f"A {STUBBORN} night queue"), **REVIEWED)
    question = office.question(job_id)
    waits = office.admin.status(job_id)
    asked = len(office.model.asked)

    assert (question["kind"], question["job_id"]) == ("gate", job_id)
    assert question["shown"]["draft"]["text"].startswith(POOR[:20])
    assert question["shown"]["quality"]["issues"]
    assert set(question["options"]) == {"approve", "reject", "edit", "ask_back"}
    assert not waits["poll"]["terminal"]
    assert waits["poll"]["next_after_ms"] > 0
    assert office.in_cms(job_id) == []

    settled = office.answer(question, "ask_back", comment="Name figures, please.")
    another = until(lambda: following(office, question), 30)
    office.answer(another, "approve")
    ended = office.admin.reaches(job_id, "completed")

    assert (settled["status"], settled["comment"]) == ("sent_back", "Name figures, please.")
    assert len(office.model.asked) == asked + 1
    assert "Name figures, please." in str(office.model.asked[-1])
    assert another["draft_number"] == question["draft_number"] + 1
    (post,) = office.in_cms(job_id)
    assert post["content"] == GOOD.partition("\n\n")[2].strip()
    assert (ended["verdict"], ended["attempt"]) == ("passed", 3)
    office.admin.post(f"/api/v1/approvals/{question['approval_id']}/answer", {"decision": "approve"}, 409)


def test_what_an_editor_wrote_is_what_is_published(office: Desk) -> None:
    job_id = office.admin.submit("blog-post", wishes(f"Another {STUBBORN} night queue"), **REVIEWED)
    question = office.question(job_id)
    asked = len(office.model.asked)

    office.answer(question, "edit", edited=OTHER)
    ended = office.admin.reaches(job_id, "completed")

    (post,) = office.in_cms(job_id)
    assert "I think a night queue is wrong" in post["content"]
    assert post["title"] == "How a night queue cuts the cost of AI agents"
    assert (ended["verdict"], ended["result"]["quality_passed"]) == ("passed", True)
    assert len(office.model.asked) == asked, "no model is asked for what a person wrote"


def following(office: Desk, question: JSON) -> JSON | None:
    """The question that the same job asks after this one."""
    asked = office.admin.get("/api/v1/approvals", job_id=question["job_id"])["approvals"]
    return next((each for each in asked if each["approval_id"] != question["approval_id"]), None)


@pytest.fixture
def guarded(office: Desk) -> Iterator[Desk]:
    """Whatever publishes is asked about."""
    policy = {"name": "Whatever publishes", "effects": ["publish"], "approvers": ["admin"]}
    made = office.admin.post("/api/v1/approval-policies", policy, 201)
    minded = time.monotonic() + CACHE_SECONDS
    until(lambda: time.monotonic() > minded, CACHE_SECONDS + 1)
    yield office
    office.admin.call("DELETE", f"/api/v1/approval-policies/{made['policy_id']}", 204)


def test_a_policy_has_people_asked_before_anything_is_published(guarded: Desk) -> None:
    jobs = [guarded.post(f"A night queue, part {part}")["job_id"] for part in ("one", "two")]
    questions = [guarded.question(job_id) for job_id in jobs]

    assert [question["kind"] for question in questions] == ["policy", "policy"]
    assert questions[0]["shown"]["what"]["title"] == "How a night queue cuts the cost of AI agents"
    assert [guarded.in_cms(job_id) for job_id in jobs] == [[], []]
    asked = len(guarded.model.asked)
    guarded.answer(questions[0], "approve")
    guarded.answer(questions[1], "reject", comment="Not this week.")
    yes, no = guarded.admin.reaches(jobs[0], "completed"), guarded.admin.reaches(jobs[1], "failed")

    assert len(guarded.in_cms(jobs[0])) == 1
    assert yes["headline"]["text"] == "✓ Published"
    assert guarded.in_cms(jobs[1]) == []
    assert "Not this week." in no["error"]["message"]
    assert len(guarded.model.asked) == asked, "what was written is not written again"


def wishes(topic: str) -> dict[str, object]:
    """The parameters of a post."""
    return {"topic": topic, "target_length": 260, "primary_keyword": "night queue"}
