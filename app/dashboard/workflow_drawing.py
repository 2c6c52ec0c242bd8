"""Where the parts of a workflow's picture stand: pure geometry, drawn as SVG by templates/workflows/_graph.html.

Steps stand in columns, each to the right of what it waits for; a container (parallel, map, branch, sequence)
is a box around its own, laid out by the same rule. A line that passes a column gets a lane of its own there,
so it never runs under a step.

    ┌────┐   ┌ assets ─────┐   ┌────┐
    │blog│──▶│ ┌────┐      │──▶│mail│
    └────┘   │ │img │      │   └────┘
             │ ├────┤      │
             │ │post│      │
             └─┴────┴──────┘
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from math import ceil, sqrt

WIDTH, HEIGHT = 184, 66
"""Of one step."""
GAP_X, GAP_Y = 40, 16
"""Between columns and between rows."""
PAD, HEADING = 14, 30
"""Inside a container: around its steps, and above them for its name."""
LANE = 12
MOST_LINES = 60
"""With more, those are left out that say nothing new."""
MOST_LANES = 2000
"""With more long lines than this, the rest runs straight, under the steps."""
GRID_FROM = 7
"""So many steps side by side stand in a grid, not in one column."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A step as far as its place goes. `depends_on` may only name earlier ones; others are passed over."""

    step_id: str
    parent: str | None = None
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Box:
    """Where a step stands."""

    step_id: str
    x: float
    y: float
    width: float
    height: float
    is_container: bool = False

    def moved(self, x: float, y: float) -> Box:
        """Itself, elsewhere."""
        return replace(self, x=self.x + x, y=self.y + y)


@dataclass(frozen=True, kw_only=True)
class Line:
    """From one step to one that waits for it: corners from left to right."""

    start: str
    end: str
    corners: tuple[tuple[float, float], ...]

    def moved(self, x: float, y: float) -> Line:
        """Itself, elsewhere."""
        return replace(self, corners=tuple((a + x, b + y) for a, b in self.corners))

    @property
    def path(self) -> str:
        """As an SVG path with an arrow's head: curves between columns, straight inside a lane."""
        (x, y), *rest = self.corners
        drawn = [f"M{_said(x)} {_said(y)}"]
        for to_x, to_y in rest:
            middle = _said((x + to_x) / 2)
            straight = abs(y - to_y) < 0.5
            drawn.append(
                f"H{_said(to_x)}"
                if straight
                else f"C{middle} {_said(y)} {middle} {_said(to_y)} {_said(to_x)} {_said(to_y)}"
            )
            x, y = to_x, to_y
        return " ".join([*drawn, "m-6 -4 l6 4 l-6 4"])


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """The whole picture; boxes come before what stands in them."""

    width: float
    height: float
    boxes: tuple[Box, ...] = ()
    lines: tuple[Line, ...] = ()
    columns: int = 0
    """How many steps follow each other at most, on the outermost level."""


def draw(parts: Sequence[Part], folded: Collection[str] = ()) -> Drawing:
    """Lay the steps out; what is inside the `folded` containers is not shown."""
    return _area(_Tree(parts, folded), None)


class _Tree:
    """Who stands in whom, and which siblings wait for which."""

    def __init__(self, parts: Sequence[Part], folded: Collection[str]) -> None:
        self._parents = {part.step_id: part.parent for part in parts}
        self._folded = folded
        self.inside: dict[str | None, list[str]] = {}
        self.links: dict[str | None, dict[str, list[str]]] = {}
        self._place = {part.step_id: number for number, part in enumerate(parts)}
        for part in parts:
            self.inside.setdefault(self._home(part.step_id), []).append(part.step_id)
            for earlier in part.depends_on:
                if earlier in self._place:
                    self._link(earlier, part.step_id)

    def is_container(self, step_id: str) -> bool:
        return step_id not in self._folded and bool(self.inside.get(step_id))

    def _home(self, step_id: str) -> str | None:
        parent = self._parents[step_id]
        return parent if parent in self._parents else None

    def _chain(self, step_id: str) -> list[str]:
        """Itself and all it stands in, from the outside to the inside."""
        chain = [step_id]
        while (home := self._home(chain[-1])) is not None and home not in chain:
            chain.append(home)
        return chain[::-1]

    def _link(self, earlier: str, later: str) -> None:
        """Join the two siblings that hold these two steps; nothing if one holds the other, or stands behind it."""
        home: str | None = None
        for a, b in zip(self._chain(earlier), self._chain(later), strict=False):
            if a != b:
                if self._place[a] < self._place[b]:
                    self._join(home, a, b)
                return
            home = a

    def _join(self, home: str | None, a: str, b: str) -> None:
        waits_for = self.links.setdefault(home, {}).setdefault(b, [])
        if a not in waits_for:
            waits_for.append(a)


