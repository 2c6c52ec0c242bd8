"""What is worth remembering of a conversation: names, preferences, dates, facts, decisions. Pure, without a model.

Each finding has a key that says what it is about and not what it says, so that what is said later takes the place of
what was said before.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from app.db import Row
from app.quality.text.sentences import STOPWORDS, one_line, terms, words
from app.sessions import said
from app.sessions.said import Sentence

MOST_FOUND = 200
LONGEST_KEY = 80
SAME: Final = 0.8
"""The share of common words from which two contents are the same thing said twice."""
_I = re.IGNORECASE


@dataclass(frozen=True)
class Fact:
    """A memory that is to be kept."""

    key: str
    content: str
    type: str
    tags: tuple[str, ...]
    importance: int
    place: int


# What nobody wants to find in a memory.
_SECRET = re.compile(
    r"\b(?:passwor[dt]s?|passphrase|pin(?:code)?|api[- ]?keys?|token|secret key|cvv|kennwort|tan)\b", _I
)

_END = r"(?=[.,;!]|\s+(?:and|but|because|so|und|aber|weil)\b|$)"
_THING = r"(?P<thing>(?:[\w'’/-]+\s+){0,3}?[\w'’/-]+?)"
_VALUE = r"(?P<value>[^.;!?]{1,160}?)"
_ANYMORE = r"(?:\s+(?:any ?more|no longer|nicht mehr))?"

_REMEMBER = re.compile(
    r"^(?:please\s+|bitte\s+)?(?:remember|keep in mind|note|don['’]t forget|for the record|merk(?:e)? dir|merken wir uns|"
    r"denk daran|vergiss nicht|notier\w*)(?:\s+bitte)?[,:]?\s*(?:that\s+|dass\s+)?(?P<value>\S.{3,})$",
    _I,
)
_CALLED = re.compile(
    r"\b(?:my name is|call me|ich hei(?:ß|ss)e|mein name ist|nenn(?:t)? mich)\s+(?P<value>[^\W\d_][\w'’-]*(?:\s+(?-i:[A-ZÄÖÜ])[\w'’-]*)?)",
    _I,
)
_RELATIVE = re.compile(
    r"\b(?:my|meine?)\s+(?P<thing>wife|husband|partner|son|daughter|mother|father|brother|sister|boss|manager|colleague|"
    r"assistant|doctor|lawyer|dog|cat|frau|mann|sohn|tochter|mutter|vater|bruder|schwester|chefin?|kolleg(?:e|in)|ärztin|arzt|"
    r"hund|katze)(?:['’]s name)?\s+(?:is|is called|is named|heißt|ist)\s+(?:called\s+|named\s+)?(?P<value>(?-i:[A-ZÄÖÜ])[\w'’-]+(?:\s+(?-i:[A-ZÄÖÜ])[\w'’-]+)?)",
    _I,
)
_ROLE = re.compile(
    r"^(?P<value>[A-ZÄÖÜ][\w'’-]+(?:\s+[A-ZÄÖÜ][\w'’-]+)?)\s+(?:is|ist)\s+(?:our|the|my|unsere?|die|der)\s+(?:new\s+|neue\s+)?"
    r"(?P<thing>[\w-]*(?:\s[\w-]+)?(?:manager|lead|owner|designer|engineer|developer|contact|director|leiterin|leiter|"
    r"chefin|chef|ansprechpartnerin|ansprechpartner|entwicklerin|entwickler|head of \w+))\b"
)
_FAVOURITE = re.compile(
    rf"\b(?:my favou?rite\s+{_THING}\s+(?:is|are)|meine?\s+lieblings(?P<ding>\w+)\s+(?:ist|sind))\s+{_VALUE}{_END}",
    _I,
)
_LIKES = re.compile(
    rf"\bI\s+(?:really\s+|also\s+|still\s+)?(?:prefer|like|love|enjoy|hate|dislike|can['’]t stand|don['’]t (?:really )?like|do not like){_ANYMORE}\s+"
    rf"(?!to (?:say|think|add|point|know)\b|(?:it|that|this|you|how|your)\b)(?:the\s+)?{_THING}{_ANYMORE}"
    rf"(?=[.,;!]|\s+(?:over|to|rather|more|any ?more|and|but|because|when|in|for|with)\b|$)",
    _I,
)
_MAG = re.compile(
    rf"\bich\s+(?:mag|liebe|bevorzuge|hasse|trinke (?:gern|lieber)|esse (?:gern|lieber))\s+(?:keinen?\s+|lieber\s+|gern\s+|den\s+|die\s+|das\s+)?{_THING}"
    rf"(?=[.,;!]|\s+(?:als|lieber|nicht|und|aber|weil|mehr)\b|$)",
    _I,
)
_LIVES = re.compile(
    rf"\b(?:I|ich)\s+(?P<thing>live|work|wohne|arbeite|lebe)\s+(?:now\s+|jetzt\s+)?(?:in|at|for|near|bei|für|nahe)\s+{_VALUE}{_END}",
    _I,
)
_MINE = re.compile(
    rf"\bmy\s+(?P<thing>(?:phone |mobile |e-?mail |time ?zone|home |work |new )?(?:number|address|mail|e-?mail|time ?zone|"
    rf"birthday|office|budget|role|job|title|team|language|car|flight|hotel|allergy))\s+(?:is|are)\s+(?P<value>[^;!?]{{1,160}}?){_END}"
    rf"|\bmeine?\s+(?P<ding>\w*(?:nummer|adresse|mail|zeitzone|geburtstag|büro|budget|rolle|team|sprache|flug|hotel))\s+(?:ist|lautet)\s+(?P<wert>[^;!?]{{1,160}}?){_END}",
    _I,
)
_DATED = re.compile(
    r"\b(?:the|our|my|das|der|die|unsere?n?|mein|meine)\s+(?P<thing>(?:[\w-]+\s)?[\w-]*(?:deadline|launch|release|meeting|call|review|demo|interview|"
    r"appointment|birthday|conference|workshop|wedding|flight|exam|kick-?off|termin|geburtstag|treffen|besprechung|abgabe|"
    r"frist|start|hochzeit|flug|prüfung|konferenz))\s+"
    r"(?:is|was moved|has moved|moved|is moved|will be|takes place|starts|findet|ist|wird|wurde|liegt|beginnt)\b(?P<value>[^.;!?]{1,120})",
    _I,
)
_FIGURE = re.compile(
    rf"\b(?:the|our|das|der|die|unsere?)\s+(?P<thing>(?:[\w-]+\s)?(?:budget|price|cost|target|limit|rate|goal|headcount|salary|rent|preis|ziel|miete|"
    rf"kosten))\s+(?:is|are|was raised to|is now|ist|sind|beträgt|liegt bei)\s+(?P<value>[^;!?]*?\d[^;!?]{{0,60}}?){_END}",
    _I,
)


def of(messages: Sequence[Row]) -> list[Fact]:
    """The facts of messages {speaker, text, place}, in their order; of one key only what was said last."""
    sentences = said.cut(messages)
    decided = {(each.place, each.text) for each in said.decisions(sentences)}
    found: dict[str, Fact] = {}
    for each in sentences:
        if each.text.endswith("?") or is_secret(each.text):
            continue
        for fact in _facts(each):
            found[fact.key] = fact
        if (each.place, each.text) in decided:
            fact = _fact(each, f"decision_{_gist(each.text)}", "decision", 8)
            found[fact.key] = fact
    return _distinct(sorted(found.values(), key=lambda fact: fact.place))[-MOST_FOUND:]


def alike(one: str, other: str) -> bool:
    """Whether two contents say the same."""
    mine, theirs = set(terms(one)), set(terms(other))
    return bool(mine) and len(mine & theirs) >= SAME * len(mine | theirs)


def key_of(text: str) -> str:
    """What somebody wrote as a key, as our keys are."""
    return _slug(text)[:LONGEST_KEY]


def is_secret(text: str) -> bool:
    """Whether a sentence speaks of a password or the like, which is never remembered."""
    return _SECRET.search(text) is not None


def _distinct(facts: list[Fact]) -> list[Fact]:
    """Without those whose sentence says the same as an earlier, more telling one of the same type."""
    kept: list[Fact] = []
    for fact in facts:
        if not any(other.type == fact.type and alike(other.content, fact.content) for other in kept):
            kept.append(fact)
    return kept


def _facts(each: Sentence) -> Iterator[Fact]:
    """What one sentence says; what it asks to be remembered is one memory, whatever else it is."""
    for pattern, make in _KINDS:
        found = pattern.search(each.text)
        if found and (fact := make(each, found)) is not None:
            yield fact
            if pattern is _REMEMBER:
                return


def _remembered(each: Sentence, found: re.Match[str]) -> Fact | None:
    inner = Sentence(found["value"][:1].upper() + found["value"][1:], each.speaker, each.place)
    known = next(_facts(inner), None)
    if known is not None:
        return Fact(known.key, inner.text, known.type, known.tags, max(8, known.importance), each.place)
    return _fact(inner, _gist(inner.text), "fact", 8)


def _dated(each: Sentence, found: re.Match[str]) -> Fact | None:
    if not said.due_of(found["value"]):
        return None
    return _fact(each, f"date_{_subject(found['thing'])}", "date", 7)


def _own(each: Sentence, found: re.Match[str]) -> Fact:
    return _fact(each, f"{each.speaker}_{_thing(found)}", "fact", 6)


def _of_speaker(kind: str, type_: str, importance: int) -> Callable[[Sentence, re.Match[str]], Fact | None]:
    """Makes facts whose key is who speaks, and the thing that the pattern caught."""

    def make(each: Sentence, found: re.Match[str]) -> Fact | None:
        return _fact(each, f"{each.speaker}_{kind}_{_thing(found)}", type_, importance)

    return make


def _thing(found: re.Match[str]) -> str:
    named = found.groupdict()
    return _subject(str(named.get("thing") or named.get("ding") or ""))


_LIVING = {"wohne": "lives", "lebe": "lives", "live": "lives", "work": "works", "arbeite": "works"}

_KINDS: list[tuple[re.Pattern[str], Callable[[Sentence, re.Match[str]], Fact | None]]] = [
    (_REMEMBER, _remembered),
    (_CALLED, lambda each, _: _fact(each, f"{each.speaker}_name", "name", 7)),
    (_RELATIVE, _of_speaker("name_of", "name", 6)),
    (_ROLE, lambda each, found: _fact(each, f"role_{_slug(found['thing'])}", "name", 6)),
    (_DATED, _dated),
    (_FIGURE, lambda each, found: _fact(each, _subject(found["thing"]), "fact", 7)),
    (_MINE, _own),
    (_FAVOURITE, _of_speaker("favourite", "preference", 6)),
    (_LIKES, _of_speaker("on", "preference", 5)),
    (_MAG, _of_speaker("on", "preference", 5)),
    (_LIVES, lambda each, found: _fact(each, f"{each.speaker}_{_LIVING[found['thing'].lower()]}", "fact", 6)),
]


def _fact(each: Sentence, key: str, type_: str, importance: int) -> Fact:
    tags = tuple(dict.fromkeys(tag for tag in (type_, _slug(each.speaker)) if tag))
    content = each.text if type_ in ("decision", "date") else f"{each.speaker}: {each.text}"
    return Fact(_slug(key)[:LONGEST_KEY], one_line(content, 500), type_, tags, importance, each.place)


_PLAIN_WORDS = re.compile(r"\b(?:the|our|my|new|next|a|an|next|neue[rsn]?|nächste[rsn]?)\b", _I)


def _subject(thing: str) -> str:
    return _slug(_PLAIN_WORDS.sub(" ", thing))


def _gist(text: str) -> str:
    """The first words of a sentence that carry meaning, as a key."""
    telling = (
        word for word in words(text) if len(word) > 2 and word not in STOPWORDS and word not in _DECIDING
    )
    return "_".join(list(telling)[:5]) or "note"


_DECIDING = frozenset(
    ("decided", "agreed", "wir", "haben", "uns", "das", "der", "die", "beschlossen", "entschieden")
)


def _slug(text: str) -> str:
    """Lower-case letters and digits with underlines."""
    spread = text.lower().replace("ß", "ss").replace("ä", "ae").replace("ö", "oe").replace("ü", "ue")
    plain = unicodedata.normalize("NFKD", spread)
    return re.sub(r"[^\w]+|_+", "_", "".join(c for c in plain if not unicodedata.combining(c))).strip("_")
