"""What a post is to be like, read from the parameters of a job, and said to a model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

HANDLING = ("publish_below_threshold", "keep_rejected_as_draft")
"""What is done with a draft: no part of what it says."""


@dataclass(frozen=True, kw_only=True)
class Brief:
    """The wishes for one post (CONT-02)."""

    topic: str
    style: str = "professional"
    tone: str = "professional"
    target_length: int = 1000
    tags: tuple[str, ...] = ()
    primary_keyword: str | None = None
    target_audience: str | None = None
    category: str | None = None
    publish_below_threshold: bool = False
    """Publish the best draft also when the gate rejects it."""
    keep_rejected_as_draft: bool = False
    """Leave a rejected draft in the CMS, unpublished, for somebody to finish."""

    @classmethod
    def of(cls, parameters: dict[str, Any]) -> Self:
        """The brief in a job's parameters, which fit the agent's schema; anything else in them is left alone."""
        given = {
            name: parameters[name] for name in cls.__dataclass_fields__ if parameters.get(name) is not None
        }
        return cls(**given | {"tags": tuple(parameters.get("tags") or ())})

    def prompt(self) -> str:
        """The order for a model."""
        wishes = [
            f"Write a blog post about: {self.topic}",
            f"Length: about {self.target_length:,} words.",
            f"Style: {self.style}. Tone: {self.tone}.",
            self.target_audience and f"Readers: {self.target_audience}.",
            self.primary_keyword
            and f"Keyword, to be used in the title and where it reads naturally: {self.primary_keyword}.",
            self.category and f"Category: {self.category}.",
            self.tags and f"Tags: {', '.join(self.tags)}.",
        ]
        return "\n".join(wish for wish in wishes if wish)

    def prompt_again(self, feedback: dict[str, Any]) -> str:
        """The order for a better draft: the one before, and what was wrong with it.

        `feedback` is {issues, suggestions, feedback, text, comment?}, as quality gates give it.
        """
        issues, advice = listed(feedback.get("issues")), listed(feedback.get("suggestions"))
        comment = feedback.get("comment")
        parts = [
            self.prompt(),
            f"The draft below is not good enough yet. {feedback.get('feedback') or ''}".strip(),
            issues and f"What is wrong with it:\n{issues}",
            advice and f"What would help:\n{advice}",
            comment and f"An editor asks for this:\n{comment}",
            "Answer with the whole post, improved. Keep what is good.",
            f"The draft:\n\n{feedback.get('text') or ''}",
        ]
        return "\n\n".join(part for part in parts if part)


def listed(points: Iterable[object] | None) -> str:
    """Points as a list in markdown."""
    return "\n".join(f"- {point}" for point in points or ())


def key_of(root_job_id: str, parameters: dict[str, Any]) -> str:
    """What a post is known by, so that it is never published twice: the same for every attempt and every retry by hand.

    A job that is run again with other wishes asks for another post, and gets another key.
    """
    wishes = {name: value for name, value in parameters.items() if name not in HANDLING}
    return f"{root_job_id}-{hashlib.sha256(json.dumps(wishes, sort_keys=True).encode()).hexdigest()[:8]}"
