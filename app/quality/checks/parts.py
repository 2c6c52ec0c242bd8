"""What a text must have: an opening, examples, an end that concludes, and something to do."""

from __future__ import annotations

import re

from app.quality.definition import CallToAction, Conclusion, Examples, Introduction
from app.quality.report import Finding
from app.quality.subject import Subject
from app.quality.text.sentences import phrases_in, terms

_EXAMPLE = re.compile(
    r"\b(?:for example|for instance|such as|e\.g\.|imagine|suppose|consider (?:a|the|an)|case study|in practice|"
    r"take the case|say you|picture (?:a|the|an))",
    re.IGNORECASE,
)
_PRACTICAL = re.compile(
    r"`[^`\n]{2,200}`|\b(?!(?:19|20)\d\d\b)\d[\d,.]{0,20}(?:\s?[%€$£]|\s[a-z]{2,20})|[€$£]\s?\d",
    re.IGNORECASE,
)
_CONCLUSION = re.compile(r"\b(?:conclusions?|summary|takeaways?|next steps?|final(?:ly)? thoughts?|wrap(?:ping)? up|in short|"
                         r"in conclusion|to sum up|finally|all in all|the bottom line|what to remember|"
                         r"the lesson|in the end|the short version)\b", re.IGNORECASE)  # fmt: skip
_ACTION = re.compile(
    r"(?:^|[.!?:;,\n(]\s{0,5}|\b(?:you can|please|and|now|then|why not|today)\s+)"
    r"(try|start|begin|sign up|subscribe|download|contact|learn more|get started|book|join|read more|share|visit|"
    r"install|write to|tell us|let us know|talk to|pick|choose|order (?:now|online|yours|today|a|an|one)|call us|reach out|register|apply|request|"
    r"schedule|check out|follow us|reply|ask (?:us|your)|set aside|write down)\b",
    re.IGNORECASE,
)
"""Something to do, as an order: at the start of a clause, so that a second try is none."""
_LAST_WORDS = 60
"""A paragraph of so many words that calls to action is no part of the conclusion."""


def introduction(spec: Introduction, subject: Subject) -> Finding:
    """A first paragraph of fair size that names the topic."""
    opening = subject.draft.opening
    size = len(opening.split())
    evidence = f"opening paragraph of {size} words"
    if not spec.min_words <= size <= spec.max_words:
        advice = f"Say in {spec.min_words} to {spec.max_words} words what the text is about and for whom."
        return Finding.of(spec, 4, evidence, "Weak introduction", advice)
    topic = set(terms(subject.said("topic")))
    if topic and not topic & set(terms(opening)):
        advice = "Name the topic in the first paragraph."
        return Finding.of(spec, 5, f"{evidence}, topic not named", "Weak introduction", advice)
    return Finding.of(spec, 10, evidence)


def examples(spec: Examples, subject: Subject) -> Finding:
    """Examples that are announced, and among them practical ones: code, steps, figures."""
    draft = subject.draft
    told = len(_EXAMPLE.findall(draft.prose))
    practical = draft.code_blocks + len(_PRACTICAL.findall(draft.sample))
    evidence = f"{_counted(told, 'example')}, {_counted(practical, 'practical detail')} (code, figures)"
    if told + draft.code_blocks < spec.minimum:
        score = 3.0 if practical else 0.0
        score = max(score, 7 * (told + draft.code_blocks) / spec.minimum)
        return Finding.of(
            spec, score, evidence, "Missing examples", "Show at least one case: “for example …”."
        )
    if spec.practical and not practical:
        advice = "Add a figure, a command or a step the reader can repeat."
        return Finding.of(spec, 6, evidence, "Missing practical examples", advice)
    return Finding.of(spec, 10, evidence)


def conclusion(spec: Conclusion, subject: Subject) -> Finding:
    """An end that draws a conclusion and is not broken off."""
    draft = subject.draft
    if draft.broken_off:
        return Finding.of(
            spec, 1, draft.broken_off, "Weak conclusion", "Finish the last sentence and conclude."
        )
    ending = _ending(draft.paragraphs)
    by_heading = bool(draft.sections and _CONCLUSION.search(draft.sections[-1]))
    if by_heading or _CONCLUSION.search(ending):
        evidence = f"concludes by its {'heading' if by_heading else 'closing words'}"
        if len(ending.split()) < spec.min_words:
            return Finding.of(spec, 6, evidence, "Weak conclusion", "Say more than a sentence.")
        return Finding.of(spec, 10, evidence)
    advice = "End with what the reader should remember."
    about = set(terms(draft.title)) or set(terms(draft.opening))
    last = ending.rpartition("\n")[2]
    if len(last.split()) >= spec.min_words and about & set(terms(last)):
        evidence = "no concluding words, but the end comes back to the subject"
        return Finding.of(spec, 6, evidence, "Weak conclusion", advice)
    return Finding.of(spec, 2.5, "no concluding words at the end", "Weak conclusion", advice)


def _ending(paragraphs: list[str]) -> str:
    """The last fifth of the paragraphs, at least two, before whatever they call the reader to do."""
    told = paragraphs
    while (
        len(told) > 1
        and len(told[-1].split()) <= _LAST_WORDS
        and _calls(told[-1])
        and not _CONCLUSION.search(told[-1])
    ):
        told = told[:-1]
    return "\n".join(told[-max(2, len(told) // 5) :] if len(told) > 2 else told[-1:])


def _calls(paragraph: str) -> bool:
    return bool(_ACTION.search(paragraph))


def call_to_action(spec: CallToAction, subject: Subject) -> Finding:
    """Something to do for the reader at the end."""
    closing = subject.draft.closing
    verbs = sorted(
        {match.lower() for match in _ACTION.findall(closing)} | set(phrases_in(closing, spec.also))
    )
    if verbs:
        return Finding.of(spec, 10, f"at the end: {', '.join(verbs[:4])}")
    return Finding.of(
        spec, 2, "nothing to do at the end", "Weak call-to-action", "Tell the reader one next step."
    )


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun if number == 1 else noun + 's'}"
