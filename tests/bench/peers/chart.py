"""The chart of docs/performance.md: jobs drained a second, one bar each, as SVG that reads in light and in dark. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

from tests.bench.peers import figures
from tests.bench.peers.catalogue import PEERS

WIDTH, ROW, TOP = 760, 34, 56
LABEL, VALUE = 190, 150  # left of the bars, and right of them
STYLE = """
    text { font: 14px system-ui, sans-serif; fill: #1f2430; }
    .title { font-weight: 600; font-size: 16px; }
    .note { font-size: 12px; fill: #5a6172; }
    .bar { fill: #8a93a8; }
    .ours { fill: #2f6fde; }
    .range { stroke: #1f2430; stroke-width: 1.5; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e8eaf0; }
      .note { fill: #a6adbd; }
      .bar { fill: #7c859b; }
      .ours { fill: #6ea0ff; }
      .range { stroke: #e8eaf0; }
    }
"""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One peer: the median of its rounds, and the lowest and highest."""

    title: str
    ours: bool
    value: float
    low: float
    high: float


def bars(found: dict[str, Any]) -> list[Bar]:
    """Fastest first."""
    measured = figures.measured(found)
    drawn = []
    for peer in PEERS:
        if peer.name in measured and (each := figures.rates(measured[peer.name], "drained")):
            value = figures.middle(each) or 0.0
            drawn.append(
                Bar(
                    title=peer.title,
                    ours=peer.name == figures.OURS,
                    value=value,
                    low=min(each),
                    high=max(each),
                )
            )
    return sorted(drawn, key=lambda bar: -bar.value)


def svg(found: dict[str, Any]) -> str:
    """The whole picture; what it shows is also said in words, for those who do not see it."""
    drawn = bars(found)
    height = TOP + ROW * len(drawn) + 14
    most = max((bar.high for bar in drawn), default=1.0)
    described = ", ".join(f"{bar.title} {bar.value:,.0f}" for bar in drawn)
    rows = "\n".join(_row(bar, place, most) for place, bar in enumerate(drawn))
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title desc">
  <title id="title">Jobs drained a second, in one run</title>
  <desc id="desc">Median of {found["asked"]["rounds"]} rounds: {escape(described)}.</desc>
  <style>{STYLE}  </style>
  <text class="title" x="0" y="20">Jobs drained a second, in one run</text>
  <text class="note" x="0" y="40">median of {found["asked"]["rounds"]} rounds; the line goes from the slowest round to the fastest</text>
{rows}
</svg>
"""


def _row(bar: Bar, place: int, most: float) -> str:
    y = TOP + place * ROW
    scale = (WIDTH - LABEL - VALUE) / most
    width, low, high = (round(max(1.0, value * scale), 1) for value in (bar.value, bar.low, bar.high))
    middle, css = y + 12, "bar ours" if bar.ours else "bar"
    return (
        f'  <text x="{LABEL - 10}" y="{y + 17}" text-anchor="end">{escape(bar.title)}</text>\n'
        f'  <rect class="{css}" x="{LABEL}" y="{y}" width="{width}" height="24" rx="3"/>\n'
        f'  <line class="range" x1="{LABEL + low}" y1="{middle}" x2="{LABEL + high}" y2="{middle}"/>\n'
        f'  <text x="{LABEL + max(width, high) + 8}" y="{y + 17}">{bar.value:,.0f}</text>'
    )
