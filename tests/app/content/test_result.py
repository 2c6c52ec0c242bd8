"""What lists show of a post, by what became of it."""

from __future__ import annotations

import pytest

from app.content.article import Article
from app.content.brief import Brief
from app.content.result import Made, Outcome, result

BRIEF = Brief(topic="Queues", category="Operations")
ARTICLE = Article.read("# Queues\n\nOne two three four five six.", BRIEF)


@pytest.mark.parametrize(
    ("outcome", "passed", "text"),
    [
        (Outcome(published=True, post_id="1", url="https://b.test/q"), True, "✓ Published"),
        (
            Outcome(published=True, post_id="1", url="https://b.test/q"),
            False,
            "✓ Published below the threshold",
        ),
        (
            Outcome(published=True, stands=True, post_id="1", url="https://b.test/q"),
            True,
            "✓ Published before, with another text",
        ),
        (Outcome(dry_run=True), True, "Dry run: not published"),
        (Outcome(dry_run=True), False, "Dry run: not published"),
        (Outcome(post_id="1"), False, "Rejected: kept as a draft"),
        (Outcome(), False, "Rejected: not published"),
    ],
)
def test_only_what_is_public_is_called_published(outcome: Outcome, passed: bool, text: str) -> None:
    headline = outcome.headline(passed=passed)
    assert headline["text"] == text
    assert ("url" in headline) == outcome.published


def test_the_words_are_counted_without_the_title() -> None:
    made = Made(article=ARTICLE, model_used="m", quality={"score": 8.0, "passed": True, "issues": []})
    document = result(BRIEF, made, Outcome(dry_run=True), image=None, completed_at="2026-01-01T00:00:00Z")
    assert document["metadata"]["word_count"] == 6
    assert document["metadata"]["category"] == "Operations"
    assert document["generation_attempts"] == document["refinement_attempts"] == 0


def test_a_draft_that_no_check_could_judge_has_no_score() -> None:
    made = Made(article=ARTICLE, model_used="m", quality={"score": None, "passed": False})
    document = result(BRIEF, made, Outcome(dry_run=True), image=None, completed_at="2026-01-01T00:00:00Z")
    assert document["quality_score"] is document["final_quality_score"] is None, (
        "which is not the lowest score"
    )
    assert made.issues == []