# A place in a column: a step by its id, or a lane that its lines pass through: (id, number of the column).
_Key = tuple[str, ...]
_Routes = dict[tuple[str, str], list[_Key]]


def _area(tree: _Tree, home: str | None) -> Drawing:
    """The inside of one container, from (0, 0)."""
    members = tree.inside.get(home, [])
    inner = {step: _area(tree, step) for step in members if tree.is_container(step)}
    sizes: dict[_Key, tuple[float, float]] = {(step,): _size(inner.get(step)) for step in members}
    links = tree.links.get(home, {})
    if sum(map(len, links.values())) > MOST_LINES:
        links = _thinned(members, links)
    if not links and len(members) >= GRID_FROM:
        return _grid(members, inner, sizes)
    columns, before, routes = _columns(members, links, sizes)
    _untangle(columns, before)
    corners, width, height = _places(columns, sizes)
    boxes: list[Box] = []
    lines: list[Line] = []
    for step in members:
        _put(step, corners[(step,)], sizes[(step,)], inner.get(step), boxes, lines)
    lines += [_line(start, end, route, corners, sizes) for (start, end), route in routes.items()]
    return Drawing(width=width, height=height, boxes=tuple(boxes), lines=tuple(lines), columns=len(columns))


def _thinned(members: list[str], links: dict[str, list[str]]) -> dict[str, list[str]]:
    """Without the lines that say nothing new: a step need not be joined to what another of its lines leads back to."""
    bit = {step: 1 << number for number, step in enumerate(members)}
    behind: dict[str, int] = {}
    thin: dict[str, list[str]] = {}
    for step in members:
        starts = links.get(step, [])
        implied = 0
        for start in starts:
            implied |= behind[start]
        if starts:
            thin[step] = [start for start in starts if not bit[start] & implied]
        behind[step] = implied
        for start in starts:
            behind[step] |= bit[start]
    return thin


def _size(inner: Drawing | None) -> tuple[float, float]:
    if inner is None:
        return WIDTH, HEIGHT
    return inner.width + 2 * PAD, inner.height + HEADING + PAD


def _put(
    step: str,
    corner: tuple[float, float],
    size: tuple[float, float],
    inner: Drawing | None,
    boxes: list[Box],
    lines: list[Line],
) -> None:
    (x, y), (width, height) = corner, size
    boxes.append(Box(step_id=step, x=x, y=y, width=width, height=height, is_container=inner is not None))
    if inner is not None:
        boxes += [box.moved(x + PAD, y + HEADING) for box in inner.boxes]
        lines += [line.moved(x + PAD, y + HEADING) for line in inner.lines]


