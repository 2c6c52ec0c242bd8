"""Text cut into words, sentences and paragraphs; everything here is bounded and deterministic."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

# Characters that reorder or hide text; letters of right-to-left scripts are not among them.
_HIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+(?:[.,]\d+)*%?")
_END = re.compile(r"(?<=[.!?…。！？])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[^\W_a-z])|(?<=[。！？])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|st|vs|etc|e\.g|i\.e|cf|fig|no|vol|inc|ltd|co|jr|sr|approx)|\b[A-Z])\.$",
    re.IGNORECASE,
)
_FENCE = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[([^\[\]\n]{0,500})\]\([^()\s]{0,500}(?:\s[^()\n]{0,200})?\)")
_MARKS = re.compile(
    r"^[ \t]{0,3}(?:#{1,6}[ \t]+|>[ \t]?|[-*+][ \t]+|\d{1,3}[.)][ \t]+)|[*`]{1,3}(?=\S)|(?<=\S)[*`]{1,3}"
    r"|(?<!\w)_{1,3}(?=\S)|(?<=[^\s_])_{1,3}(?!\w)",  # within a word they belong to it: release_notes.md
    re.MULTILINE,
)
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,500}>|<!--[^<>]{0,500}-->")
_HEADING = re.compile(r"^[ \t]{0,3}#{1,6}[ \t]+.*$", re.MULTILINE)

STOPWORDS = frozenset(
    """
    a about above after again against all almost also although always am among an and any anybody anyone
    anything are aren't as at be became because become been before being below between both but by came can
    can't cannot could couldn't did didn't do does doesn't doing don't done down during each either else
    enough even ever every everybody everyone everything few first for from further get gets give given go
    goes going got had hadn't has hasn't have haven't having he her here hers herself him himself his how
    however i if in instead into is isn't it it's its itself just keep keeps kept last less let like likely
    made make makes many may me might more most much must my myself near need needs neither never next no
    nobody nor not nothing now of off often on once one only or other others our ours out over own per
    perhaps put quite rather really said same say says see seem seems several shall she should shouldn't
    since so some somebody someone something soon still such take takes than that that's the their theirs
    them themselves then there there's therefore these they they're this those though three through thus to
    together too took toward two under until up upon us use used uses using very via want was wasn't way we
    well went were weren't what when where whether which while who whole whom whose why will with within
    without won't would wouldn't yes yet you you're your yours yourself
    """.split()  # noqa: SIM905 - a page of quoted words is no easier to read
)


def clean(text: str) -> str:
    """Text without control and direction-override characters, with plain line ends."""
    return _HIDDEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: str, limit: int = 200) -> str:
    """Text on one line, cut at `limit` with an ellipsis."""
    line = " ".join(clean(text[: limit * 8]).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def plain(markdown: str) -> str:
    """Prose of a markdown text: no code blocks, headings, link targets, or emphasis marks."""
    text = _FENCE.sub("\n", clean(markdown))
    return _MARKS.sub("", _LINK.sub(r"\1", _HEADING.sub("\n", text)))


def unmarked(markdown: str) -> str:
    """One paragraph of markdown as prose: its words without link targets, emphasis marks and tags."""
    return _MARKS.sub("", _LINK.sub(r"\1", _TAG.sub("", markdown)))


def words(text: str) -> list[str]:
    """The words and numbers of a text in lower case, in order."""
    return [match.group().lower() for match in _WORD.finditer(text)]


def terms(text: str) -> list[str]:
    """The stems that carry meaning: no stop words, nothing shorter than three letters."""
    return [stem(word) for word in words(text) if len(word) > 2 and word not in STOPWORDS]


def phrases_in(text: str, wanted: Iterable[str]) -> list[str]:
    """Every use of the wanted phrases in a text, in lower case: whole words only, whatever the case."""
    said = sorted((re.escape(phrase.lower()) for phrase in wanted if phrase.strip()), key=len, reverse=True)
    if not said:
        return []
    return re.findall(rf"(?<!\w)(?:{'|'.join(said)})(?!\w)", text.lower())


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """A word without its commonest English endings, so that `queue` and `queues` meet."""
    for ending, least in (("ies", 5), ("ing", 7), ("edly", 8), ("ed", 6), ("es", 6), ("s", 4), ("e", 5)):
        if word.endswith(ending) and len(word) >= least and not word.endswith(("ss", "us", "is")):
            short = word[: -len(ending)]
            return short + "y" if ending == "ies" else short.removesuffix("e")
    return unicodedata.normalize("NFC", word)


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a text, each on one line."""
    return [" ".join(block.split()) for block in re.split(r"\n[ \t]*\n", text) if block.strip()]


def sentences(text: str, *, longest: int = 600) -> list[str]:
    """The sentences of a prose text; pieces over `longest` characters are cut at a space."""
    found: list[str] = []
    for paragraph in paragraphs(text):
        found += [piece for whole in _joined(_END.split(paragraph)) for piece in _cut(whole, longest)]
    return found


def _joined(pieces: list[str]) -> list[str]:
    """Pieces with those that ended in an abbreviation joined to the next."""
    found: list[str] = []
    for piece in filter(None, (piece.strip() for piece in pieces)):
        if found and len(found[-1]) < 2_000 and _ABBREVIATION.search(found[-1][-12:]):
            found[-1] += " " + piece
        else:
            found.append(piece)
    return found


def _cut(sentence: str, longest: int) -> list[str]:
    """The sentence, or its parts when it is longer than anybody would read at once."""
    parts: list[str] = []
    while len(sentence) > longest:
        at = sentence.rfind(" ", longest // 2, longest)
        at = at if at > 0 else longest
        parts.append(sentence[:at])
        sentence = sentence[at:].lstrip()
    return [*parts, sentence] if sentence else parts
