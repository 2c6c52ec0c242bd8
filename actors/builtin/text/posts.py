"""Posts for social platforms: their limits, how they count, and how a text is cut to fit."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from app.quality.text.keywords import keywords
from app.quality.text.sentences import STOPWORDS, paragraphs, sentences

_PAIR = re.compile(r"\b([^\W\d_]{4,16}) (?=([^\W\d_]{4,16})\b)")
_VERBAL = re.compile(r"(?:ed|ing|ly|n't)$")
_URL = re.compile(r"https?://[^\s<>\"]+")


@dataclass(frozen=True)
class Platform:
    """What a platform allows: characters a post, hashtags that read well, how it counts."""

    name: str
    title: str
    limit: int
    hashtags: int
    url_length: int
    """What any address counts for; 0 means its own length."""
    wide_counts_double: bool = False


PLATFORMS = {
    platform.name: platform
    for platform in (
        Platform("twitter", "X (Twitter)", 280, 2, 23, wide_counts_double=True),
        Platform("linkedin", "LinkedIn", 3_000, 4, 0),
        Platform("mastodon", "Mastodon", 500, 3, 23),
    )
}


def length(text: str, platform: Platform) -> int:
    """Characters as the platform counts them."""
    bare = _URL.sub("", text)
    urls = sum(platform.url_length or len(url) for url in _URL.findall(text))
    return urls + sum(2 if platform.wide_counts_double and _wide(sign) else 1 for sign in bare)


def hashtags(text: str, most: int, given: list[str]) -> list[str]:
    """Hashtags in CamelCase: those given, otherwise from the keywords of the text."""
    wanted = given or _repeated(text, most) + _pairs(text)
    tags = ("#" + "".join(_capital(part) for part in re.findall(r"\w+", word)) for word in wanted)
    return list(dict.fromkeys(tag for tag in tags if len(tag) > 1 and not tag[1:].isdigit()))[:most]


def _repeated(text: str, most: int) -> list[str]:
    """Phrases that return in the text: what it says once may be anything."""
    return [word.phrase for word in keywords(text, most) if word.count > 1]


def _pairs(text: str) -> list[str]:
    """Two meaningful words side by side, in order of appearance; the second is rarely a verb then."""
    found = (match.group(1, 2) for match in _PAIR.finditer(text))
    return [
        f"{one} {two}"
        for one, two in found
        if not ({one.lower(), two.lower()} & STOPWORDS or _VERBAL.search(two))
    ]


def posts(text: str, platform: Platform, tags: list[str], link: str = "") -> list[str]:
    """The text as one post, or as a numbered thread; link and hashtags close the last one."""
    ending = "\n\n".join(part for part in (link, " ".join(tags)) if part)
    whole = _join("\n\n".join(paragraphs(text)), ending)
    if length(whole, platform) <= platform.limit:
        return [whole]
    # Twelve signs are kept free for the thread's number, such as " (12/34)".
    room = platform.limit - 12
    pieces = _pack([piece for part in _parts(text, room, platform) for piece in part], room, platform)
    if length(_join(pieces[-1], ending), platform) <= room:
        pieces[-1] = _join(pieces[-1], ending)
    elif ending:
        pieces.append(ending)
    return [
        f"{piece} ({at}/{len(pieces)})" if len(pieces) > 1 else piece for at, piece in enumerate(pieces, 1)
    ]


def _join(text: str, ending: str) -> str:
    return f"{text}\n\n{ending}" if ending else text


def _parts(text: str, room: int, platform: Platform) -> list[list[tuple[str, str]]]:
    """For each paragraph its sentences, with what separates each from the text before."""
    found: list[list[tuple[str, str]]] = []
    for paragraph in paragraphs(text):
        fitting = [
            bit
            for sentence in sentences(paragraph, longest=100_000)
            for bit in _fit(sentence, room, platform)
        ]
        found.append([(" " if at else "\n\n", bit) for at, bit in enumerate(fitting)])
    return found


def _fit(sentence: str, room: int, platform: Platform) -> list[str]:
    """The sentence, or pieces of it cut between words, or within a word longer than a post."""
    if length(sentence, platform) <= room:
        return [sentence]
    pieces: list[list[str]] = [[]]
    used = 0  # kept up word by word: counting the whole piece again would take the square of the time
    for word in filter(None, sentence.split(" ")):
        for bit in [word] if length(word, platform) <= room else _chunks(word, room // 2):
            size = length(bit, platform)
            if pieces[-1] and used + 1 + size > room - 1:
                pieces.append([])
                used = -1
            used += 1 + size
            pieces[-1].append(bit)
    joined = [" ".join(piece) for piece in pieces if piece]
    return [piece + "…" for piece in joined[:-1]] + joined[-1:]


def _pack(bits: list[tuple[str, str]], room: int, platform: Platform) -> list[str]:
    """As many bits in a post as fit."""
    packed: list[list[str]] = []
    used = 0
    for gap, bit in bits:
        size = length(bit, platform)
        if packed and used + len(gap) + size <= room:
            packed[-1] += [gap, bit]
            used += len(gap) + size
        else:
            packed.append([bit])
            used = size
    return ["".join(post) for post in packed]


def _chunks(word: str, size: int) -> list[str]:
    return [word[at : at + size] for at in range(0, len(word), size)]


def _capital(part: str) -> str:
    return part if any(sign.isupper() for sign in part[1:]) else part[:1].upper() + part[1:]


def _wide(sign: str) -> bool:
    return unicodedata.east_asian_width(sign) in "WF"
