"""How a text is worded: tone, reading ease, key phrases, stock phrases, and what proselint remarks on."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any

from app.quality.definition import Keywords, Readability, StockPhrases, Tone, Wording
from app.quality.report import Finding
from app.quality.subject import Subject
from app.quality.text import keywords as phrases
from app.quality.text.draft import Draft
from app.quality.text.sentences import phrases_in, terms
from app.quality.text.tone import tone_faults, voice_faults

_STOCK = re.compile(
    r"\b(?:delv(?:e|es|ing) (?:in|deep)\w*|in today's (?:fast-paced|digital|ever-changing|modern) (?:world|age|landscape)|"
    r"ever-(?:evolving|changing)|game[- ]chang(?:er|ing)|unlock(?:s|ing)? the (?:full |true )?(?:power|potential|secrets?)|"
    r"seamless(?:ly)?|leverag(?:e|es|ing) (?:the power|synerg\w+|cutting)|it is (?:important|worth) (?:to note|noting)|"
    r"it's (?:important|worth) (?:to note|noting)|cutting-edge|revolutioni[sz]e\w*|tapestry|treasure trove|"
    r"needless to say|at the end of the day|when it comes to|in the realm of|look no further|embark on|"
    r"navigat(?:e|ing) the (?:complex\w*|landscape|world)|a testament to|take your \w+ to the next level|"
    r"in this (?:article|blog post|post),? we will|whether you're a \w+ or|the possibilities are endless|"
    r"harness(?:ing)? the power|elevate your|buckle up|dive (?:in|deep)|robust and scalable|"
    r"click here|buy now|act now|limited(?:[- ]time)? offer|100% free|no risk|risk[- ]free|make money|win money|"
    r"one thing is (?:clear|certain)|without further ado|plays? an? (?:crucial|vital|pivotal) role)",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"lorem ipsum|\[(?:insert|your|company|name|add|link|placeholder|todo|tbd|image|date|topic|product|client)\b"
    r"[^\]\n]{0,80}\]|<(?:insert|your)\b[^>\n]{0,80}>|\bTODO:|\bTBD\b|\bXXX+\b",
    re.IGNORECASE,
)
_CHAT = re.compile(
    r"\bas an ai\b|\bas a (?:large )?language model|\b(?:certainly|sure|of course)[!,.] here(?:'s| is| are)|"
    r"\bi hope this helps|\blet me know if you (?:need|want|would like)|\bi (?:cannot|can't|am unable to) "
    r"(?:fulfil\w*|assist|help with|provide|browse)|\bmy (?:knowledge cutoff|training data)|"
    r"\bhere(?:'s| is) (?:a|the|your) (?:blog post|article|draft|revised)",
    re.IGNORECASE,
)
_LINTED = 40_000
"""Characters the language check reads: enough for any article, and bounded in time."""
_WORDS_OF_TOPIC = 8


def tone(spec: Tone, subject: Subject) -> Finding:
    """The tone asked for, and the brand voice if there is one."""
    wanted = spec.tone or subject.tone
    draft = subject.draft
    faults = tone_faults(draft, wanted) + voice_faults(draft, spec.voice or subject.said("brand_voice"))
    evidence = f"{wanted} tone, {len(faults)} deviations"
    if not faults:
        return Finding.of(spec, 10, evidence)
    return Finding.of(spec, max(1.0, 10 - 3.5 * len(faults)), evidence, faults[0], "; ".join(faults[:6]))


def readability(spec: Readability, subject: Subject) -> Finding:
    """Reading ease, grade and the length of sentences; technical texts may be harder."""
    measured = subject.draft.readability
    least = spec.min_ease if spec.min_ease is not None else 30 if subject.tone == "technical" else 42
    evidence = (
        f"reading ease {measured.ease} ({measured.label}), grade {measured.grade}, "
        f"{measured.words_per_sentence} words a sentence"
    )
    if (over := measured.words_per_sentence - spec.max_sentence_words) > 0:
        advice = f"Aim at under {spec.max_sentence_words - 6} words a sentence on average."
        return Finding.of(spec, max(1.0, 5 - 0.2 * over), evidence, "Sentences too long", advice)
    if measured.ease < least or (spec.max_grade is not None and measured.grade > spec.max_grade):
        score = (
            10 * measured.ease / least if measured.ease < least else _beyond(measured.grade, spec.max_grade)
        )
        return Finding.of(
            spec, min(score, 8.0), evidence, "Hard to read", "Prefer short words and shorter sentences."
        )
    if _too_simple(spec, measured.ease, measured.grade):
        return Finding.of(
            spec, 6, evidence, "Too simple", "Join short sentences, and use the words of the trade."
        )
    return Finding.of(spec, 10, evidence)


def _beyond(grade: float, most: float | None) -> float:
    return 8.0 if most is None else max(1.0, 8 - (grade - most))


def _too_simple(spec: Readability, ease: float, grade: float) -> bool:
    return (spec.max_ease is not None and ease > spec.max_ease) or (
        spec.min_grade is not None and grade < spec.min_grade
    )


def keywords(spec: Keywords, subject: Subject) -> Finding:
    """The words of the topic and the key phrases: in the text, in the title, and not stuffed."""
    topic = list(dict.fromkeys(terms(subject.said("topic"))))[:_WORDS_OF_TOPIC]
    wanted = list(dict.fromkeys([*spec.phrases, *_key_phrases(subject)]))
    if not topic and not wanted:
        return Finding.not_judged(spec, "not judged: no topic and no key phrase was given")
    draft = subject.draft
    uses = {phrase: phrases.occurrences(draft.terms, phrase) for phrase in wanted}
    present = set(draft.terms) | set(terms(draft.title))
    hits = [term in present for term in topic] + [bool(uses[phrase]) for phrase in wanted]
    share = sum(hits) / len(hits)
    evidence = f"{share:.0%} of what was wanted appears"
    if stuffed := _stuffed(spec, draft, subject.said("topic"), uses):
        phrase, density = stuffed
        advice = f"“{phrase}” makes {density:.0%} of the words; use it less often."
        score = max(0.0, 6 * spec.max_density / density)
        return Finding.of(spec, score, evidence, "Keyword stuffing", advice)
    if share < spec.min_share:
        found = ", ".join(word.phrase for word in phrases.keywords(draft.sample, 3))
        advice = f"The text is about {found or 'nothing in particular'}."
        return Finding.of(spec, 5 * share, evidence, "Off topic", advice)
    named = set(topic) | {term for phrase in wanted for term in terms(phrase)}
    if spec.title and draft.title and not named & set(terms(draft.title)):
        advice = "Use the topic's main word in the title."
        return Finding.of(spec, 7 * share, evidence, "Topic missing in title", advice)
    if missing := [phrase for phrase in wanted if not uses[phrase]]:
        return Finding.of(spec, 10 * share, evidence, "Missing key phrases", f"Use {', '.join(missing[:5])}.")
    if not present.issuperset(topic):
        missing = [word for word in subject.said("topic").split() if not present.issuperset(terms(word))]
        advice = f"Say something of {', '.join(missing[:5])}."
        return Finding.of(spec, 10 * share, evidence, "Missing words of the topic", advice)
    return Finding.of(spec, 10, evidence)


def _key_phrases(subject: Subject) -> list[str]:
    primary = subject.said("primary_keyword")
    return [*([primary[:200]] if primary else []), *subject.listed("keywords")]


def _stuffed(spec: Keywords, draft: Draft, topic: str, uses: dict[str, int]) -> tuple[str, float] | None:
    """The phrase that makes too much of the text, with its share of the words; single words may return more often."""
    if draft.sample_words < 100:
        return None
    counts = uses | ({topic: phrases.occurrences(draft.terms, topic)} if topic else {})
    for phrase, count in counts.items():
        size = len(terms(phrase))
        density = count * size / draft.sample_words
        if density > spec.max_density * (1 if size > 1 else 1.5):
            return phrase, density
    return None


def stock_phrases(spec: StockPhrases, subject: Subject) -> Finding:
    """Placeholders, leftovers of a chat, a broken end, and more stock phrases than anybody would write."""
    draft = subject.draft
    text = draft.prose[: len(draft.sample)] + "\n" + "\n".join(heading for _, heading in draft.headings)
    if left := _first(_PLACEHOLDER, text):
        return Finding.of(
            spec, 0, f"placeholder: {left}", "Placeholder left in", "Fill it in, or leave it out."
        )
    if left := _first(_CHAT, text):
        return Finding.of(
            spec, 0, f"says “{left}”", "Speaks as a chatbot", "Leave out what is said to whoever asked."
        )
    if spec.truncated and draft.broken_off and draft.has_stops:
        return Finding.of(spec, 1, f"the text {draft.broken_off}", "Broken off", "Finish the text.")
    found = _stock(spec, text) if draft.language.is_english else phrases_in(text, spec.also)
    density = len(found) * 1000 / max(250, draft.sample_words)
    evidence = f"{len(found)} stock phrases"
    if density <= spec.per_thousand:
        return Finding.of(spec, 10, evidence)
    shown = "; ".join(f"“{phrase}”" for phrase in list(dict.fromkeys(found))[:8])
    return Finding.of(
        spec, max(0.0, 8 - 0.4 * (density - spec.per_thousand)), evidence, "Stock phrases", shown
    )


def _stock(spec: StockPhrases, text: str) -> list[str]:
    plain = text.replace("’", "'")
    found = [match.lower() for match in _STOCK.findall(plain)] + phrases_in(plain, spec.also)
    allowed = {phrase.lower() for phrase in spec.allow}
    return [phrase for phrase in found if phrase not in allowed]


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text.replace("’", "'"))
    return " ".join(match.group().split())[:80] if match else None


def wording(spec: Wording, subject: Subject) -> Finding:
    """What proselint remarks on, per thousand words."""
    draft = subject.draft
    found = _lint(draft.prose[:_LINTED])
    density = len(found) * 1000 / max(250, draft.sample_words)
    evidence = f"{len(found)} remarks by proselint"
    if density <= spec.per_thousand:
        return Finding.of(spec, 10, evidence, None, "; ".join(found[:3]) or None)
    score = max(0.0, 8 - 0.25 * (density - spec.per_thousand))
    return Finding.of(spec, score, evidence, "Clumsy wording", "; ".join(found[:6]))


@lru_cache(maxsize=4)
def _lint(text: str) -> tuple[str, ...]:
    """What proselint says, as sentences; typography it cannot know of in markdown is left out."""
    if not text.strip():
        return ()
    return tuple(
        result.check_result.message
        for result in _proselint()("draft", text).lint()
        if not result.check_result.check_path.startswith(("typography", "hyperbole"))
    )


@cache
def _proselint() -> Any:
    """The file class of proselint with its checks registered; imported late because it takes 0.1 s."""
    from proselint.checks import __register__
    from proselint.registry import CheckRegistry
    from proselint.tools import LintFile

    CheckRegistry().register_many(__register__)
    return LintFile