def _grid(members: list[str], inner: dict[str, Drawing], sizes: dict[_Key, tuple[float, float]]) -> Drawing:
    """Many that wait for nothing among themselves: rows, about twice as wide as high."""
    wide = max(width for width, _ in sizes.values()) + GAP_Y
    high = max(height for _, height in sizes.values()) + GAP_Y
    across = ceil(sqrt(len(members) * 2 * high / wide))
    boxes: list[Box] = []
    lines: list[Line] = []
    for number, step in enumerate(members):
        corner = (number % across * wide, number // across * high)
        _put(step, corner, sizes[(step,)], inner.get(step), boxes, lines)
    return Drawing(
        width=across * wide - GAP_Y,
        height=ceil(len(members) / across) * high - GAP_Y,
        boxes=tuple(boxes),
        lines=tuple(lines),
        columns=1,
    )


def _columns(
    members: list[str], links: dict[str, list[str]], sizes: dict[_Key, tuple[float, float]]
) -> tuple[list[list[_Key]], dict[_Key, list[_Key]], _Routes]:
    """Each step behind all it waits for, lanes included; what each place is joined to on its left; the ways of lines.

    Lines from one step share their lanes.
    """
    column: dict[str, int] = {}
    for step in members:  # earlier ones come first, so theirs are known
        column[step] = 1 + max((column[start] for start in links.get(step, ())), default=-1)
    columns: list[list[_Key]] = [[] for _ in range(1 + max(column.values(), default=-1))]
    for step in members:
        columns[column[step]].append((step,))
    before: dict[_Key, list[_Key]] = {}
    routes: _Routes = {}
    lanes: set[_Key] = set()
    for step in members:
        for start in links.get(step, ()):
            between = range(column[start] + 1, column[step])
            route: list[_Key] = (
                [(start, str(number)) for number in between] if len(lanes) < MOST_LANES else []
            )
            routes[(start, step)] = route
            for left, right in pairwise([(start,), *route, (step,)]):
                if right in lanes:
                    continue
                before.setdefault(right, []).append(left)
                if len(right) > 1:
                    lanes.add(right)
                    sizes[right] = (0, LANE)
                    columns[int(right[1])].append(right)
    return columns, before, routes


def _untangle(columns: list[list[_Key]], before: dict[_Key, list[_Key]]) -> None:
    """Sort each column by where its neighbours stand (their mean), there and back twice; ties keep their order."""
    after: dict[_Key, list[_Key]] = {}
    for right, lefts in before.items():
        for left in lefts:
            after.setdefault(left, []).append(right)
    for _ in range(2):
        for number in range(1, len(columns)):
            _sort(columns[number], columns[number - 1], before)
        for number in range(len(columns) - 2, -1, -1):
            _sort(columns[number], columns[number + 1], after)


def _sort(column: list[_Key], beside: list[_Key], joined: dict[_Key, list[_Key]]) -> None:
    where = {key: place for place, key in enumerate(beside)}
    means: dict[_Key, float] = {}
    for place, key in enumerate(column):
        seen = [where[other] for other in joined.get(key, ()) if other in where]
        means[key] = sum(seen) / len(seen) if seen else float(place)
    column.sort(key=means.__getitem__)


def _places(
    columns: list[list[_Key]], sizes: dict[_Key, tuple[float, float]]
) -> tuple[dict[_Key, tuple[float, float]], float, float]:
    """The upper left corner of everything, each column in the middle of the height; and how big all is."""
    heights = [sum(sizes[key][1] for key in column) + GAP_Y * (len(column) - 1) for column in columns]
    corners: dict[_Key, tuple[float, float]] = {}
    x, whole = 0.0, max(heights, default=0.0)
    for column, height in zip(columns, heights, strict=True):
        wide = max(sizes[key][0] for key in column)
        y = (whole - height) / 2
        for key in column:
            if len(key) > 1:
                sizes[key] = (wide, LANE)
            corners[key] = (x + (wide - sizes[key][0]) / 2, y)
            y += sizes[key][1] + GAP_Y
        x += wide + GAP_X
    return corners, max(x - GAP_X, 0.0), whole


def _line(
    start: str,
    end: str,
    route: list[_Key],
    corners: dict[_Key, tuple[float, float]],
    sizes: dict[_Key, tuple[float, float]],
) -> Line:
    def ends(key: _Key) -> tuple[tuple[float, float], tuple[float, float]]:
        (x, y), (width, height) = corners[key], sizes[key]
        return (x, y + height / 2), (x + width, y + height / 2)

    through = [corner for lane in route for corner in ends(lane)]
    return Line(start=start, end=end, corners=(ends((start,))[1], *through, ends((end,))[0]))


def _said(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One line of the waterfall: where it begins and how long it is, in thousandths of the whole time."""

    step_id: str
    start: float
    length: float
    seconds: float
    is_open: bool
    """It still goes on."""


def bars(
    spans: Iterable[tuple[str, datetime | None, datetime | None]], begin: datetime, now: datetime
) -> tuple[list[Bar], float]:
    """The waterfall of (step, start, end), and how many seconds its whole width stands for.

    What has not begun is left out; what has not ended reaches to the present.
    """
    known = [(step, start, end) for step, start, end in spans if start is not None]
    last = max((end or now for _, _, end in known), default=begin)
    whole = max((last - begin).total_seconds(), 0.001)
    drawn = []
    for step, start, end in known:
        seconds = max(((end or now) - start).total_seconds(), 0.0)
        left = min(max((start - begin).total_seconds() / whole * 1000, 0.0), 1000.0)
        # At least as long as can be seen, and never past the edge.
        length = min(max(seconds / whole * 1000, 4.0), 1000.0)
        drawn.append(
            Bar(
                step_id=step,
                start=round(min(left, 1000 - length), 1),
                length=round(length, 1),
                seconds=seconds,
                is_open=end is None,
            )
        )
    return drawn, whole
