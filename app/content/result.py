"""The result of the pipeline, with the names that programs before this one knew (CONT-08, CONT-14)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from app.content import texts
from app.content.article import Article
from app.content.brief import Brief

JSON = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of the article in the CMS."""

    published: bool = False
    dry_run: bool = False
    stands: bool = False
    """It was public before, with another text."""
    why: str | None = None
    """Why it was not published, or under which circumstances it was."""
    post_id: str | None = None
    url: str | None = None
    slug: str | None = None

    def headline(self, *, passed: bool) -> JSON:
        """What lists and cards show: {text, url?}."""
        if self.stands:
            text = texts.HEADLINE_STANDS
        elif self.published:
            text = texts.HEADLINE_PUBLISHED if passed else texts.HEADLINE_BELOW
        elif self.dry_run:
            text = texts.HEADLINE_DRY_RUN
        else:
            text = texts.HEADLINE_DRAFT if self.post_id else texts.HEADLINE_REJECTED
        return {"text": text} | ({"url": self.url} if self.url else {})


@dataclass(frozen=True, kw_only=True)
class Made:
    """What the first three stages made: the chosen draft, and how it was come by."""

    article: Article
    model_used: str
    quality: JSON
    """As the gate wrote it: {score, threshold, passed, verdict, issues, feedback …}."""
    validations: list[JSON] = field(default_factory=list)
    """Of every attempt {attempt, score, issues, passed, feedback}."""
    seconds: float = 0.0
    used: JSON = field(default_factory=dict)
    """Tokens and dollars, as far as they are known."""
    facts: JSON = field(default_factory=dict)
    """provider, usage, demo, produced_by: what the result says of its origin besides."""

    @property
    def score(self) -> float | None:
        """0 to 10; None: no check could be made."""
        score = self.quality.get("score")
        return None if score is None else float(score)

    @property
    def passed(self) -> bool:
        """The gate, or a person at it, let it through."""
        return bool(self.quality.get("passed"))

    @property
    def issues(self) -> list[str]:
        """What the gate still complains of."""
        return list(self.quality.get("issues") or ())


def result(brief: Brief, made: Made, outcome: Outcome, *, image: JSON | None, completed_at: str) -> JSON:
    """The result document."""
    attempts = len(made.validations)
    refinements = max(0, attempts - 1)
    return made.facts | {
        "headline": outcome.headline(passed=made.passed),
        "title": made.article.title,
        "content": made.article.content,
        "excerpt": made.article.excerpt,
        "tags": list(made.article.tags),
        "quality_score": made.score,
        "quality_passed": made.passed,
        "quality": made.quality,
        "model_used": made.model_used,
        "published": outcome.published,
        "dry_run": outcome.dry_run,
        "publishing": outcome.why,
        "strapi_post_id": outcome.post_id,
        "strapi_id": outcome.post_id,
        "url": outcome.url,
        "image": image,
        "validation": {
            "attempts": made.validations,
            "final_score": made.score,
            "model": made.model_used,
            "refinements": refinements,
        },
        "validation_results": made.validations,
        "final_quality_score": made.score,
        "generation_attempts": attempts,
        "refinement_attempts": refinements,
        "generation_time_seconds": made.seconds,
        "metadata": {
            "topic": brief.topic,
            "style": brief.style,
            "tone": brief.tone,
            "target_length": brief.target_length,
            "word_count": len(made.article.body.split()),
            "tags": list(made.article.tags),
            "primary_keyword": brief.primary_keyword,
            "target_audience": brief.target_audience,
            "category": brief.category,
            "slug": outcome.slug,
            "seo": {"title": made.article.seo_title, "description": made.article.seo_description},
        },
        "completed_at": completed_at,
    }
