"""The shape of a text: how long, in how many paragraphs, with which headings and lists."""

from __future__ import annotations

from app.quality.definition import Headings, Length, Lists, Structure
from app.quality.report import Finding
from app.quality.subject import Subject
from app.quality.text.sentences import terms

LEAST_WORDS = 300
"""Wanted of a text when nobody said how long it is to be."""
MOST_REPEATED = 0.5
"""A text of which so much was said before says the same over and over, whatever its length."""


def length(spec: Length, subject: Subject) -> Finding:
    """The number of words against what was wanted; passages said again do not count."""
    low, high = _wanted(spec, subject)
    draft = subject.draft
    count = draft.words - draft.repeated_words
    again = f" ({draft.repeated_words:,} more say again what was said)" if draft.repeated_words else ""
    evidence = f"{count:,} words{again}, wanted {_span(low, high)}"
    share = draft.repeated_words / max(1, draft.sample_words)
    if share >= MOST_REPEATED and count >= 0.7 * low:
        advice = f"Cut the {draft.repeated_words:,} words that say again what was said."
        return Finding.of(spec, min(4.0, 10 * (1 - share)), evidence, "Repeats itself", advice)
    if low and count < low:
        ratio = count / low
        issue = "Far too short" if ratio < 0.7 else "Too short"
        return Finding.of(
            spec,
            min(9.9 if share < MOST_REPEATED else min(4.0, 10 * (1 - share)), 10 * ratio**1.5),
            evidence,
            issue,
            f"Add about {low - count:,} words.",
        )
    if high is not None and draft.words > high:
        score = min(9.9, max(2.0, 10 - 10 * (draft.words / max(1, high) - 1)))
        return Finding.of(spec, score, evidence, "Too long", f"Cut about {draft.words - high:,} words.")
    return Finding.of(spec, 10, evidence)


def _wanted(spec: Length, subject: Subject) -> tuple[int, int | None]:
    """The least and the most words; no most without a limit or a target."""
    if spec.target is None and (spec.min_words is not None or spec.max_words is not None):
        return spec.min_words or 0, spec.max_words
    target = spec.target or subject.number("target_length")
    if not target:
        return LEAST_WORDS, None
    return round(target * (1 - spec.tolerance)), round(target * (1 + spec.tolerance))


def _span(low: int, high: int | None) -> str:
    if high is None:
        return f"at least {low}"
    return f"{low}-{high}" if low else f"at most {high}"


def structure(spec: Structure, subject: Subject) -> Finding:
    """Several paragraphs, none a wall of text."""
    draft = subject.draft
    sizes = [len(paragraph.split()) for paragraph in draft.paragraphs]
    walls = [size for size in sizes if size > spec.longest_paragraph]
    evidence = f"{len(sizes)} paragraphs, {len(walls)} over {spec.longest_paragraph} words"
    if len(sizes) < spec.min_paragraphs:
        score = 6 * len(sizes) / spec.min_paragraphs
        return Finding.of(
            spec, score, evidence, "Poor structure", "Break the text into paragraphs of one thought each."
        )
    if walls:
        score = max(2.0, 8 - 8 * sum(walls) / max(1, sum(sizes)))
        advice = f"Split paragraphs over {spec.longest_paragraph} words."
        return Finding.of(spec, score, evidence, "Paragraphs too long", advice)
    return Finding.of(spec, 10, evidence)


def headings(spec: Headings, subject: Subject) -> Finding:
    """A title, a section heading every so many words, and the headings that must be there."""
    draft = subject.draft
    titled = bool(draft.title) or not spec.title
    wanted = min(10.0, draft.words / spec.every) if draft.words > 200 else 0.0
    share = min(1.0, len(draft.sections) / max(1.0, wanted)) if wanted else 1.0
    evidence = f"{'a title' if draft.title else 'no title'}, {len(draft.sections)} sections"
    if missing := _missing(spec, [text for _, text in draft.headings]):
        score = 8 * (1 - len(missing) / len(spec.required))
        return Finding.of(spec, score, evidence, f"Missing sections: {', '.join(missing[:5])}", "Add them.")
    if not titled:
        return Finding.of(spec, 6 * share, evidence, "Missing title", "Open with one top heading (# …).")
    if share < 0.75:
        advice = f"Use about {max(1, round(wanted))} section headings."
        return Finding.of(spec, 4 + 6 * share, evidence, "Too few headings", advice)
    return Finding.of(spec, 10, evidence)


def _missing(spec: Headings, present: list[str]) -> list[str]:
    known = [set(terms(text)) for text in present]
    plain = [text.lower() for text in present]
    return [
        name
        for name in spec.required
        if not any((wanted := set(terms(name))) and wanted <= words for words in known)
        and name.lower() not in plain
    ]


def lists(spec: Lists, subject: Subject) -> Finding:
    """List items, where the text is long enough to need them."""
    draft = subject.draft
    evidence = f"{draft.list_items} list items in {draft.words:,} words"
    if draft.words <= spec.above_words or draft.list_items >= spec.min_items:
        return Finding.of(spec, 10, evidence)
    advice = "Turn steps or options into a list so that they can be skimmed."
    return Finding.of(spec, 5 + 3 * draft.list_items / spec.min_items, evidence, "No lists", advice)
