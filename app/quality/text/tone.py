"""Tone and brand voice by visible signs: contractions, exclamations, slang, words asked for or banned."""

from __future__ import annotations

import re

from app.quality.text.draft import MEASURED, Draft
from app.quality.text.keywords import occurrences

TONES = ("professional", "casual", "technical")
_PHRASES = 40
_CONTRACTION = re.compile(r"\b\w+['’](?:s|t|re|ll|ve|d|m)\b", re.IGNORECASE)
_SLANG = re.compile(
    r"\b(?:gonna|wanna|awesome|super cool|kinda|stuff|tons of|guys|yeah|lol|crazy)\b", re.IGNORECASE
)
_SHOUT = re.compile(r"!|\b[A-Z]{5,}\b")
_READER = re.compile(r"\b(?:you|your|we|our|us|let's)\b", re.IGNORECASE)
_QUOTED = re.compile(r"[\"“']([^\"”']{2,40})[\"”']")
_BANS = re.compile(r"\b(?:avoid|never|no|not|don't|without|ban(?:ned)?)\b", re.IGNORECASE)


def tone_faults(draft: Draft, tone: str) -> list[str]:
    """What in the draft does not fit the tone asked for, as sentences."""
    share = 1_000 / max(1, draft.sample_words)
    text = draft.sample
    slang = sorted({match.lower() for match in _SLANG.findall(text)})
    shouts = len(_SHOUT.findall(text)) * share if tone != "technical" else 2.0 * text.count("!") * share
    faults = [f"Too casual: {', '.join(slang[:5])}"] if slang and tone != "casual" else []
    if shouts > (12 if tone == "casual" else 4):
        faults.append("Too many exclamation marks or capitals")
    if (
        tone == "casual"
        and draft.words > 80
        and len(_CONTRACTION.findall(text)) + len(_READER.findall(text)) < 3
    ):
        faults.append("Too stiff for a casual tone: speak to the reader")
    if (
        tone == "technical"
        and draft.words > 150
        and not draft.code_blocks
        and not re.search(r"`[^`\n]+`|\d", draft.content[:MEASURED])
    ):
        faults.append("Too vague for a technical tone: show figures, names or code")
    return faults


def voice_faults(draft: Draft, voice: str) -> list[str]:
    """Where the draft breaks the brand voice: banned words used, quoted wording never used."""
    faults: list[str] = []
    for clause in re.split(r"[.;\n]|, (?=avoid|never|no |use |say )", voice[:2000])[:_PHRASES]:
        banned = bool(_BANS.search(clause))
        for phrase in (_QUOTED.findall(clause) or _unquoted(clause))[:_PHRASES]:
            used = occurrences(draft.terms, phrase)
            if banned and used:
                faults.append(f"Brand voice: “{phrase}” is used {used}×")
            elif not banned and not used and phrase in _QUOTED.findall(clause):
                faults.append(f"Brand voice: “{phrase}” never appears")
    return faults


def tone_of_voice(voice: str) -> str | None:
    """The tone a brand voice asks for in plain words, if it names one."""
    said = voice.lower()
    signs = {
        "casual": r"casual|friendly|warm|playful|informal|conversational",
        "technical": r"technical|precise|engineer|developer",
        "professional": r"professional|formal|corporate|serious|authoritative",
    }
    return next((tone for tone, pattern in signs.items() if re.search(rf"\b(?:{pattern})", said)), None)


def _unquoted(clause: str) -> list[str]:
    """The words after `avoid` or `never say`, taken as banned phrases where nothing is quoted."""
    match = re.search(r"\b(?:avoid|never (?:say|use|write))\s+(.{2,200})", clause, re.IGNORECASE)
    return (
        [part.strip(" :") for part in re.split(r",| or | and ", match.group(1)) if part.strip(" :")]
        if match
        else []
    )
