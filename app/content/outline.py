"""A draft without a model: what a brief says, laid out as the skeleton of a post. It says that it is one."""

from __future__ import annotations

from app.content.brief import Brief
from app.quality.text.keywords import keywords

SHARES = (("Where things stand", 0.25), ("What to do about it", 0.4), ("What it takes", 0.2))


def outline(brief: Brief) -> str:
    """Markdown with a title, sections, how long each should be, and what is still to be written."""
    words = brief.target_length
    phrases = [brief.primary_keyword] if brief.primary_keyword else []
    phrases += [found.phrase for found in keywords(brief.topic, 5) if found.phrase not in phrases]
    parts = [
        f"# {brief.topic[:1].upper()}{brief.topic[1:]}",
        f"*Outline, written without a model. {brief.style.capitalize()} style, {brief.tone} tone"
        + (f", for {brief.target_audience}" if brief.target_audience else "")
        + f", about {words:,} words.*",
        f"[to write: an introduction of about {words // 10:,} words that says why {brief.topic} matters]",
    ]
    for heading, share in SHARES:
        parts += [f"## {heading}", f"[to write: about {int(words * share):,} words, with an example]"]
    if phrases:
        parts.append("Words that belong into the text:\n\n" + "\n".join(f"- {phrase}" for phrase in phrases))
    parts += ["## Conclusion", "[to write: what the reader should remember, and what to do next]"]
    return "\n\n".join(parts)
