"""Notes taken apart: headings, points with their sub-points, plain sentences; every piece keeps its line number."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from app.quality.text.sentences import clean, sentences

_POINT = re.compile(r"^(?P<indent>[ \t]*)(?:[-*+•–]|\d{1,3}[.)])[ \t]+(?:\[[ xX]\][ \t]+)?(?P<text>\S.*)$")
_HEADING = re.compile(r"^[ \t]{0,3}#{1,6}[ \t]+(?P<text>.+?)[ \t#]*$")
_LABEL = re.compile(r"^(?P<text>[^.!?:]{2,60}):$")
_EMPHASIS = re.compile(r"(?<!\w)[*_`]{1,3}(?=\S)|(?<=\S)[*_`]{1,3}(?!\w)")


@dataclass(kw_only=True)
class Point:
    """A point or sentence with the heading it stands under and the points indented below it."""

    text: str
    line: int
    heading: str = ""
    indent: int = 0
    details: list[Point] = field(default_factory=list)


def points(notes: str) -> list[Point]:
    """The top points in order; a plain paragraph gives one for each of its sentences."""
    found: list[Point] = []
    heading, paragraph, begun = "", list[str](), 0
    for number, line in enumerate([*clean(notes).split("\n"), ""], 1):
        point = _POINT.match(line)
        title = _HEADING.match(line) or _LABEL.match(line.strip())
        if paragraph and (point or title or not line.strip()):
            found += _sentences(paragraph, begun, heading)
            paragraph = []
        if point:
            indent = len(point["indent"].expandtabs(4))
            _place(found, Point(text=_plain(point["text"]), line=number, heading=heading, indent=indent))
        elif title:
            heading = _plain(title["text"])
        elif line.strip():
            if not paragraph and found and line[:1].isspace() and found[-1].indent >= 0:
                _last(found).text += " " + _plain(line.strip())
                continue
            begun = begun if paragraph else number
            paragraph.append(line.strip())
    return found


def _place(found: list[Point], point: Point) -> None:
    """Put a point below the nearest one before it that is indented less."""
    parent = found[-1] if found and 0 <= found[-1].indent < point.indent else None
    while parent and parent.details and parent.details[-1].indent < point.indent:
        parent = parent.details[-1]
    (parent.details if parent else found).append(point)


def _last(found: list[Point]) -> Point:
    point = found[-1]
    while point.details:
        point = point.details[-1]
    return point


def _sentences(paragraph: list[str], line: int, heading: str) -> list[Point]:
    text = _plain(" ".join(paragraph))
    return [Point(text=sentence, line=line, heading=heading, indent=-1) for sentence in sentences(text)]


def _plain(text: str) -> str:
    return " ".join(_EMPHASIS.sub("", text).split())
