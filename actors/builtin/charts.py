"""Charts as SVG text: bars, histogram, line. Presentation attributes only, so a strict CSP shows them.

Every chart is valid XML whatever the labels hold, and says so where there is nothing to draw.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from xml.sax.saxutils import escape

from app.quality.text.sentences import one_line

WIDTH, HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 56, 48
_INK, _MUTED, _GRID, _PAPER, _FILL, _LINE = "#1f2937", "#64748b", "#e5e7eb", "#ffffff", "#4f6bed", "#3451d1"
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def bars(title: str, pairs: Sequence[tuple[str, float]]) -> str:
    """Horizontal bars, one for each (label, value), longest label cut; negative values are drawn as 0."""
    pairs = [(label, value) for label, value in pairs if math.isfinite(value)][:15]
    if not pairs:
        return _sheet(title, _nothing())
    top = max(0.0, *(value for _, value in pairs)) or 1.0
    row = min(36.0, (HEIGHT - _TOP - 20) / len(pairs))
    drawn: list[str] = []
    for at, (label, value) in enumerate(pairs):
        y = _TOP + at * row
        length = max(0.0, value) / top * (WIDTH - 170 - 70)
        middle = y + row / 2 + 4
        drawn.append(_text(162, middle, one_line(label, 22) or "(blank)", anchor="end"))
        drawn.append(
            f'<rect x="170" y="{y + row * 0.15:.1f}" width="{max(1, length):.1f}" height="{row * 0.7:.1f}" rx="3" fill="{_FILL}"/>'
        )
        drawn.append(_text(178 + length, middle, figure(value), fill=_MUTED))
    return _sheet(title, drawn)


def histogram(title: str, values: Sequence[float], bins: int = 24) -> str:
    """How often values fall into equal ranges from the least to the greatest."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return _sheet(title, _nothing())
    low, high = min(finite), max(finite)
    if not math.isfinite(high - low):
        return _sheet(title, _nothing())
    if low == high:
        low, high = low - 0.5, high + 0.5
    bins = max(1, min(bins, math.ceil(math.sqrt(len(finite)))))
    counts = [0] * bins
    for value in finite:
        counts[min(bins - 1, max(0, int((value - low) / (high - low) * bins)))] += 1
    step = (WIDTH - _LEFT - _RIGHT) / bins
    drawn = _scale(0, max(counts), whole=True)
    for at, count in enumerate(counts):
        height = count / _ceiling(max(counts), whole=True) * _plot_height()
        if count:
            x, y = _LEFT + at * step + 1, HEIGHT - _BOTTOM - height
            drawn.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(1, step - 2):.1f}" height="{height:.1f}" rx="2" fill="{_FILL}"/>'
            )
    for share in (0, 0.5, 1):
        at_x = _LEFT + share * (WIDTH - _LEFT - _RIGHT)
        drawn.append(
            _text(
                at_x, HEIGHT - _BOTTOM + 20, figure(low + share * (high - low)), anchor="middle", fill=_MUTED
            )
        )
    return _sheet(title, drawn)


def line(title: str, points: Sequence[tuple[str, float]]) -> str:
    """A line through (label, value) at equal distances, with first, middle and last label."""
    points = [(label, value) for label, value in points if math.isfinite(value)]
    if not points:
        return _sheet(title, _nothing())
    values = [value for _, value in points]
    low, high = min(0.0, *values), _ceiling(max(0.0, *values))
    width = WIDTH - _LEFT - _RIGHT
    places = [
        (_LEFT + width * (at / (len(points) - 1) if len(points) > 1 else 0.5),
         HEIGHT - _BOTTOM - (value - low) / ((high - low) or 1) * _plot_height())
        for at, value in enumerate(values)
    ]  # fmt: skip
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    floor = HEIGHT - _BOTTOM
    drawn = _scale(low, high)
    drawn.append(
        f'<polygon points="{places[0][0]:.1f},{floor} {path} {places[-1][0]:.1f},{floor}" fill="{_FILL}" fill-opacity="0.12"/>'
    )
    drawn.append(
        f'<polyline points="{path}" fill="none" stroke="{_LINE}" stroke-width="2.5" stroke-linejoin="round"/>'
    )
    if len(places) <= 60:
        drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{_LINE}"/>' for x, y in places]
    last = len(points) - 1
    for at in sorted({0, last // 2, last}):
        anchor = "middle" if at not in (0, last) or not last else "end" if at else "start"
        drawn.append(
            _text(places[at][0], floor + 20, one_line(points[at][0], 14), anchor=anchor, fill=_MUTED)
        )
    return _sheet(title, drawn)


def figure(value: float) -> str:
    """A number as short as it can be read: 1,234, 12.3k, 4.5M, 0.03."""
    size = abs(value)
    for least, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= least:
            return f"{value / (1e3 if unit == 'k' else least):.4g}{unit}" if size < 1e15 else f"{value:.2e}"
    return f"{value:,.0f}" if size >= 100 or float(value).is_integer() else f"{value:.3g}"


def _scale(low: float, high: float, *, whole: bool = False) -> list[str]:
    """Grid lines with their values."""
    high = _ceiling(high, whole=whole)
    drawn: list[str] = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = HEIGHT - _BOTTOM - share * _plot_height()
        drawn.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _RIGHT}" y2="{y:.1f}" stroke="{_GRID}"/>')
        drawn.append(_text(_LEFT - 8, y + 4, figure(low + share * (high - low)), anchor="end", fill=_MUTED))
    return drawn


def _ceiling(value: float, *, whole: bool = False) -> float:
    """The next round number: 1, 2, 2.5, 4, 5 or 8 times a power of ten; for counts a multiple of four."""
    if whole and value <= 40:
        return max(4, math.ceil(value / 4) * 4)
    if value <= 0:
        return 1.0 if value == 0 else value
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in (1, 2, 4, 5, 8) if step * power >= value * 0.9999), 10 * power)


def _plot_height() -> int:
    return HEIGHT - _TOP - _BOTTOM


def _nothing() -> list[str]:
    return [_text(WIDTH / 2, HEIGHT / 2, "No data", anchor="middle", fill=_MUTED)]


def _text(x: float, y: float, words: str, *, anchor: str = "start", fill: str = _INK, size: int = 12) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{fill}" '
        f'font-family="system-ui, sans-serif">{escape(_ILLEGAL.sub("", words))}</text>'
    )


def _sheet(title: str, drawn: list[str]) -> str:
    """The white sheet with title; the title is also its accessible name."""
    name = one_line(_ILLEGAL.sub("", title), 70)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">'
        f'<title>{escape(name)}</title><rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="{_PAPER}"/>'
        + _text(24, 32, name, size=16)
        + "".join(drawn)
        + "</svg>\n"
    )
