"""What a post is to be like, and what tells it from others."""

from __future__ import annotations

import pytest

from app.content.brief import Brief, key_of

ROOT = "01a20000-0000-7000-8000-000000000001"


def test_what_a_job_does_not_say_is_as_documented() -> None:
    brief = Brief.of({"topic": "Queues"})
    assert (brief.style, brief.tone, brief.target_length, brief.tags) == (
        "professional",
        "professional",
        1000,
        (),
    )
    assert not brief.publish_below_threshold
    assert not brief.keep_rejected_as_draft


def test_other_parameters_and_nothing_given_are_no_matter() -> None:
    assert Brief.of({"topic": "Queues", "task_name": "x", "category": None}) == Brief(topic="Queues")


def test_every_wish_is_said_to_the_model() -> None:
    brief = Brief(
        topic="Night queues", style="tutorial", tone="casual", target_length=1500, tags=("a", "b"),
        primary_keyword="queue", target_audience="small teams", category="Operations",
    )  # fmt: skip
    told = brief.prompt()
    for word in ("Night queues", "tutorial", "casual", "1,500", "a, b", "queue", "small teams", "Operations"):
        assert word in told


def test_a_wish_that_is_not_there_leaves_no_line() -> None:
    assert "None" not in Brief(topic="Night queues").prompt()
    assert len(Brief(topic="Night queues").prompt().splitlines()) == 3


def test_the_next_draft_is_told_what_was_wrong_and_what_a_person_said() -> None:
    told = Brief(topic="Queues").prompt_again(
        {
            "issues": ["Missing examples"],
            "suggestions": ["examples: add one"],
            "feedback": "✗ Content needs improvement (6.5/10, threshold: 7.0)",
            "text": "# Queues\n\nThe draft before.",
            "comment": "Less about me.",
        }
    )
    for word in (
        "- Missing examples",
        "- examples: add one",
        "6.5/10",
        "The draft before.",
        "Less about me.",
    ):
        assert word in told


@pytest.mark.parametrize("other", [{"topic": "Days"}, {"topic": "Nights", "tone": "casual"}])
def test_other_wishes_are_another_post(other: dict[str, str]) -> None:
    assert key_of(ROOT, {"topic": "Nights"}) != key_of(ROOT, other)


def test_the_key_is_the_same_however_the_wishes_are_written_down_and_whatever_is_done_with_a_draft() -> None:
    one = key_of(ROOT, {"topic": "Nights", "tone": "casual"})
    assert one == key_of(ROOT, {"tone": "casual", "topic": "Nights", "publish_below_threshold": True})
    assert one.startswith(ROOT)
    assert len(one) < 255
