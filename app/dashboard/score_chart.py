"""The chart of scores, draft by draft, from 0 to 10: pure geometry, drawn as SVG by templates/macros/quality.html."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

STEP, HEIGHT = 72.0, 150.0
LEFT, RIGHT, TOP, BOTTOM = 34.0, 22.0, 20.0, 22.0
MOST = 10.0


@dataclass(frozen=True, kw_only=True)
class Point:
    """One draft: where it stands, what it says, and whether it reached the threshold."""

    number: int
    x: float
    y: float
    label: str
    reached: bool | None
    """None: it has no score yet."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """The whole picture, 0 at the bottom and 10 at the top."""

    width: float
    height: float
    points: tuple[Point, ...]
    line: str
    """Through the points that have a score, as an SVG polyline's `points`."""
    threshold: float | None
    threshold_y: float
    top: float
    base: float
    left: float
    right: float
    words: str
    """What it shows, for those who do not see it."""


def draw(scores: Sequence[tuple[int, float | None]], threshold: float | None = None) -> Chart:
    """The chart of (number of the draft, score)."""
    base = HEIGHT - BOTTOM
    points = tuple(_point(place, number, score, threshold) for place, (number, score) in enumerate(scores))
    width = LEFT + max(len(points), 2) * STEP + RIGHT
    return Chart(
        width=width,
        height=HEIGHT,
        points=points,
        line=" ".join(f"{point.x:g},{point.y:g}" for point in points if point.reached is not None),
        threshold=threshold,
        threshold_y=_y(threshold or 0),
        top=TOP,
        base=base,
        left=LEFT,
        right=width - RIGHT,
        words=_words(scores, threshold),
    )


def _point(place: int, number: int, score: float | None, threshold: float | None) -> Point:
    return Point(
        number=number,
        x=round(LEFT + (place + 0.5) * STEP, 1),
        y=_y(score or 0),
        label="…" if score is None else f"{score:.1f}",
        reached=None if score is None else threshold is None or score >= threshold,
    )


def _y(score: float) -> float:
    base = HEIGHT - BOTTOM
    return round(base - (base - TOP) * min(MOST, max(0.0, score)) / MOST, 1)


def _words(scores: Sequence[tuple[int, float | None]], threshold: float | None) -> str:
    told = ", ".join(
        f"draft {number}: {'not judged yet' if score is None else f'{score:.1f}'}" for number, score in scores
    )
    return f"Scores of 10. {told[:1].upper()}{told[1:]}." + (
        f" The threshold is {threshold:.1f}." if threshold is not None else ""
    )
