"""The words of the pipeline, as job cards and logs show them (CONT-15, CONT-16)."""

from __future__ import annotations

GENERATING = "Generating content…"
GENERATED = "Content generated ✓"
SEARCHING = "Searching for images…"
IMAGE_FOUND = "Image found ✓"
PUBLISHING = "Publishing to CMS…"
PUBLISHED = "Published to Strapi ✓"
COMPLETE = "Complete!"

HEADLINE_PUBLISHED = "✓ Published"
HEADLINE_DRY_RUN = "Dry run: not published"
HEADLINE_REJECTED = "Rejected: not published"
HEADLINE_DRAFT = "Rejected: kept as a draft"
HEADLINE_STANDS = "✓ Published before, with another text"
STANDS = "the post was in the CMS before; it stays as it is, with another text than this draft"
HEADLINE_BELOW = "✓ Published below the threshold"

NO_IMAGE_KEY = "No image: PEXELS_API_KEY and UNSPLASH_ACCESS_KEY are not set"
NO_IMAGE_NEEDED = "No image: the draft was rejected"
NO_IMAGE = "No image found; going on without one"
OFFLINE = "offline outline, no model"


def generation(number: int, provider: str, model: str) -> str:
    """What is said while a draft is written: `Initial draft generation - Ollama:mistral`."""
    return f"{draft(number)} generation - {provider}:{model.removesuffix(':latest')}"


def generated(number: int, score: float) -> str:
    """What is said of a draft that was judged: `Initial draft generated - score 6.5/10`."""
    return f"{draft(number)} generated - score {score:.1f}/10"


def draft(number: int) -> str:
    """A draft by its number, from 1."""
    return "Initial draft" if number == 1 else f"Refined draft {number - 1}"
