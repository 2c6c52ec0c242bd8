"""What makes a draft good, one function per quality: (draft, wishes) → Finding, or None if not asked.

Words are matched whole: `start` never counts inside `restarted`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from actors.builtin.text.draft import Draft
from actors.builtin.text.keywords import covers, keywords
from actors.builtin.text.markdown import count
from actors.builtin.text.sentences import terms
from actors.builtin.text.tone import tone_faults, voice_faults

_EXAMPLE = re.compile(
    r"\b(?:for example|for instance|such as|e\.g\.|imagine|suppose|consider (?:a|the|an)|case study|in practice)",
    re.IGNORECASE,
)
_PRACTICAL = re.compile(
    r"`[^`\n]{2,}`|\b(?!(?:19|20)\d\d\b)\d[\d,.]*(?:\s?[%€$£]|\s[a-z]{2,})|[€$£]\s?\d", re.IGNORECASE
)
_CONCLUSION = re.compile(r"\b(?:conclusions?|summary|takeaways?|next steps?|final(?:ly)? thoughts?|wrap(?:ping)? up|in short|"
                         r"in conclusion|to sum up|finally|all in all|the bottom line)\b", re.IGNORECASE)  # fmt: skip
_ACTION = re.compile(
    r"(?:^|[.!?:;,\n(]\s*|\b(?:you can|please|and|now|then|why not|today)\s+)"
    r"(try|start|begin|sign up|subscribe|download|contact|learn more|get started|book|join|read more|"
    r"share|visit|install|write to|tell us|let us know|talk to|pick|choose)\b",
    re.IGNORECASE,
)
"""Something to do, as an order: at the start of a clause, so that a second try is none."""
_STOCK = re.compile(r"\b(?:delve|in today's fast-paced world|ever-evolving|game[- ]changer|unlock the (?:power|potential)|"
                    r"seamless(?:ly)?|leverag(?:e|es|ing) synerg\w+|it is important to note|as an ai|cutting-edge|"
                    r"revolutioni[sz]e\w*|tapestry|lorem ipsum|\[insert|TODO|TBD)", re.IGNORECASE)  # fmt: skip
_LINTED = 40_000
"""Characters the language check reads: enough for any article, and bounded in time."""


@dataclass(frozen=True)
class Wishes:
    """What the person who asked for the text wants of it."""

    topic: str = ""
    target_length: int = 0
    """Words; 0 stands for no wish."""
    tone: str = "professional"
    brand_voice: str = ""


@dataclass(frozen=True)
class Finding:
    """A grade from 0 to 1 with what it rests on; an `issue` where there is something to do."""

    grade: float
    evidence: str
    issue: str | None = None
    suggestion: str | None = None


def length(draft: Draft, wishes: Wishes) -> Finding:
    """The number of words against the wish, or against 300 without one."""
    target = wishes.target_length or 300
    ratio = draft.words / target
    evidence = f"{draft.words:,} words, wished {'for' if wishes.target_length else 'at least'} {target:,}"
    if ratio < 0.9:
        issue = "Far too short" if ratio < 0.7 else "Too short"
        return Finding(
            ratio if ratio >= 0.7 else ratio / 2,
            evidence,
            issue,
            f"Add about {target - draft.words:,} words.",
        )
    if wishes.target_length and ratio > 1.1:
        return Finding(
            max(0.2, 1.6 - 0.5 * ratio), evidence, "Too long", f"Cut about {draft.words - target:,} words."
        )
    return Finding(1.0, evidence)


def structure(draft: Draft, _: Wishes) -> Finding:
    """Several paragraphs, none a wall of text, and a list where the text is long."""
    walls = sum(len(paragraph.split()) > 150 for paragraph in draft.paragraphs)
    evidence = f"{len(draft.paragraphs)} paragraphs, {walls} over 150 words, {draft.list_items} list items"
    if len(draft.paragraphs) < 3:
        return Finding(0.2, evidence, "Poor structure", "Break the text into paragraphs of one thought each.")
    if walls:
        return Finding(
            max(0.2, 1 - walls / 4), evidence, "Paragraphs too long", "Split paragraphs over 150 words."
        )
    if draft.words > 400 and draft.list_items < 2:
        return Finding(
            0.7, evidence, "No lists", "Turn steps or options into a list so that they can be skimmed."
        )
    return Finding(1.0, evidence)


def headings(draft: Draft, _: Wishes) -> Finding:
    """A title, and a section heading every 300 words or so."""
    wanted = max(1, min(8, draft.words // 300)) if draft.words > 200 else 0
    share = min(1.0, len(draft.sections) / wanted) if wanted else 1.0
    evidence = f"{'a title' if draft.title else 'no title'}, {len(draft.sections)} sections"
    if not draft.title:
        return Finding(0.6 * share, evidence, "Missing title", "Open with one top heading (# …).")
    if share < 1:
        return Finding(
            0.4 + 0.6 * share, evidence, "Too few headings", f"Use about {wanted} section headings."
        )
    return Finding(1.0, evidence)


def introduction(draft: Draft, wishes: Wishes) -> Finding:
    """A first paragraph of 20 to 150 words that names the topic."""
    size = len(draft.opening.split())
    evidence = f"opening paragraph of {size} words"
    if not 20 <= size <= 150:
        advice = "Say in 20 to 150 words what the text is about and for whom."
        return Finding(0.4, evidence, "Weak introduction", advice)
    if wishes.topic and not set(terms(wishes.topic)) & set(terms(draft.opening)):
        return Finding(
            0.5, evidence + ", topic not named", "Weak introduction", "Name the topic in the first paragraph."
        )
    return Finding(1.0, evidence)


def examples(draft: Draft, _: Wishes) -> Finding:
    """Examples that are announced, and among them practical ones: code, steps, figures."""
    told = len(_EXAMPLE.findall(draft.prose))
    practical = draft.code_blocks + len(_PRACTICAL.findall(draft.content))
    evidence = f"{count(told, 'example')}, {count(practical, 'practical detail')} (code, figures)"
    if not told and not draft.code_blocks:
        return Finding(
            0.3 if practical else 0.0,
            evidence,
            "Missing examples",
            "Show at least one case: “for example …”.",
        )
    if not practical:
        return Finding(
            0.6,
            evidence,
            "Missing practical examples",
            "Add a figure, a command or a step the reader can repeat.",
        )
    return Finding(1.0, evidence)


def conclusion(draft: Draft, _: Wishes) -> Finding:
    """An end that draws a conclusion and is not broken off."""
    if draft.prose.strip() and draft.prose.rstrip()[-1] not in ".!?…:)\"”'*_`。！？":
        return Finding(
            0.2, "ends in mid-sentence", "Weak conclusion", "Finish the last sentence and conclude."
        )
    heading = bool(draft.sections and _CONCLUSION.search(draft.sections[-1]))
    said = bool(_CONCLUSION.search(draft.closing))
    if heading or said:
        thin = len(draft.closing.split()) < 15
        where = "heading" if heading else "closing words"
        issue = "Weak conclusion" if thin else None
        return Finding(
            0.6 if thin else 1.0,
            f"concludes by its {where}",
            issue,
            "Say more than a sentence." if thin else None,
        )
    return Finding(
        0.25, "no concluding words at the end", "Weak conclusion", "End with what the reader should remember."
    )


def call_to_action(draft: Draft, _: Wishes) -> Finding:
    """Something to do for the reader at the end."""
    verbs = sorted({match.lower() for match in _ACTION.findall(draft.closing)})
    if verbs:
        return Finding(1.0, f"at the end: {', '.join(verbs[:4])}")
    return Finding(0.2, "nothing to do at the end", "Weak call-to-action", "Tell the reader one next step.")


def reading_ease(draft: Draft, wishes: Wishes) -> Finding:
    """Flesch reading ease; technical texts may be harder."""
    measured = draft.readability
    least = 30 if wishes.tone == "technical" else 42
    evidence = (
        f"reading ease {measured.ease} ({measured.label}), {measured.words_per_sentence} words a sentence"
    )
    if measured.words_per_sentence > 26:
        return Finding(0.4, evidence, "Sentences too long", "Aim at under 20 words a sentence on average.")
    if measured.ease < least:
        advice = "Prefer short words and shorter sentences."
        return Finding(max(0.2, measured.ease / least), evidence, "Hard to read", advice)
    return Finding(1.0, evidence)


def tone(draft: Draft, wishes: Wishes) -> Finding:
    """The tone asked for, and the brand voice if there is one."""
    faults = tone_faults(draft, wishes.tone) + voice_faults(draft, wishes.brand_voice)
    evidence = f"{wishes.tone} tone, {len(faults)} deviations"
    if not faults:
        return Finding(1.0, evidence)
    return Finding(max(0.1, 1 - 0.35 * len(faults)), evidence, faults[0], "; ".join(faults[:6]))


def keyword_coverage(draft: Draft, wishes: Wishes) -> Finding | None:
    """The words of the topic in title and text; without a topic not judged."""
    wanted = list(dict.fromkeys(terms(wishes.topic)))[:8]
    if not wanted:
        return None
    present = set(terms(draft.content))
    share = sum(term in present for term in wanted) / len(wanted)
    titled = not draft.title or bool(set(wanted) & set(terms(draft.title)))
    evidence = f"{share:.0%} of the topic's words appear; whole phrase {covers(draft.prose, wishes.topic)}×"
    if share < 0.6:
        found = ", ".join(word.phrase for word in keywords(draft.prose, 3))
        return Finding(
            share / 2, evidence, "Off topic", f"The text is about {found or 'nothing in particular'}."
        )
    if not titled:
        return Finding(
            0.7 * share, evidence, "Topic missing in title", "Use the topic's main word in the title."
        )
    return Finding(share, evidence)


def language(draft: Draft, _: Wishes) -> Finding:
    """Findings of proselint and stock phrases, per thousand words."""
    found = _lint(draft.prose[:_LINTED])
    found += [f"Stock phrase: “{phrase}”" for phrase in dict.fromkeys(_STOCK.findall(draft.prose[:_LINTED]))]
    density = len(found) * 1_000 / max(250, draft.words)
    evidence = f"{len(found)} remarks by proselint and the list of stock phrases"
    if density <= 4:
        return Finding(1.0, evidence, None, "; ".join(found[:3]) or None)
    return Finding(max(0.0, 1 - density / 40), evidence, "Clumsy wording", "; ".join(found[:6]))


def _lint(text: str) -> list[str]:
    """What proselint says, as sentences; typography it cannot know of in markdown is left out."""
    if not text.strip():
        return []
    return [
        result.check_result.message
        for result in _proselint()("draft", text).lint()
        if not result.check_result.check_path.startswith(("typography", "hyperbole"))
    ]


@cache
def _proselint() -> Any:
    """The file class of proselint with its checks registered; imported late because it takes 0.1 s."""
    from proselint.checks import __register__
    from proselint.registry import CheckRegistry
    from proselint.tools import LintFile

    CheckRegistry().register_many(__register__)
    return LintFile
