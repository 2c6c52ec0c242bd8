"""A deck of slides from a markdown outline, or from a text by taking the sentences that say most."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from actors.builtin.text.digest import digest
from actors.builtin.text.sources import from_text
from app.quality.text.draft import Draft
from app.quality.text.keywords import keywords
from app.quality.text.sentences import clean, one_line, paragraphs, plain, sentences, stem, terms

_HEADING = re.compile(r"^[ \t]{0,3}(#{1,6})[ \t]+(.+?)[ \t#]*$")
_BULLET = re.compile(r"^([ \t]*)(?:[-*+•]|\d{1,3}[.)])[ \t]+(\S.*)$")
_NOTE = re.compile(r"^[ \t]*(?:notes?:|>)[ \t]*(.*)$", re.IGNORECASE)
_FENCE = re.compile(r"^(```|~~~)")
BULLETS_ON_A_SLIDE = 6
BULLET_CHARACTERS = 160


@dataclass(kw_only=True)
class Slide:
    """One slide: bullets with their level (0 or 1), and what to say with it."""

    title: str
    bullets: list[tuple[int, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Deck:
    """A title and its slides; `way` says how they were made."""

    title: str
    slides: list[Slide]
    way: str


def deck(topic: str, content: str, wanted: int, step: Callable[[], None]) -> Deck:
    """Slides from an outline where the content has one, else from its sentences; at most `wanted`."""
    text = clean(content)
    draft = Draft(text)
    title = one_line(topic or draft.title or "Presentation", 120)
    if draft.sections or draft.list_items >= 3:
        slides = outlined(text, title)
        way = "outline"
    else:
        slides = digested(text, title, wanted, step)
        way = "sentences"
    return Deck(title=title, slides=_fitted(slides, wanted), way=way)


def outlined(text: str, title: str) -> list[Slide]:
    """A slide for each heading; lists become bullets, quotations and `Note:` lines notes, prose is cut short."""
    slides: list[Slide] = []
    prose: list[str] = []
    fenced = False
    for line in [*text.split("\n"), ""]:
        fenced ^= bool(_FENCE.match(line))
        heading, bullet, note = _HEADING.match(line), _BULLET.match(line), _NOTE.match(line)
        if fenced or _FENCE.match(line):
            continue
        if (heading or bullet or not line.strip()) and prose:
            _add_prose(_current(slides, title), " ".join(prose))
            prose = []
        if heading:
            if heading[2].strip() != title or slides:
                slides.append(Slide(title=_short(heading[2])))
        elif bullet:
            _add_bullet(_current(slides, title), bullet[1], bullet[2])
        elif note:
            _current(slides, title).notes += [one_line(note[1], 1000)] if note[1] else []
        elif line.strip():
            prose.append(line.strip())
    return [slide for slide in slides if slide.bullets or slide.notes]


def digested(text: str, title: str, wanted: int, step: Callable[[], None]) -> list[Slide]:
    """The weightiest sentences, gathered under the keywords they share; the paragraphs are the notes."""
    source = from_text(text, "content")
    passages = digest([source], terms(title), max(4, min(60, wanted * 3)), step=step)
    groups: dict[str, Slide] = {}
    phrases = [word.phrase for word in keywords(source.text, max(wanted, 6))]
    whole = paragraphs(source.text)
    for passage in passages:
        shared = next((p for p in phrases if {stem(w) for w in p.split()} <= passage.terms), "")
        name = shared[:1].upper() + shared[1:] if shared else "Further points"
        slide = groups.setdefault(name, Slide(title=name))
        slide.bullets.append((0, _short(passage.text)))
        around = next((part for part in whole if passage.text in part), "")
        if around and around not in slide.notes:
            slide.notes.append(one_line(around, 1000))
    return list(groups.values())


def _current(slides: list[Slide], title: str) -> Slide:
    if not slides:
        slides.append(Slide(title=title))
    return slides[-1]


def _add_bullet(slide: Slide, indent: str, text: str) -> None:
    """A bullet, its whole text among the notes where it had to be cut."""
    words = one_line(plain(text), 1000)
    slide.bullets.append((1 if len(indent.expandtabs(4)) >= 2 else 0, _short(words)))
    if len(words) > BULLET_CHARACTERS:
        slide.notes.append(words)


def _add_prose(slide: Slide, text: str) -> None:
    """The first sentence of a paragraph as a bullet, the whole as a note."""
    prose = one_line(plain(text), 2000)
    first = next(iter(sentences(prose)), "")
    if first:
        slide.bullets.append((0, _short(first)))
        if first != prose:
            slide.notes.append(prose)


def _short(text: str) -> str:
    return one_line(plain(text), BULLET_CHARACTERS)


def _fitted(slides: list[Slide], wanted: int) -> list[Slide]:
    """Full slides are continued on another; what comes after the last wanted one goes into its notes."""
    found: list[Slide] = []
    for slide in slides:
        parts = [
            slide.bullets[at : at + BULLETS_ON_A_SLIDE]
            for at in range(0, len(slide.bullets), BULLETS_ON_A_SLIDE)
        ] or [[]]
        for number, part in enumerate(parts):
            title = slide.title if not number else one_line(f"{slide.title} (continued)", BULLET_CHARACTERS)
            found.append(Slide(title=title, bullets=part, notes=slide.notes if not number else []))
    kept, left = found[:wanted], found[wanted:]
    if left and kept:
        kept[-1].notes += [f"Left out: {slide.title}" for slide in left]
    return kept
